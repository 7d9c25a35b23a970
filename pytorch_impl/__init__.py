"""PyTorch: the canonical implementation, proved in shared_tests."""

import warnings

from pytorch_impl.at_home import every_layer
from pytorch_impl.attention import attention
from pytorch_impl.attention_tiled import attention_tiled
from pytorch_impl.bilinear import TensorReduction, bilinear
from pytorch_impl.builtins.layers import from_builtin, to_builtin
from pytorch_impl.centered import CenteredLayer, centered
from pytorch_impl.conv import StandardizedConv2d, standardized_conv2d
from pytorch_impl.embedding_bag import EmbeddingBag, embedding_bag
from pytorch_impl.half_spectrum import HalfSpectrum, half_spectrum
from pytorch_impl.linear import Linear, LinearReLU, linear, linear_relu
from pytorch_impl.manual_gradient import (
    ManualLinear,
    WeightedSum,
    manual_linear,
    weighted_sum,
)
from pytorch_impl.mlp import MLP
from pytorch_impl.multi_head_attention import MultiHeadAttention
from pytorch_impl.parameters import TiedMLP
from pytorch_impl.quantization.code_linear import code_linear
from pytorch_impl.quantization.convert import convert
from pytorch_impl.quantization.fake_quantize import (
    fake_quantize,
    quantize,
)
from pytorch_impl.quantization.lsq import LSQ, lsq
from pytorch_impl.quantization.lsq_plus import LSQPlus, lsq_plus
from pytorch_impl.quantization.pact import PACT, pact
from pytorch_impl.quantization.prepare import prepare, set_mode
from pytorch_impl.quantization.qat_linear import QATLinear
from pytorch_impl.rms_norm import RMSNorm, rms_norm
from pytorch_impl.scaled_relu import ScaledReLU, scaled_relu
from pytorch_impl.text_classifier import TextClassifier
from pytorch_impl.transformer import TransformerClassifier

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

# so that they print their sizes
every_layer()

# `python -m pytorch_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'pytorch_impl", RuntimeWarning)
