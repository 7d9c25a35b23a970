"""Faults for `make fuzz` to find: one framework has one, in a copy.

root = plant(FAULTS["causal"], folder)
"""

import shutil
from typing import NamedTuple

from shared_tests.files import ROOT


class Fault(NamedTuple):
    framework: str
    page: str
    layers: list  # of the page
    old: str
    new: str


FAULTS = {
    "causal": Fault(
        "jax",
        "attention",
        ["attention"],
        "allowed & jnp.tril(all_true)",
        "allowed & jnp.tril(all_true, 1)",
    ),
    "epsilon": Fault(
        "tf",
        "rms_norm",
        ["RMSNorm"],
        "tf.sqrt(mean + eps)",
        "(tf.sqrt(mean) + eps)",
    ),
    "scale": Fault(
        "mxnet",
        "attention",
        ["attention"],
        "math.sqrt(q.shape[3])",
        "math.sqrt(q.shape[2])",
    ),
    "bias": Fault(
        "tf",
        "manual_gradient",
        ["WeightedSum", "ManualLinear"],
        "return dx, dweight, tf.reduce_sum(dy, axis=0)",
        "return dx, dweight, 1.5 * tf.reduce_sum(dy, axis=0)",
    ),
    "rounding": Fault(
        "jax",
        "quantization/fake_quantize",
        ["quantize", "fake_quantize"],
        "jnp.round(x * inv)",
        "jnp.floor(x * inv + 0.5)",
    ),
}


def plant(fault, folder):
    """A checkout in folder where that framework has the fault."""
    name = f"{fault.framework}_impl"
    shutil.copytree(ROOT / name, folder / name)
    (folder / "shared_tests").symlink_to(ROOT / "shared_tests")
    page = folder / name / f"{fault.page}.py"
    text = page.read_text()
    if text.count(fault.old) != 1:
        got = text.count(fault.old)
        where = f"{name}/{fault.page}.py"
        raise ValueError(
            f"{where} expected {fault.old!r} once, got {got}"
        )
    page.write_text(text.replace(fault.old, fault.new))
    return folder
