"""Part "gradients": of whole Flax ports, with respect to every parameter.

Flax has other names and layouts for them. The map comes from the port's
own converter: a state dict whose numbers are 0, 1, 2, ... goes through
it, and each number then says which element of PyTorch's it is. Of a
weight that two layers share a port may have a copy for each; its
gradient is the sum of theirs.
"""

import numpy as np

from shared_tests.ports import measuring

NAMES = (
    *("bert", "roberta", "albert", "distilbert", "gpt2", "gptj", "opt"),
    *("llama", "gemma", "t5", "bart", "vit", "clip"),
)
SEED = 0
FACTOR = 6.0
EXACT_UP_TO = 2**24  # whole numbers in float32


def leaves(tree, path=()):
    """[(path, array)] of nested parameters."""
    for key, value in tree.items():
        if hasattr(value, "items"):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), np.asarray(value)


def numbered(model):
    """(a state dict of whole numbers, {parameter: its slice of them})

    Raises: ValueError for more numbers than float32 can hold
    """
    import torch

    state = {k: v.clone() for k, v in model.state_dict().items()}
    places, end = {}, 0
    for name, parameter in model.named_parameters():
        start, end = end, end + parameter.numel()
        places[name] = slice(start, end)
        numbers = torch.arange(start, end, dtype=torch.float32)
        for key, value in model.state_dict().items():
            if value.data_ptr() == parameter.data_ptr():
                state[key] = numbers.reshape(value.shape)
    if end > EXACT_UP_TO:
        raise ValueError(
            f"gradients: expected at most {EXACT_UP_TO} parameters,"
            f" got {end}"
        )
    return state, places


def key_of(result):
    """The output whose gradient is taken."""
    for key in ("logits", "logits_per_image", "last_hidden_state"):
        if key in result:
            return key
    raise ValueError(f"gradients: no logits among {list(result)}")


def torch_gradients(model, arrays, dtype, upstream):
    import torch

    from shared_tests.ports import hugging

    with hugging.default_dtype(dtype):
        result = model(**hugging.torch_arguments(arrays, dtype))
        y = result[key_of(result)]
        named = dict(model.named_parameters())
        named = {k: v for k, v in named.items() if v.requires_grad}
        found = torch.autograd.grad(
            y,
            list(named.values()),
            torch.tensor(upstream(y.shape), dtype=dtype),
            allow_unused=True,
        )
    return {
        f"grad.{name}": grad.numpy().copy()
        for name, grad in zip(named, found)
        if grad is not None
    }


def flax_gradients(name, model, arrays, upstream):
    """The same, back in PyTorch's names and layouts."""
    import jax
    import jax.numpy as jnp
    from transformers import modeling_flax_pytorch_utils as convert

    from shared_tests.ports import hugging

    port = hugging.flax_port(name, model)
    state, places = numbered(model)
    converted = convert.convert_pytorch_state_dict_to_flax(state, port)
    where = dict(leaves(converted))

    def call(params):
        result = port(**arrays, params=params)
        return result[key_of(result)]

    y, pull = jax.vjp(call, port.params)
    (tree,) = pull(jnp.asarray(upstream(y.shape)))
    total = np.zeros(max(p.stop for p in places.values()), np.float32)
    seen = np.zeros(total.shape, int)
    for path, grad in leaves(tree):
        if path in where and where[path].shape == grad.shape:
            at = where[path].astype(np.int64).ravel()
            np.add.at(total, at, grad.ravel())
            np.add.at(seen, at, 1)
    shapes = {n: tuple(p.shape) for n, p in model.named_parameters()}
    return {
        f"grad.{name}": total[place].reshape(shapes[name])
        for name, place in places.items()
        if seen[place].all()
    }


def run(name):
    import torch

    from shared_tests.ports import hugging

    model, arrays = hugging.build(name, SEED, FACTOR)

    def upstream(shape):
        rng = np.random.default_rng(SEED + 9)
        return rng.standard_normal(tuple(shape)).astype(np.float32)

    wide = measuring.double(model)
    wanted, sigma = measuring.estimate(
        lambda: torch_gradients(wide, arrays, torch.float64, upstream),
        SEED,
    )
    rows = []
    for port, found in (
        (
            "torch",
            torch_gradients(model, arrays, torch.float32, upstream),
        ),
        ("flax", flax_gradients(name, model, arrays, upstream)),
    ):
        judged, missing = measuring.compared(found, wanted, sigma)
        row = dict(port=port, seed=SEED, factor=FACTOR, arrays=judged)
        rows.append(row | dict(missing=missing))
    return rows
