"""JAX: the twins of pytorch_impl, in flax.nnx."""

import warnings

from jax_impl.bilinear import TensorReduction, bilinear
from jax_impl.centered import CenteredLayer, centered
from jax_impl.half_spectrum import HalfSpectrum, half_spectrum
from jax_impl.linear import Linear, LinearReLU, linear, linear_relu
from jax_impl.mlp import MLP
from jax_impl.rms_norm import RMSNorm, rms_norm
from jax_impl.scaled_relu import ScaledReLU, scaled_relu

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

# `python -m jax_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'jax_impl", RuntimeWarning)
