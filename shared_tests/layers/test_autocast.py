"""PyTorch: every layer under torch.autocast, and on the meta device."""

import pytest
import torch

import pytorch_impl
from shared_tests.layers.setups import NAMES, SETUPS, drawn

ENVIRONMENTS = ("pytorch",)

EVERY_SETUP = pytest.mark.parametrize(
    "layer, config, shape", SETUPS, ids=NAMES
)


def started(layer, config, shape):
    """Quantizers have seen x, and no longer move."""
    x = torch.from_numpy(drawn(shape))
    made = getattr(pytorch_impl, layer)(**config)
    if hasattr(made, "start"):
        made.start(x)
    pytorch_impl.set_mode(made, "observe")(x)
    return pytorch_impl.set_mode(made, "frozen"), x


@EVERY_SETUP
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("narrow", [True, False])
def test_autocast(layer, config, shape, half, narrow):
    """x in float32, or as another layer hands it on: forward and
    backward run, and each parameter has a gradient of its own dtype."""
    made, x = started(layer, config, shape)
    floats = x.is_floating_point()
    given = x.to(half) if narrow and floats else x.clone()
    given.requires_grad_(floats)
    with torch.autocast("cpu", dtype=half):
        if narrow and layer == "HalfSpectrum":
            with pytest.raises(TypeError, match="expected float32 or"):
                made(given)  # torch.fft has no 16 bits on the CPU
            return
        y = made(given)
    assert y.dtype in (half, torch.float32)
    assert torch.isfinite(y).all()
    y.float().square().sum().backward()
    for p in [given, *made.parameters()]:
        if p.grad is not None:
            assert p.grad.dtype == p.dtype
            assert torch.isfinite(p.grad).all()
    assert (given.grad is not None) == floats


@EVERY_SETUP
def test_meta(layer, config, shape):
    """Shapes alone: nothing is computed, and nothing is looked at."""
    whole, x = started(layer, config, shape)
    expected = whole(x).shape
    with torch.device("meta"):
        made = getattr(pytorch_impl, layer)(**config)
        x = torch.from_numpy(drawn(shape)).to("meta")
        if hasattr(made, "start"):
            made.start(x)
        for mode in ("observe", "quantize", "frozen"):
            y = pytorch_impl.set_mode(made, mode)(x)
            assert y.is_meta and y.shape == expected
        if layer == "QATLinear":
            y = pytorch_impl.convert(made)(x)
            assert y.is_meta and y.shape == expected
