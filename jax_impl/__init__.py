"""JAX: the twins of pytorch_impl, in flax.nnx."""

import warnings

from jax_impl.attention import attention
from jax_impl.attention_tiled import attention_tiled
from jax_impl.bilinear import TensorReduction, bilinear
from jax_impl.builtins.layers import from_builtin, to_builtin
from jax_impl.centered import CenteredLayer, centered
from jax_impl.conv import StandardizedConv2d, standardized_conv2d
from jax_impl.embedding_bag import EmbeddingBag, embedding_bag
from jax_impl.half_spectrum import HalfSpectrum, half_spectrum
from jax_impl.linear import Linear, LinearReLU, linear, linear_relu
from jax_impl.manual_gradient import (
    ManualLinear,
    WeightedSum,
    manual_linear,
    weighted_sum,
)
from jax_impl.mlp import MLP
from jax_impl.multi_head_attention import MultiHeadAttention
from jax_impl.parameters import TiedMLP
from jax_impl.quantization.code_linear import code_linear
from jax_impl.quantization.convert import convert
from jax_impl.quantization.fake_quantize import fake_quantize, quantize
from jax_impl.quantization.lsq import LSQ, lsq
from jax_impl.quantization.lsq_plus import LSQPlus, lsq_plus
from jax_impl.quantization.pact import PACT, pact
from jax_impl.quantization.prepare import prepare, set_mode
from jax_impl.quantization.qat_linear import QATLinear
from jax_impl.rms_norm import RMSNorm, rms_norm
from jax_impl.scaled_relu import ScaledReLU, scaled_relu
from jax_impl.text_classifier import TextClassifier
from jax_impl.transformer import TransformerClassifier

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

# `python -m jax_impl.linear` runs a page that this file has imported
warnings.filterwarnings("ignore", "'jax_impl", RuntimeWarning)
