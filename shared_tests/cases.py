"""The one table to edit: every case that the four frameworks must agree on.

A row is case(layer, name, config, inputs, flags, reason). `make fixtures`
computes its reference and budget; the parity run then covers it in every
framework, in float64 and float32, outputs and all gradients.

Flags that change how a case is run:
    compiled        also through torch.compile, jax.jit, XLA
    low_precision   also in bfloat16 and float16; all its numbers are then
                    drawn so that they are exact in all four precisions
    non_contiguous  inputs reach the framework in Fortran order
The other flags say what the case is there for; `reason` says why.
All axis sizes of a case differ, and they are not all powers of two.
"""

from typing import NamedTuple


class Draw(NamedTuple):
    """Numbers for one array, exact in float32."""

    shape: tuple
    scale: float = 1.0
    offset: float = 0.0
    values: tuple = ()  # these numbers instead of random ones


class Case(NamedTuple):
    layer: str
    name: str
    config: dict
    inputs: dict
    flags: frozenset
    reason: str
    params: dict  # drawn here instead of from the default distribution

    @property
    def id(self):
        return f"{self.layer}-{self.name}"


def normal(*shape, scale=1.0, offset=0.0):
    """Normal draws of that standard deviation around that mean."""
    return Draw(shape, scale, offset)


def values(*numbers):
    """A vector of just these numbers."""
    return Draw((len(numbers),), values=numbers)


def zeros(*shape):
    return Draw(shape, scale=0.0)


def case(layer, name, config, inputs, flags, reason, params=None):
    flags = frozenset(flags.split())
    return Case(
        layer, name, config, inputs, flags, reason, params or {}
    )


LINEAR = dict(in_features=7, out_features=3)
SMALL_MLP = dict(input_size=7, hidden_size=11, output_size=3)

# fmt: off
CASES = [
    # centered
    case("CenteredLayer", "basic", {}, dict(x=normal(5, 7)),
         "basic compiled low_precision",
         "the mean is over all elements, not over an axis"),
    case("CenteredLayer", "scalar", {}, dict(x=normal()),
         "rank_0", "one number centred is exactly 0"),
    case("CenteredLayer", "vector", {}, dict(x=normal(13)),
         "rank_1 odd_length", "no batch axis at all"),
    case("CenteredLayer", "rank_3", {}, dict(x=normal(3, 5, 7)),
         "rank_3", "the mean is over every axis"),
    case("CenteredLayer", "batch_1", {}, dict(x=normal(1, 7)),
         "batch_1", "a mean over the batch axis would give 0 here"),
    case("CenteredLayer", "empty_batch", {}, dict(x=normal(0, 7)),
         "empty_batch", "the mean of nothing is NaN and must not get out"),
    case("CenteredLayer", "offset_1e4", {}, dict(x=normal(11, 13, offset=1e4)),
         "offset_1e4", "cancellation: the budget must grow with the offset"),
    case("CenteredLayer", "tiny_inputs", {}, dict(x=normal(5, 7, scale=1e-30)),
         "tiny_inputs", "no constant of a page may swamp small inputs"),
    case("CenteredLayer", "large", {}, dict(x=normal(97, 113)),
         "many_elements", "10,961 terms in one sum"),
    case("CenteredLayer", "non_contiguous", {}, dict(x=normal(5, 7)),
         "non_contiguous", "strides must not matter"),

    # linear
    case("Linear", "basic", LINEAR, dict(x=normal(5, 7)),
         "basic compiled low_precision", "start here: distinct sizes"),
    case("Linear", "no_bias", LINEAR | dict(bias=False), dict(x=normal(5, 7)),
         "no_bias", "the bias is optional, and absent from the parameters"),
    case("Linear", "vector", LINEAR, dict(x=normal(7)),
         "rank_1", "a single sample without a batch axis"),
    case("Linear", "leading_axes", LINEAR, dict(x=normal(2, 5, 7)),
         "rank_3", "gradients sum over every leading axis"),
    case("Linear", "batch_1", LINEAR, dict(x=normal(1, 7)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("Linear", "empty_batch", LINEAR, dict(x=normal(0, 7)),
         "empty_batch", "parameter gradients are 0, not stale memory"),
    case("Linear", "one_by_one", dict(in_features=1, out_features=1),
         dict(x=normal(5, 1)), "size_1", "the smallest weight"),
    case("Linear", "wide", dict(in_features=1000, out_features=11),
         dict(x=normal(3, 1000)), "many_terms", "long sums of both signs"),
    case("Linear", "tall_batch", LINEAR, dict(x=normal(503, 7)),
         "many_terms", "long sums in the parameter gradients"),
    case("Linear", "offset_1e4", LINEAR, dict(x=normal(5, 7, offset=1e4)),
         "offset_1e4", "cancellation in the products"),
    case("Linear", "tiny_inputs", LINEAR, dict(x=normal(5, 7, scale=1e-30)),
         "tiny_inputs", "far below the bias: only the bias is left in y"),
    case("Linear", "huge_inputs", LINEAR, dict(x=normal(5, 7, scale=1e30)),
         "huge_inputs", "no overflow on the way"),
    case("Linear", "non_contiguous", LINEAR, dict(x=normal(5, 7)),
         "non_contiguous", "strides must not matter"),
    case("LinearReLU", "basic", LINEAR, dict(x=normal(5, 7)),
         "basic compiled low_precision", "about half of the outputs are 0"),
    case("LinearReLU", "at_zero", LINEAR, dict(x=zeros(5, 7)),
         "tie at_bound", "y is exactly 0: the gradient there is 0",
         params=dict(bias=values(0.0, 1.0, -1.0))),
    case("LinearReLU", "leading_axes", LINEAR, dict(x=normal(2, 5, 7)),
         "rank_3", "as Linear"),
    case("LinearReLU", "batch_1", LINEAR, dict(x=normal(1, 7)),
         "batch_1", "as Linear"),
    case("LinearReLU", "empty_batch", LINEAR, dict(x=normal(0, 7)),
         "empty_batch", "as Linear"),

    # scaled_relu
    case("ScaledReLU", "basic", dict(scale=0.5), dict(x=normal(5, 7)),
         "basic compiled low_precision", "a scale of 1 would hide itself"),
    case("ScaledReLU", "default_scale", {}, dict(x=normal(5, 7)),
         "default", "the default scale is 1"),
    case("ScaledReLU", "inexact_scale", dict(scale=0.1), dict(x=normal(5, 7)),
         "inexact", "0.1 is not a binary number: it must not be rounded early"),
    case("ScaledReLU", "negative_scale", dict(scale=-3.0),
         dict(x=normal(5, 7)), "negative", "the scale is outside the maximum"),
    case("ScaledReLU", "at_zero", dict(scale=0.5),
         dict(x=values(0.0, -0.0, 1.0, -1.0, 2.0**-100, -(2.0**-100))),
         "tie at_bound", "the gradient at 0 and -0 is 0"),
    case("ScaledReLU", "scalar", dict(scale=0.5), dict(x=normal()),
         "rank_0", "any shape, also none"),
    case("ScaledReLU", "rank_3", dict(scale=0.5), dict(x=normal(3, 5, 7)),
         "rank_3", "any shape"),
    case("ScaledReLU", "empty_batch", dict(scale=0.5), dict(x=normal(0, 7)),
         "empty_batch", "nothing in, nothing out"),

    # mlp
    case("MLP", "basic", SMALL_MLP, dict(x=normal(5, 7)),
         "basic compiled low_precision", "four parameters, two layers deep"),
    case("MLP", "scale", SMALL_MLP | dict(scale=1.75), dict(x=normal(5, 7)),
         "scale", "the scale reaches the rectifier"),
    case("MLP", "leading_axes", SMALL_MLP, dict(x=normal(2, 5, 7)),
         "rank_3", "gradients sum over every leading axis"),
    case("MLP", "batch_1", SMALL_MLP, dict(x=normal(1, 7)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("MLP", "empty_batch", SMALL_MLP, dict(x=normal(0, 7)),
         "empty_batch", "four parameter gradients of 0"),
    case("MLP", "wide", dict(input_size=13, hidden_size=211, output_size=5),
         dict(x=normal(37, 13)), "many_terms", "sums over 211 hidden units"),
    case("MLP", "offset_1e4", SMALL_MLP, dict(x=normal(5, 7, offset=1e4)),
         "offset_1e4", "large activations through both layers"),

    # bilinear
    case("TensorReduction", "basic", LINEAR, dict(x=normal(5, 7)),
         "basic compiled low_precision", "W itself need not be symmetric"),
    case("TensorReduction", "vector", LINEAR, dict(x=normal(7)),
         "rank_1", "a single sample without a batch axis"),
    case("TensorReduction", "leading_axes", LINEAR, dict(x=normal(2, 5, 7)),
         "rank_3", "gradients sum over every leading axis"),
    case("TensorReduction", "batch_1", LINEAR, dict(x=normal(1, 7)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("TensorReduction", "empty_batch", LINEAR, dict(x=normal(0, 7)),
         "empty_batch", "the parameter gradient is 0"),
    case("TensorReduction", "wide", dict(in_features=31, out_features=5),
         dict(x=normal(3, 31)), "many_terms", "961 terms an output"),
    case("TensorReduction", "offset_1e4", LINEAR,
         dict(x=normal(5, 7, offset=1e4)),
         "offset_1e4", "squares of large numbers"),
    case("TensorReduction", "tiny_inputs", LINEAR,
         dict(x=normal(5, 7, scale=1e-30)), "tiny_inputs",
         "the square is below float32: zero is allowed, NaN is not"),

    # half_spectrum
    case("HalfSpectrum", "basic", {}, dict(x=normal(5, 12)),
         "basic even_length", "re and im of 7 bins"),
    case("HalfSpectrum", "odd_length", {}, dict(x=normal(5, 7)),
         "odd_length compiled", "the last bin has a twin, unlike at even N"),
    case("HalfSpectrum", "vector", {}, dict(x=normal(9)),
         "rank_1", "no batch axis"),
    case("HalfSpectrum", "rank_3", {}, dict(x=normal(2, 3, 10)),
         "rank_3", "only the last axis is transformed"),
    case("HalfSpectrum", "length_1", {}, dict(x=normal(5, 1)),
         "size_1", "the transform of one sample is itself"),
    case("HalfSpectrum", "length_2", {}, dict(x=normal(5, 2)),
         "even_length", "both bins are real"),
    case("HalfSpectrum", "batch_1", {}, dict(x=normal(1, 12)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("HalfSpectrum", "empty_batch", {}, dict(x=normal(0, 12)),
         "empty_batch", "MKL refuses it; the page must not"),
    case("HalfSpectrum", "prime", {}, dict(x=normal(2, 2003)),
         "odd_length many_terms", "angles need float64 at this length"),
    case("HalfSpectrum", "power_of_two", {}, dict(x=normal(3, 1024)),
         "even_length many_terms", "the fast algorithm's own length"),
    case("HalfSpectrum", "offset_1e4", {}, dict(x=normal(5, 30, offset=1e4)),
         "offset_1e4", "bin 0 dwarfs the others: their budget grows with it"),
    case("HalfSpectrum", "non_contiguous", {}, dict(x=normal(5, 12)),
         "non_contiguous", "strides must not matter"),

    # rms_norm
    case("RMSNorm", "basic", dict(dim=7), dict(x=normal(5, 7)),
         "basic compiled low_precision", "the mean is over the last axis only"),
    case("RMSNorm", "vector", dict(dim=7), dict(x=normal(7)),
         "rank_1", "a single sample without a batch axis"),
    case("RMSNorm", "leading_axes", dict(dim=7), dict(x=normal(2, 5, 7)),
         "rank_3", "the weight gradient sums over every leading axis"),
    case("RMSNorm", "batch_1", dict(dim=7), dict(x=normal(1, 7)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("RMSNorm", "empty_batch", dict(dim=7), dict(x=normal(0, 7)),
         "empty_batch", "the weight gradient is 0"),
    case("RMSNorm", "wide", dict(dim=1009), dict(x=normal(3, 1009)),
         "many_terms", "long sums of squares"),
    case("RMSNorm", "eps", dict(dim=7, eps=0.1), dict(x=normal(5, 7)),
         "eps", "eps is inside the root, and large enough to be seen"),
    case("RMSNorm", "zero_row", dict(dim=7), dict(x=zeros(5, 7)),
         "zeros", "0, not NaN; the gradient is 1 / sqrt(eps)"),
    case("RMSNorm", "offset_1e4", dict(dim=7),
         dict(x=normal(5, 7, offset=1e4)),
         "offset_1e4", "the gradient by x is a small difference"),
    case("RMSNorm", "tiny_inputs", dict(dim=7),
         dict(x=normal(5, 7, scale=1e-30)),
         "tiny_inputs", "the squares are below float32: eps is all there is"),
    case("RMSNorm", "huge_inputs", dict(dim=7),
         dict(x=normal(5, 7, scale=1e15)),
         "huge_inputs", "no overflow on the way"),
]
# fmt: on
