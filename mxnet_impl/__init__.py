"""MXNet: the twins of pytorch_impl, in Gluon."""

import warnings

from mxnet import npx

from mxnet_impl.at_home import every_layer
from mxnet_impl.attention import attention
from mxnet_impl.attention_tiled import attention_tiled
from mxnet_impl.bilinear import TensorReduction, bilinear
from mxnet_impl.builtins.layers import from_builtin, to_builtin
from mxnet_impl.centered import CenteredLayer, centered
from mxnet_impl.conv import StandardizedConv2d, standardized_conv2d
from mxnet_impl.embedding_bag import EmbeddingBag, embedding_bag
from mxnet_impl.half_spectrum import HalfSpectrum, half_spectrum
from mxnet_impl.linear import Linear, LinearReLU, linear, linear_relu
from mxnet_impl.manual_gradient import (
    ManualLinear,
    WeightedSum,
    manual_linear,
    weighted_sum,
)
from mxnet_impl.mlp import MLP
from mxnet_impl.multi_head_attention import MultiHeadAttention
from mxnet_impl.parameters import TiedMLP
from mxnet_impl.quantization.code_linear import code_linear
from mxnet_impl.quantization.convert import convert
from mxnet_impl.quantization.fake_quantize import (
    fake_quantize,
    quantize,
)
from mxnet_impl.quantization.lsq import LSQ, lsq
from mxnet_impl.quantization.lsq_plus import LSQPlus, lsq_plus
from mxnet_impl.quantization.pact import PACT, pact
from mxnet_impl.quantization.prepare import prepare, set_mode
from mxnet_impl.quantization.qat_linear import QATLinear
from mxnet_impl.rms_norm import RMSNorm, rms_norm
from mxnet_impl.scaled_relu import ScaledReLU, scaled_relu
from mxnet_impl.text_classifier import TextClassifier
from mxnet_impl.transformer import TransformerClassifier

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

# so that they print their sizes and load their own files
every_layer()

npx.set_np()

# `python -m mxnet_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'mxnet_impl", RuntimeWarning)
