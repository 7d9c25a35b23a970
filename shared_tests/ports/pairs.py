"""Part "families": each family's ports against its PyTorch model.

A pair is a family and a port: PyTorch's own float32, Flax, Flax under
jit (with the large weights), TensorFlow.
"""

from shared_tests.ports import measuring
from shared_tests.ports.families import FAMILIES

NAMES = tuple(FAMILIES)
SEEDS = (0,)
FACTORS = (1.0, 6.0)  # weights as drawn, and six times as large


def reference(model, arrays, seed, runs=measuring.RUNS):
    """(reference, sigma) of every output of a float32 model."""
    import torch

    from shared_tests.ports import hugging

    wide = measuring.double(model)
    return measuring.estimate(
        lambda: hugging.torch_outputs(wide, arrays, torch.float64),
        *(seed, runs),
    )


def ports(name, model, arrays, compiled):
    """[(port, function that gives its outputs)]"""
    import torch

    from shared_tests.ports import hugging

    yield (
        "torch",
        lambda: hugging.torch_outputs(model, arrays, torch.float32),
    )
    frameworks = FAMILIES[name].frameworks
    if "f" in frameworks:
        made = []

        def flax(compiled=False):
            made[:] = made or [hugging.flax_port(name, model)]
            return hugging.flax_outputs(
                made[0], arrays, compiled=compiled
            )

        yield "flax", flax
        if compiled:
            yield "flax jit", lambda: flax(compiled=True)
    if "t" in frameworks:
        yield (
            "tf",
            lambda: hugging.tf_outputs(
                hugging.tf_port(name, model, arrays), arrays
            ),
        )


def rows_of(name, seed, factor, batch=2, compiled=True):
    """One row for each port."""
    from shared_tests.ports import hugging

    model, arrays = hugging.build(name, seed, factor, batch)
    wanted, sigma = reference(model, arrays, seed)
    for port, run in ports(name, model, arrays, compiled):
        row = dict(port=port, seed=seed, factor=factor)
        try:
            found, missing = measuring.compared(run(), wanted, sigma)
            yield row | dict(arrays=found, missing=missing)
        except Exception as error:
            yield row | dict(error=said(error))


def said(error):
    """An error in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text[:300]


def run(name):
    return [
        row
        for factor in FACTORS
        for seed in SEEDS
        for row in rows_of(
            name, seed, factor, compiled=factor == FACTORS[-1]
        )
    ]
