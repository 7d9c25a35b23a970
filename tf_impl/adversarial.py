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
import tensorflow as tf

from tf_impl.arguments import real, whole

# endregion


# region function
def input_gradient(layer, loss, x, target):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value = loss(layer(x), target)
    return tape.gradient(value, x)


def fgsm(layer, loss, x, target, step: float):
    step = real("fgsm: step", step)
    g = input_gradient(layer, loss, x, target)
    return x + step * tf.sign(g)


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
    d = tf.zeros_like(x) if start is None else start
    if d.shape != x.shape:
        want, got = tuple(x.shape), tuple(d.shape)
        text = f"pgd: start expected shape {want}, got {got}"
        raise ValueError(text)
    for _ in range(whole("pgd: steps", steps, 0)):
        g = input_gradient(layer, loss, x + d, target)
        d = d + step * tf.sign(g)
        d = tf.clip_by_value(d, -bound, bound)
    return x + d


def attacked(layer, loss, batches, step: float):
    for x, target in batches:
        yield fgsm(layer, loss, x, target, step), target


# endregion


# region try
if __name__ == "__main__":
    from tf_impl.linear import Linear
    from tf_impl.training import squared_error

    x, target = tf.ones((4, 3)), tf.ones((4, 2))
    layer = Linear(3, 2)
    y = pgd(
        layer, squared_error, x, target, 1 / 8, bound=1 / 4, steps=3
    )
    print(y - x)
# endregion
