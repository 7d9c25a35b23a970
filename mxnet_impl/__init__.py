"""MXNet: the twins of pytorch_impl, in Gluon."""

import warnings

from mxnet import npx

from mxnet_impl.bilinear import TensorReduction, bilinear
from mxnet_impl.centered import CenteredLayer, centered
from mxnet_impl.half_spectrum import HalfSpectrum, half_spectrum
from mxnet_impl.linear import Linear, LinearReLU, linear, linear_relu
from mxnet_impl.mlp import MLP
from mxnet_impl.rms_norm import RMSNorm, rms_norm
from mxnet_impl.scaled_relu import ScaledReLU, scaled_relu

__all__ = [
    "CenteredLayer",
    "HalfSpectrum",
    "Linear",
    "LinearReLU",
    "MLP",
    "RMSNorm",
    "ScaledReLU",
    "TensorReduction",
    "bilinear",
    "centered",
    "half_spectrum",
    "linear",
    "linear_relu",
    "rms_norm",
    "scaled_relu",
]

npx.set_np()

# `python -m mxnet_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'mxnet_impl", RuntimeWarning)
