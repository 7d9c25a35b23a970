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
import torch

from pytorch_impl.arguments import real
from pytorch_impl.loss_checks import check_labels, check_numbers
from pytorch_impl.precision import cast_like
from pytorch_impl.training_state import record, resume

DECAY, DECAY2, EPS = 7 / 8, 1 - 2**-10, 2**-27
# endregion


# region function
def squared_error(y, target):
    check_numbers(y, target)
    error = y - target
    return torch.mean(error * error)


def cross_entropy(y, target):
    check_labels(y, target)
    detached = y.detach()
    row_max = torch.amax(detached, axis=1, keepdims=True)  # N 1
    row_sum = torch.sum(torch.exp(y - row_max), axis=1, keepdims=True)
    log_p = y - row_max - torch.log(row_sum)  # N K
    labels = torch.arange(y.shape[1], device=y.device)  # K
    chosen = target[:, None] == labels  # N K
    known = torch.any(chosen, axis=1, keepdims=True)  # N 1
    nan = torch.full_like(y, torch.nan)
    picked = log_p * torch.where(known, cast_like(chosen, y), nan)
    return -torch.mean(torch.sum(picked, axis=1))


def sgd(p, g, state, correct, lr):
    return p - lr * g, state


def momentum(p, g, state, correct, lr):
    v = DECAY * state[0] + g
    return p - lr * v, (v, state[1])


def adam(p, g, state, correct, lr):
    m = DECAY * state[0] + (1 - DECAY) * g
    v = DECAY2 * state[1] + (1 - DECAY2) * g * g
    root = torch.sqrt(v / correct[1]) + EPS
    return p - lr * (m / correct[0]) / root, (m, v)


def bias_correction(step: int):
    return 1 - DECAY**step, 1 - DECAY2**step


@torch.no_grad()
def apply(rule, params, grads, states, correct, lr):
    every = zip(params, grads, states)
    found = [rule(p, g, s, correct, lr) for p, g, s in every]
    return [new for new, _ in found], [state for _, state in found]


def train(layer, loss, rule, batches, lr: float, state=None):
    lr = real("train: lr", lr)
    named, state, states = resume(layer, rule, lr, state)
    params = list(named.values())
    zeros = [torch.zeros_like(p) for p in params]
    for x, target in batches:
        value = loss(layer(x), target)
        grads = zeros
        if value.requires_grad:  # else no p has a part in it
            grads = torch.autograd.grad(
                value, params, allow_unused=True, materialize_grads=True
            )
        correct = bias_correction(state["step"] + 1)
        new, states = apply(rule, params, grads, states, correct, lr)
        with torch.no_grad():
            for p, new_p in zip(params, new):
                p.copy_(new_p)
        record(state, lr, named, states)
        yield value.detach()


# endregion


# region try
if __name__ == "__main__":
    from pytorch_impl.linear import Linear

    x = torch.reshape(torch.linspace(-1.0, 1.0, 300), (20, 5, 3))
    batches, layer = zip(x, x[..., :2]), Linear(3, 2)
    losses = train(layer, squared_error, adam, batches, lr=1 / 16)
    print([round(float(value), 3) for value in losses])
# endregion
