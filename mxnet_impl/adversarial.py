"""Adversarial: small changes of x that raise the loss, and a defence.

A change too small to see, made for the purpose, turns many right
answers of a network into wrong ones. Training on such x helps.
fgsm      x + step sign(g), g the gradient of loss(layer(x), target)
          with respect to x
pgd       d = start, or 0; steps times d = d + step sign(g at x + d),
          then each element clipped to -bound..bound; x + d
attacked  the batches of training.train, x changed by fgsm just then, by
          the parameters that the layer has at that step

Axes:   any, as the layer and the loss want them; start as x
Raises: ValueError if start has another shape than x
Ref:    Goodfellow, Shlens, Szegedy 2015, ICLR, 4 and 6 (fgsm, attacked)
        Madry et al. 2018, ICLR, 2.1 (pgd)
"""

# region imports
from mxnet import autograd, np

from mxnet_impl.arguments import real, whole

# endregion


# region function
def input_gradient(layer, loss, x, target):
    x = x.copy()
    x.attach_grad()
    with autograd.record():
        value = loss(layer(x), target)
    return autograd.grad(value, [x])[0].as_np_ndarray()


def fgsm(layer, loss, x, target, step: float):
    step = real("fgsm: step", step)
    g = input_gradient(layer, loss, x, target)
    return x + step * np.sign(g)


def pgd(
    layer,
    loss,
    x,
    target,
    step: float,
    bound: float,
    steps: int,
    start=None,
):
    step, bound = real("pgd: step", step), real("pgd: bound", bound)
    d = np.zeros_like(x) if start is None else start
    if d.shape != x.shape:
        want, got = tuple(x.shape), tuple(d.shape)
        text = f"pgd: start expected shape {want}, got {got}"
        raise ValueError(text)
    for _ in range(whole("pgd: steps", steps, 0)):
        g = input_gradient(layer, loss, x + d, target)
        d = d + step * np.sign(g)
        d = np.minimum(np.maximum(d, -bound), bound)
    return x + d


def attacked(layer, loss, batches, step: float):
    for x, target in batches:
        yield fgsm(layer, loss, x, target, step), target


# endregion


# region try
if __name__ == "__main__":
    from mxnet_impl.linear import Linear
    from mxnet_impl.training import squared_error

    x, target = np.ones((4, 3)), np.ones((4, 2))
    layer = Linear(3, 2)
    layer.initialize()
    y = pgd(
        layer, squared_error, x, target, 1 / 8, bound=1 / 4, steps=3
    )
    print(y - x)
# endregion


# region what differs here
# mxnet 1.9.1: np.clip of float64 rounds its bounds to float32
# backward would overwrite the gradients of the parameters, which a
# training loop uses; autograd.grad does not, and gives legacy arrays
# endregion
