"""docs/operations.md says what the code does, and every core operation
is treated; ordinary modules run, forward and backward."""

import pathlib

import pytest
import torch
from torch import nn

from shared_tests.roundoff.rules.noise import RoundingNoise
from shared_tests.roundoff.rules.operations import core, page, treated

ENVIRONMENTS = ("pytorch",)

DOCS = pathlib.Path(__file__).resolve().parents[4] / "docs"


def test_the_page_is_fresh():
    """Else: python -m shared_tests.roundoff.rules.operations > docs/..."""
    assert (DOCS / "operations.md").read_text() == page()


def test_every_core_operation_is_treated():
    assert len(core()) > 180
    refused = [str(f) for f in core() if treated(f)[0] == "refused"]
    assert refused == []


ROW, IMAGE, SEQUENCE = (5, 16), (2, 6, 9, 11), (2, 6, 13)
VOLUME, STEPS = (2, 4, 5, 6, 7), (7, 2, 6)
# layer, its arguments, and the shape of x
LAYERS = """
ReLU|| ROW
ReLU6|| ROW
ELU|| ROW
CELU|| ROW
SELU|| ROW
GELU|| ROW
SiLU|| ROW
Mish|| ROW
Softplus|| ROW
Softsign|| ROW
Softmin|-1| ROW
Softmax|-1| ROW
LogSoftmax|-1| ROW
Tanh|| ROW
Tanhshrink|| ROW
Hardtanh|| ROW
Hardsigmoid|| ROW
Hardswish|| ROW
Hardshrink|| ROW
Softshrink|| ROW
LeakyReLU|| ROW
LogSigmoid|| ROW
Sigmoid|| ROW
PReLU|| ROW
GLU|| ROW
Threshold|0.1, 20.0| ROW
Linear|16, 7| ROW
LayerNorm|16| ROW
RMSNorm|16| ROW
GroupNorm|3, 6| IMAGE
BatchNorm1d|16| ROW
BatchNorm2d|6| IMAGE
BatchNorm3d|4| VOLUME
InstanceNorm1d|6| SEQUENCE
InstanceNorm2d|6| IMAGE
InstanceNorm3d|4| VOLUME
LocalResponseNorm|3| IMAGE
Conv1d|6, 8, 3| SEQUENCE
Conv2d|6, 9, 3, 2, 1, 1, 3| IMAGE
Conv3d|4, 5, 3| VOLUME
ConvTranspose1d|6, 8, 3, 2| SEQUENCE
ConvTranspose2d|6, 9, 3, 2, 1, 1, 3| IMAGE
ConvTranspose3d|4, 5, 2, 2| VOLUME
Unfold|3| IMAGE
MaxPool1d|3, 2| SEQUENCE
MaxPool2d|3, 2| IMAGE
MaxPool3d|3, 2| VOLUME
AvgPool1d|3, 2| SEQUENCE
AvgPool2d|3, 2| IMAGE
AvgPool3d|3, 2| VOLUME
AdaptiveAvgPool1d|3| SEQUENCE
AdaptiveAvgPool2d|3| IMAGE
AdaptiveAvgPool3d|3| VOLUME
AdaptiveMaxPool2d|3| IMAGE
LPPool2d|2, 2| IMAGE
ReflectionPad2d|1| IMAGE
ReplicationPad2d|1| IMAGE
CircularPad2d|1| IMAGE
Upsample|None, 2, 'nearest'| IMAGE
Upsample|None, 2, 'bilinear'| IMAGE
Upsample|None, 2, 'bicubic'| IMAGE
Upsample|None, 2, 'trilinear'| VOLUME
PixelShuffle|1| IMAGE
ChannelShuffle|3| IMAGE
RNN|6, 8| STEPS
GRU|6, 8, 2| STEPS
LSTM|6, 8, 2| STEPS
TransformerEncoderLayer|6, 2, 8, 0.0| STEPS
""".strip().split("\n")


@pytest.mark.parametrize("row", LAYERS)
def test_a_layer_runs_forward_and_backward(row):
    name, sizes, shape = row.split("|")
    layer = eval(f"nn.{name}({sizes})").double()
    x = torch.randn(eval(shape), dtype=torch.float64)
    x.requires_grad_()
    with RoundingNoise(torch.Generator()):
        y = layer(x)
        y = y[0] if isinstance(y, tuple) else y
        wanted = [x, *layer.parameters()]
        grads = torch.autograd.grad(y, wanted, torch.ones_like(y))
    assert all(torch.isfinite(g).all() for g in grads)
    assert not torch.equal(grads[0], torch.zeros_like(x))


def test_nn_is_what_the_table_names():
    assert all(hasattr(nn, row.split("|")[0]) for row in LAYERS)
