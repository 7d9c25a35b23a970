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
from mxnet import autograd, np, npx

from mxnet_impl.arguments import real
from mxnet_impl.loss_checks import check_labels, check_numbers
from mxnet_impl.precision import cast_like
from mxnet_impl.training_state import record, resume

DECAY, DECAY2, EPS = 7 / 8, 1 - 2**-10, 2**-27
# endregion


# region function
def squared_error(y, target):
    check_numbers(y, target)
    error = y - target
    return np.mean(error * error)


def cross_entropy(y, target):
    check_labels(y, target)
    detached = y.detach()
    row_max = np.amax(detached, axis=1, keepdims=True)  # N 1
    row_sum = np.sum(np.exp(y - row_max), axis=1, keepdims=True)
    log_p = y - row_max - np.log(row_sum)  # N K
    chosen = npx.one_hot(target, y.shape[1])
    picked = log_p * cast_like(chosen, y)
    return -np.mean(np.sum(picked, axis=1))


def sgd(p, g, state, correct, lr):
    return p - lr * g, state


def momentum(p, g, state, correct, lr):
    v = DECAY * state[0] + g
    return p - lr * v, (v, state[1])


def adam(p, g, state, correct, lr):
    m = DECAY * state[0] + (1 - DECAY) * g
    v = DECAY2 * state[1] + (1 - DECAY2) * g * g
    root = np.sqrt(v / correct[1]) + EPS
    return p - lr * (m / correct[0]) / root, (m, v)


def bias_correction(step: int):
    return 1 - DECAY**step, 1 - DECAY2**step


def apply(rule, params, grads, states, correct, lr):
    every = zip(params, grads, states)
    found = [rule(p, g, s, correct, lr) for p, g, s in every]
    return [new for new, _ in found], [state for _, state in found]


def train(layer, loss, rule, batches, lr: float, state=None):
    lr = real("train: lr", lr)
    named, state, states = resume(layer, rule, lr, state)
    own = list(named.values())
    params = [p.data() for p in own]
    zero = np.zeros(())
    zero.attach_grad()
    for x, target in batches:
        with autograd.record():
            value = loss(layer(x), target)
            value = value + zero.astype(value.dtype)  # is in a graph
        for p in own:  # else a gradient of an earlier batch stays
            p.grad()[()] = 0
        value.backward()
        grads = [p.grad() for p in own]
        correct = bias_correction(state["step"] + 1)
        new, states = apply(rule, params, grads, states, correct, lr)
        for p, new_p in zip(own, new):
            p.data()[()] = new_p
        record(state, lr, named, states)
        yield value.detach()


# endregion


# region try
if __name__ == "__main__":
    from mxnet_impl.linear import Linear

    x = np.reshape(np.linspace(-1.0, 1.0, 300), (20, 5, 3))
    batches, layer = zip(x, x[..., :2]), Linear(3, 2)
    layer.initialize()
    losses = train(layer, squared_error, adam, batches, lr=1 / 16)
    print([round(float(value), 3) for value in losses])
# endregion
