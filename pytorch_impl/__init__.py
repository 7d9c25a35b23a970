"""PyTorch: the canonical implementation, proved in shared_tests."""

import warnings

from pytorch_impl.bilinear import TensorReduction, bilinear
from pytorch_impl.centered import CenteredLayer, centered
from pytorch_impl.half_spectrum import HalfSpectrum, half_spectrum
from pytorch_impl.linear import Linear, LinearReLU, linear, linear_relu
from pytorch_impl.mlp import MLP
from pytorch_impl.rms_norm import RMSNorm, rms_norm
from pytorch_impl.scaled_relu import ScaledReLU, scaled_relu

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

# `python -m pytorch_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'pytorch_impl", RuntimeWarning)
