"""Devices reach the adapters by an argument; what is not there is said."""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax")

CONFIG = {"in_features": 3, "out_features": 2, "bias": False}
PARAMS = {"weight": np.ones((2, 3), np.float32)}


def test_the_cpu_is_where_it_was(adapter):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    up = {"y": np.ones((2, 2), np.float32)}
    usual = adapter.build("Linear", CONFIG, PARAMS)
    named = adapter.build("Linear", CONFIG, PARAMS, device="cpu")
    one, two = (adapter.run(b, {"x": x}, up) for b in (usual, named))
    assert (
        one.keys() == two.keys() == {"out.y", "grad.x", "grad.weight"}
    )
    assert all(np.array_equal(one[k], two[k]) for k in one)


def test_an_unknown_device_is_refused(adapter):
    with pytest.raises(ValueError, match="cpu or cuda, got 'tpu'"):
        adapter.build("Linear", CONFIG, PARAMS, device="tpu")


def gpus(framework):
    if framework == "pytorch":
        import torch

        return torch.cuda.is_available()
    import jax

    try:
        return bool(jax.devices("cuda"))
    except RuntimeError:
        return False


def test_a_missing_gpu_is_said_and_a_present_one_used(
    adapter, framework
):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    if not gpus(framework):
        with pytest.raises(ValueError, match=r"device cuda: .*sees no"):
            adapter.build("Linear", CONFIG, PARAMS, device="cuda")
        return
    built = adapter.build("Linear", CONFIG, PARAMS, device="cuda")
    assert np.array_equal(
        adapter.run(built, {"x": x})["out.y"],
        x @ PARAMS["weight"].T,
    )
