"""Training: one short loop, two losses, three update rules.

The usual optimizers differ between frameworks; these are the same.
squared_error  mean over all elements of (y - target)^2
cross_entropy  mean over n of -log softmax(y_n) at target_n
sgd            p - lr g
momentum       v = 7/8 v + g;  p - lr v
adam           m = 7/8 m + 1/8 g;  v = d v + (1 - d) g^2, d = 1 - 2^-10
               m' = m / (1 - (7/8)^t);  v' = v / (1 - d^t)
               p - lr m' / (sqrt(v') + 2^-27)

Axes:   N batch, K classes; y and target as loss_checks wants them
Grads:  g is 0 for a p without a part in a batch: v and m still move p
State:  of training_state: train goes on from one, and keeps it whole
Yields: train gives the loss of each batch, taken before its update
Ref:    Polyak 1964, USSR Comp. Math. 4(5); Kingma, Ba 2015, alg. 1
"""

# region imports
import jax
import jax.numpy as jnp
from flax import nnx

from jax_impl.arguments import real
from jax_impl.loss_checks import check_labels, check_numbers
from jax_impl.precision import cast_like
from jax_impl.training_state import record, resume

DECAY, DECAY2, EPS = 7 / 8, 1 - 2**-10, 2**-27
# endregion


# region function
def squared_error(y, target):
    check_numbers(y, target)
    error = y - target
    return jnp.mean(error * error)


def cross_entropy(y, target):
    check_labels(y, target)
    detached = jax.lax.stop_gradient(y)
    row_max = jnp.amax(detached, axis=1, keepdims=True)  # N 1
    row_sum = jnp.sum(jnp.exp(y - row_max), axis=1, keepdims=True)
    log_p = y - row_max - jnp.log(row_sum)  # N K
    labels = jnp.arange(y.shape[1])  # K
    chosen = target[:, None] == labels  # N K
    known = jnp.any(chosen, axis=1, keepdims=True)  # N 1
    nan = jnp.full_like(y, jnp.nan)
    picked = log_p * jnp.where(known, cast_like(chosen, y), nan)
    return -jnp.mean(jnp.sum(picked, axis=1))


def sgd(p, g, state, correct, lr):
    return p - lr * g, state


def momentum(p, g, state, correct, lr):
    v = DECAY * state[0] + g
    return p - lr * v, (v, state[1])


def adam(p, g, state, correct, lr):
    m = DECAY * state[0] + (1 - DECAY) * g
    v = DECAY2 * state[1] + (1 - DECAY2) * g * g
    root = jnp.sqrt(v / correct[1]) + EPS
    return p - lr * (m / correct[0]) / root, (m, v)


def bias_correction(step: int):
    return 1 - DECAY**step, 1 - DECAY2**step


def apply(rule, params, grads, states, correct, lr):
    every = zip(params, grads, states)
    found = [rule(p, g, s, correct, lr) for p, g, s in every]
    return [new for new, _ in found], [state for _, state in found]


def train(layer, loss, rule, batches, lr: float, state=None):
    lr = real("train: lr", lr)

    @nnx.jit
    def update(layer, states, x, target, correct):
        forward = nnx.value_and_grad(lambda m: loss(m(x), target))
        value, grads = forward(layer)
        params, tree = jax.tree.flatten(nnx.state(layer, nnx.Param))
        grads = jax.tree.leaves(grads)
        new, states = apply(rule, params, grads, states, correct, lr)
        nnx.update(layer, jax.tree.unflatten(tree, new))
        return value, states

    named, state, states = resume(layer, rule, lr, state)
    for x, target in batches:
        correct = bias_correction(state["step"] + 1)
        value, states = update(layer, states, x, target, correct)
        record(state, lr, named, states)
        yield value


# endregion


# region try
if __name__ == "__main__":
    from jax_impl.linear import Linear

    x = jnp.reshape(jnp.linspace(-1.0, 1.0, 300), (20, 5, 3))
    batches, layer = zip(x, x[..., :2]), Linear(3, 2, rngs=nnx.Rngs(0))
    losses = train(layer, squared_error, adam, batches, lr=1 / 16)
    print([round(float(value), 3) for value in losses])
# endregion
