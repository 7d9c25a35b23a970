"""TensorFlow/Keras: the twin of pytorch_impl, line by line."""

import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tf_impl.bilinear import TensorReduction, bilinear
from tf_impl.centered import CenteredLayer, centered
from tf_impl.half_spectrum import HalfSpectrum, half_spectrum
from tf_impl.linear import Linear, LinearReLU, linear, linear_relu
from tf_impl.mlp import MLP
from tf_impl.rms_norm import RMSNorm, rms_norm
from tf_impl.scaled_relu import ScaledReLU, scaled_relu

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

# `python -m tf_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'tf_impl", RuntimeWarning)
