"""TensorFlow/Keras: the twin of pytorch_impl, line by line."""

import os
import warnings

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from tf_impl.attention import attention
from tf_impl.attention_tiled import attention_tiled
from tf_impl.bilinear import TensorReduction, bilinear
from tf_impl.builtins.layers import from_builtin, to_builtin
from tf_impl.centered import CenteredLayer, centered
from tf_impl.conv import StandardizedConv2d, standardized_conv2d
from tf_impl.embedding_bag import EmbeddingBag, embedding_bag
from tf_impl.half_spectrum import HalfSpectrum, half_spectrum
from tf_impl.linear import Linear, LinearReLU, linear, linear_relu
from tf_impl.manual_gradient import (
    ManualLinear,
    WeightedSum,
    manual_linear,
    weighted_sum,
)
from tf_impl.mlp import MLP
from tf_impl.multi_head_attention import MultiHeadAttention
from tf_impl.parameters import TiedMLP
from tf_impl.quantization.code_linear import code_linear
from tf_impl.quantization.convert import convert
from tf_impl.quantization.fake_quantize import fake_quantize, quantize
from tf_impl.quantization.lsq import LSQ, lsq
from tf_impl.quantization.lsq_plus import LSQPlus, lsq_plus
from tf_impl.quantization.pact import PACT, pact
from tf_impl.quantization.prepare import prepare, set_mode
from tf_impl.quantization.qat_linear import QATLinear
from tf_impl.rms_norm import RMSNorm, rms_norm
from tf_impl.scaled_relu import ScaledReLU, scaled_relu
from tf_impl.serializable import register, serializable_layers
from tf_impl.text_classifier import TextClassifier
from tf_impl.transformer import TransformerClassifier

__all__ = [
    "CenteredLayer",
    "EmbeddingBag",
    "HalfSpectrum",
    "LSQ",
    "LSQPlus",
    "Linear",
    "LinearReLU",
    "MLP",
    "ManualLinear",
    "MultiHeadAttention",
    "PACT",
    "QATLinear",
    "RMSNorm",
    "ScaledReLU",
    "StandardizedConv2d",
    "TensorReduction",
    "TextClassifier",
    "TiedMLP",
    "TransformerClassifier",
    "WeightedSum",
    "attention",
    "attention_tiled",
    "bilinear",
    "centered",
    "code_linear",
    "convert",
    "embedding_bag",
    "fake_quantize",
    "from_builtin",
    "half_spectrum",
    "linear",
    "linear_relu",
    "lsq",
    "lsq_plus",
    "manual_linear",
    "pact",
    "prepare",
    "quantize",
    "rms_norm",
    "scaled_relu",
    "set_mode",
    "standardized_conv2d",
    "to_builtin",
    "weighted_sum",
]

# so that Keras can save them, and load them again
serializable_layers()
register(attention)
register(attention_tiled)

# `python -m tf_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'tf_impl", RuntimeWarning)
