"""Steps of optimizers that PyTorch runs for all parameters at once."""

import torch

aten = torch.ops.aten


def foreach(func, args, kwargs):
    """_foreach_NAME: NAME of the elements of the lists, one by one.

    A list of the length of the first counts element by element, anything
    else is given to each. In place where NAME ends in an underscore.
    """
    name = func._schema.name.removeprefix("aten::_foreach_")
    plain = name.removesuffix("_")
    op = CALLS.get(plain) or getattr(aten, plain)

    def of(value, i):
        listed = isinstance(value, (list, tuple))
        return value[i] if listed else value

    def one(i):
        options = {key: of(value, i) for key, value in kwargs.items()}
        return op(*(of(value, i) for value in args), **options)

    places = args[0]
    if name == plain:
        return [one(i) for i in range(len(places))]
    for i, place in enumerate(places):
        place.copy_(one(i))
    return None


def with_value(op):
    return lambda x, a, b, value=1: op(x, a, b, value=value)


CALLS = {
    "addcmul": with_value(aten.addcmul),
    "addcdiv": with_value(aten.addcdiv),
    "norm": aten.linalg_vector_norm,
}


def number(value):
    return value.item() if torch.is_tensor(value) else value


def unscaled(grads, maximize, grad_scale, found_inf):
    if grad_scale is not None:
        for grad in grads:
            grad.copy_(grad / grad_scale)
    if found_inf is not None and bool(found_inf):
        return None
    return [-grad if maximize else grad for grad in grads]


def adam(decoupled):
    """AdamW where decoupled: weights decay apart from the gradient."""

    def step(
        params, grads, firsts, seconds, largest, steps, *, lr, beta1,
        beta2, weight_decay, eps, amsgrad, maximize, grad_scale=None,
        found_inf=None,
    ):  # fmt: skip
        grads = unscaled(grads, maximize, grad_scale, found_inf)
        lr = number(lr)
        for i, grad in enumerate(grads or []):
            param, count = params[i], float(steps[i])
            if decoupled:
                param.mul_(1 - lr * weight_decay)
            elif weight_decay:
                grad = grad + param * weight_decay
            first, second = firsts[i], seconds[i]
            first.copy_(first + (grad - first) * (1 - beta1))
            second.copy_(second * beta2 + grad * grad * (1 - beta2))
            if amsgrad:
                largest[i].copy_(torch.maximum(largest[i], second))
                second = largest[i]
            size = lr / (1 - beta1**count)
            root = (1 - beta2**count) ** 0.5
            denominator = torch.sqrt(second) / root + eps
            param.sub_(first / denominator * size)

    return step


def sgd(
    params, grads, buffers, *, weight_decay, momentum, lr, dampening,
    nesterov, maximize, is_first_step, grad_scale=None, found_inf=None,
):  # fmt: skip
    grads = unscaled(grads, maximize, grad_scale, found_inf)
    for i, grad in enumerate(grads or []):
        if weight_decay:
            grad = grad + params[i] * weight_decay
        if momentum:
            if is_first_step:
                buffers[i].copy_(grad)
            else:
                old = buffers[i] * momentum
                buffers[i].copy_(old + grad * (1 - dampening))
            grad = (
                grad + buffers[i] * momentum if nesterov else buffers[i]
            )
        params[i].sub_(grad * number(lr))


def adagrad(
    params, grads, sums, steps, *, lr, lr_decay, weight_decay, eps,
    maximize, grad_scale=None, found_inf=None,
):  # fmt: skip
    grads = unscaled(grads, maximize, grad_scale, found_inf)
    for i, grad in enumerate(grads or []):
        if weight_decay:
            grad = grad + params[i] * weight_decay
        size = number(lr) / (1 + (float(steps[i]) - 1) * lr_decay)
        sums[i].copy_(sums[i] + grad * grad)
        params[i].sub_(grad / (torch.sqrt(sums[i]) + eps) * size)


DECOMPOSITIONS = {
    aten._fused_adam_: adam(decoupled=False),
    aten._fused_adamw_: adam(decoupled=True),
    aten._fused_sgd_: sgd,
    aten._fused_adagrad_: adagrad,
}
