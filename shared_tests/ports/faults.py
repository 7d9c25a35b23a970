"""Part "faults": faults planted in Flax ports, and where they are seen.

The port is right before a fault is planted in one of its layers, so it
is known which hidden state is the first that may be wrong. Hidden state 0
is the sum of the embeddings, normalised; state n is what layer n returns.
"""

import copy

import numpy as np

from shared_tests.ports import measuring, pairs

NAMES = ("bert", "roberta", "vit")
SEEDS = (0, 1, 2)
NOWHERE = ""  # a fault without effect: every output stays right
HEAD_WIDTH = 8


def attention(name, layer, part):
    found = (name, "encoder", "layer", str(layer), "attention")
    return *found, "attention" if name == "vit" else "self", part


def output(name, layer):
    return name, "encoder", "layer", str(layer), "output", "dense"


def changed(tree, path, change):
    """A copy of nested parameters in which one array is changed."""
    first, *rest = path
    new = (
        changed(tree[first], rest, change)
        if rest
        else change(tree[first])
    )
    return {**tree, first: new}


def in_bfloat16(array):
    import jax.numpy as jnp

    return jnp.asarray(array).astype(jnp.bfloat16).astype(jnp.float32)


def in_tf32(array):
    """Ten bits after the point are left, rounded to the nearest."""
    bits = np.asarray(array, np.float32).view(np.uint32)
    kept = (bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return kept.view(np.float32)


def of_weights(name):
    """{fault: (first wrong hidden state, path of the array, change)}"""
    query = attention(name, 1, "query")
    last, first = output(name, 1), output(name, 0)
    scale = np.float32(np.sqrt(HEAD_WIDTH))
    return {
        "transposed query weight": (
            2,
            (*query, "kernel"),
            np.transpose,
        ),
        "no 1/sqrt(d)": (2, (*query, "kernel"), lambda a: a * scale),
        "no query bias": (2, (*query, "bias"), lambda a: a * 0),
        "no key bias": (
            NOWHERE,  # softmax does not see a constant
            (*attention(name, 1, "key"), "bias"),
            lambda a: a * 0,
        ),
        "no output bias": (1, (*first, "bias"), lambda a: a * 0),
        "bfloat16 weights": (2, (*last, "kernel"), in_bfloat16),
        "TF32 weights": (2, (*last, "kernel"), in_tf32),
        "weights times 1 + 1e-5": (
            2,
            (*last, "kernel"),
            lambda a: a * np.float32(1 + 1e-5),
        ),
    }


def of_settings(name):
    """{fault: (first wrong hidden state, setting, value)}"""
    first = 1 if name == "vit" else 0  # ViT adds, without a norm
    return {
        "tanh gelu": (1, "hidden_act", "gelu_new"),
        "epsilon 1e-12 is 1e-5": (first, "layer_norm_eps", 1e-5),
        "epsilon 1e-12 is 1e-6": (first, "layer_norm_eps", 1e-6),
    }


def planted(name, model, arrays):
    """[(fault, first wrong hidden state, function)], "none" first."""
    from shared_tests.ports import hugging

    port = hugging.flax_port(name, model)
    yield "none", NOWHERE, lambda: hugging.flax_outputs(port, arrays)
    for fault, (at, setting, value) in of_settings(name).items():

        def reset(setting=setting, value=value):
            other = copy.deepcopy(model)
            setattr(other.config, setting, value)
            made = hugging.flax_port(name, other)
            return hugging.flax_outputs(made, arrays)

        yield fault, at, reset
    for fault, (at, path, change) in of_weights(name).items():

        def edited(path=path, change=change):
            params = changed(port.params, path, change)
            return hugging.flax_outputs(port, arrays, params)

        yield fault, at, edited
    if "attention_mask" in arrays:
        bare = {k: v for k, v in arrays.items() if "mask" not in k}
        yield "no mask", 1, lambda: hugging.flax_outputs(port, bare)


def rows_of(name, seed, factor):
    from shared_tests.ports import hugging

    model, arrays = hugging.build(name, seed, factor)
    wanted, sigma = pairs.reference(model, arrays, seed)
    for fault, at, compute in planted(name, model, arrays):
        found, missing = measuring.compared(compute(), wanted, sigma)
        expected = f"out.hidden_states.{at}" if at != NOWHERE else ""
        yield dict(
            fault=fault,
            seed=seed,
            factor=factor,
            expected=expected,
            arrays=found,
            missing=missing,
        )


def run(name):
    return [
        row
        for factor in pairs.FACTORS
        for seed in SEEDS
        for row in rows_of(name, seed, factor)
    ]
