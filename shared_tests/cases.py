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
    allow: float | None = None  # a mask: the share that may be attended
    closed: tuple = ()  # rows of a mask where nothing may be
    classes: int = 0  # integer labels below it
    whole: bool = False  # the values are integers


class Case(NamedTuple):
    layer: str
    name: str
    config: dict
    inputs: dict
    flags: frozenset
    reason: str
    params: dict  # drawn here instead of from the default distribution
    like: str = ""  # the case whose numbers and budgets it has to meet
    training: dict | None = None  # loss, rule, lr: a training run

    @property
    def id(self):
        return f"{self.layer}-{self.name}"

    @property
    def fixture(self):
        return self.like or self.id


def normal(*shape, scale=1.0, offset=0.0):
    """Normal draws of that standard deviation around that mean."""
    return Draw(shape, scale, offset)


def values(*numbers):
    """A vector of just these numbers."""
    return Draw((len(numbers),), values=numbers)


def number(value):
    """That one number, without an axis."""
    return Draw((), values=(value,))


def whole(*numbers, shape=None):
    shape = (len(numbers),) if shape is None else shape
    return Draw(shape, values=numbers, whole=True)


def zeros(*shape):
    return Draw(shape, scale=0.0)


def mask(*shape, allow=0.6, closed=()):
    """Booleans, True = may attend; closed rows are False throughout."""
    return Draw(shape, allow=allow, closed=closed)


def labels(*shape, classes):
    """Integers from 0 to classes - 1."""
    return Draw(shape, classes=classes)


def case(layer, name, config, inputs, flags, reason, params=None):
    flags = frozenset(flags.split())
    return Case(
        layer, name, config, inputs, flags, reason, params or {}
    )


def trained(layer, name, config, x, target, loss, rule, lr, reason):
    """20 steps of training.py, one batch a step, first axis the step."""
    inputs = dict(x=normal(20, *x), target=target(20))
    training = dict(loss=loss, rule=rule, lr=lr)
    flags = f"training {rule}"
    one = case(layer, name, config, inputs, flags, reason)
    return one._replace(training=training)


def numbers(*shape):
    return lambda steps: normal(steps, *shape)


def classes(batch, count):
    return lambda steps: labels(steps, batch, classes=count)


def variant(of, layer, **config):
    """The same case by another page: same numbers, same budgets."""
    return of._replace(
        layer=layer, config=of.config | config, like=of.fixture
    )


def steps(scale, zero_point=0, **more):
    """One scale and one zero point, or one for each channel."""
    if isinstance(scale, tuple):
        pair = values(*scale), whole(*zero_point)
    else:
        pair = number(scale), whole(zero_point, shape=())
    return dict(scale=pair[0], zero_point=pair[1]) | more


def qkv(q, k, **more):
    """Inputs of attention: q and k with these shapes, v shaped as k."""
    return dict(q=normal(*q), k=normal(*k), v=normal(*k)) | more


LINEAR = dict(in_features=7, out_features=3)
SMALL_MLP = dict(input_size=7, hidden_size=11, output_size=3)
CONV = dict(in_channels=2, out_channels=5, kernel_size=3)
HEADS = dict(embed_dim=12, num_heads=3)
CLASSIFIER = dict(
    input_dim=5, embed_dim=12, num_heads=3, num_layers=2, num_classes=4
)
Q, K = (2, 3, 5, 4), (2, 3, 7, 4)
LEARNED = dict(
    weight_quantizer="lsq", input_quantizer="lsq", input_bits=4
)
STEPS = {
    "input_quantizer.step": number(0.3),
    "weight_quantizer.step": values(0.011, 0.023, 0.007),
}

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

    # parameters
    case("TiedMLP", "basic", dict(features=7), dict(x=normal(5, 7)),
         "basic compiled low_precision shared",
         "one weight in two places: its gradient is the sum of both"),
    case("TiedMLP", "leading_axes", dict(features=7), dict(x=normal(2, 5, 7)),
         "rank_3 shared", "gradients sum over every leading axis"),
    case("TiedMLP", "batch_1", dict(features=7), dict(x=normal(1, 7)),
         "batch_1 shared", "an axis of size 1 hides broadcasting mistakes"),
    case("TiedMLP", "empty_batch", dict(features=7), dict(x=normal(0, 7)),
         "empty_batch shared", "both uses add up to 0, not to stale memory"),

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
    case("HalfSpectrum", "offset_long", {}, dict(x=normal(3, 500, offset=17)),
         "offset_1e4 many_terms", "beside bin 0 plain sums fail, 40 sigma off"),
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
    case("RMSNorm", "overflow", dict(dim=7),
         dict(x=normal(5, 7, scale=512.0)), "low_precision large",
         "x squared is beyond float16"),
    case("rms_norm", "defaults", {},
         dict(x=normal(5, 7, scale=1e-3), weight=normal(7)),
         "defaults eps", "eps of the function is that of the layer"),

    # conv
    case("StandardizedConv2d", "basic", CONV, dict(x=normal(4, 2, 7, 8)),
         "basic compiled low_precision", "start here: distinct sizes"),
    case("StandardizedConv2d", "stride", CONV | dict(stride=2),
         dict(x=normal(4, 2, 7, 10)), "stride", "the last column is not used"),
    case("StandardizedConv2d", "padding", CONV | dict(padding=1),
         dict(x=normal(4, 2, 7, 8)), "padding", "zeros around, on both sides"),
    case("StandardizedConv2d", "stride_padding",
         CONV | dict(stride=3, padding=2), dict(x=normal(4, 2, 7, 9)),
         "stride padding compiled", "TensorFlow's SAME would pad elsewhere"),
    case("StandardizedConv2d", "smaller_than_kernel", CONV | dict(padding=1),
         dict(x=normal(4, 2, 1, 7)), "padding size_1",
         "one row, which the padding makes large enough"),
    case("StandardizedConv2d", "even_kernel",
         CONV | dict(kernel_size=4, padding=1), dict(x=normal(3, 2, 7, 9)),
         "padding", "a kernel without a centre"),
    case("StandardizedConv2d", "kernel_1",
         dict(in_channels=7, out_channels=3, kernel_size=1),
         dict(x=normal(4, 7, 5, 6)), "size_1", "a filter over channels only"),
    case("StandardizedConv2d", "one_row", CONV,
         dict(x=normal(4, 2, 3, 5)), "size_1", "one row of outputs"),
    case("StandardizedConv2d", "batch_1", CONV, dict(x=normal(1, 2, 7, 8)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("StandardizedConv2d", "empty_batch", CONV,
         dict(x=normal(0, 2, 7, 8)),
         "empty_batch", "parameter gradients are 0"),
    case("StandardizedConv2d", "wide",
         dict(in_channels=31, out_channels=3, kernel_size=5, padding=2),
         dict(x=normal(2, 31, 11, 13)), "many_terms", "775 terms an output"),
    case("StandardizedConv2d", "offset_1e4", CONV,
         dict(x=normal(4, 2, 7, 8)), "offset_1e4",
         "filters far from 0: the standardisation cancels",
         params=dict(weight=normal(5, 2, 3, 3, offset=1e4))),
    case("StandardizedConv2d", "equal_filters", CONV,
         dict(x=normal(4, 2, 7, 8)), "zeros",
         "variance 0: eps keeps it finite",
         params=dict(weight=normal(5, 2, 3, 3, scale=0.0, offset=0.5))),
    case("StandardizedConv2d", "eps", CONV | dict(eps=0.25),
         dict(x=normal(4, 2, 7, 8)), "eps", "eps is inside the root"),
    case("StandardizedConv2d", "non_contiguous", CONV,
         dict(x=normal(4, 2, 7, 8)),
         "non_contiguous", "strides must not matter"),
    case("standardized_conv2d", "defaults", {},
         dict(x=normal(4, 7, 3, 6), weight=normal(5, 7, 1, 1, scale=0.01),
              bias=normal(5)),
         "defaults eps", "the options of the function are the layer's"),

    # manual_gradient
    case("WeightedSum", "basic", dict(in_features=7), dict(x=normal(5, 7)),
         "basic compiled low_precision", "a single number comes out"),
    case("WeightedSum", "batch_1", dict(in_features=7), dict(x=normal(1, 7)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("WeightedSum", "empty_batch", dict(in_features=7),
         dict(x=normal(0, 7)), "empty_batch", "the sum of nothing is 0"),
    case("WeightedSum", "one_by_one", dict(in_features=1),
         dict(x=normal(5, 1)), "size_1", "the smallest weight"),
    case("WeightedSum", "large", dict(in_features=113),
         dict(x=normal(97, 113)), "many_terms", "10,961 terms in one sum"),
    case("WeightedSum", "offset_1e4", dict(in_features=7),
         dict(x=normal(5, 7, offset=1e4)), "offset_1e4", "cancellation"),
    case("ManualLinear", "basic", LINEAR, dict(x=normal(5, 7)),
         "basic compiled low_precision", "as Linear, gradient by hand"),
    case("ManualLinear", "batch_1", LINEAR, dict(x=normal(1, 7)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("ManualLinear", "empty_batch", LINEAR, dict(x=normal(0, 7)),
         "empty_batch", "parameter gradients are 0, not stale memory"),
    case("ManualLinear", "wide", dict(in_features=1000, out_features=11),
         dict(x=normal(3, 1000)), "many_terms", "long sums of both signs"),
    case("ManualLinear", "tall_batch", LINEAR, dict(x=normal(503, 7)),
         "many_terms", "long sums in the parameter gradients"),
    case("ManualLinear", "non_contiguous", LINEAR, dict(x=normal(5, 7)),
         "non_contiguous", "strides must not matter"),

    # multi_head_attention
    case("MultiHeadAttention", "basic", HEADS, dict(x=normal(2, 5, 12)),
         "basic compiled low_precision", "q, k, v from one weight"),
    case("MultiHeadAttention", "causal", HEADS | dict(causal=True),
         dict(x=normal(2, 5, 12)), "causal", "the first token sees itself"),
    case("MultiHeadAttention", "grouped",
         dict(embed_dim=12, num_heads=6, num_kv_heads=2),
         dict(x=normal(3, 5, 12)), "grouped compiled",
         "rows of the weight: 6 heads of q, 2 of k, 2 of v"),
    case("MultiHeadAttention", "one_kv_head",
         dict(embed_dim=12, num_heads=3, num_kv_heads=1),
         dict(x=normal(2, 5, 12)), "grouped", "all queries share the keys"),
    case("MultiHeadAttention", "no_bias", HEADS | dict(bias=False),
         dict(x=normal(2, 5, 12)), "no_bias", "neither of the two biases"),
    case("MultiHeadAttention", "no_out_proj", HEADS | dict(out_proj=False),
         dict(x=normal(2, 5, 12)), "no_out_proj", "the heads, side by side"),
    case("MultiHeadAttention", "masked", HEADS,
         dict(x=normal(2, 5, 12), attn_mask=mask(2, 1, 1, 5)),
         "mask", "keys that are padding, by sample"),
    case("MultiHeadAttention", "one_head", dict(embed_dim=6, num_heads=1),
         dict(x=normal(2, 5, 6)), "size_1", "one head over all channels"),
    case("MultiHeadAttention", "width_1", dict(embed_dim=6, num_heads=6),
         dict(x=normal(2, 5, 6)), "size_1", "heads of one channel"),
    case("MultiHeadAttention", "one_token", HEADS, dict(x=normal(2, 1, 12)),
         "size_1", "nothing to choose from"),
    case("MultiHeadAttention", "batch_1", HEADS, dict(x=normal(1, 5, 12)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("MultiHeadAttention", "empty_batch", HEADS,
         dict(x=normal(0, 5, 12)),
         "empty_batch", "parameter gradients are 0"),
    case("MultiHeadAttention", "many_tokens",
         dict(embed_dim=24, num_heads=2, causal=True),
         dict(x=normal(1, 131, 24)), "many_terms causal", "131 tokens"),

    # transformer
    case("TransformerClassifier", "basic", CLASSIFIER,
         dict(x=normal(3, 7, 5)), "basic compiled",
         "27 parameters, two blocks deep"),
    case("TransformerClassifier", "one_layer",
         CLASSIFIER | dict(num_layers=1), dict(x=normal(3, 7, 5)),
         "depth", "a block less: fewer parameters"),
    case("TransformerClassifier", "odd_width",
         CLASSIFIER | dict(embed_dim=9), dict(x=normal(2, 7, 5)),
         "odd_length", "the last position channel is a sine"),
    case("TransformerClassifier", "one_token", CLASSIFIER,
         dict(x=normal(3, 1, 5)), "size_1", "the mean over one token"),
    case("TransformerClassifier", "batch_1", CLASSIFIER,
         dict(x=normal(1, 7, 5)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("TransformerClassifier", "empty_batch", CLASSIFIER,
         dict(x=normal(0, 7, 5)), "empty_batch", "27 gradients of 0"),
    case("TransformerClassifier", "many_tokens", CLASSIFIER,
         dict(x=normal(2, 61, 5)), "many_terms", "positions up to 60"),

    # training: hyper-parameters are dyadic, so that no framework rounds
    trained("Linear", "sgd", LINEAR, (5, 7), numbers(5, 3),
            "squared_error", "sgd", 1 / 16, "the shortest trajectory"),
    trained("MLP", "sgd", SMALL_MLP, (5, 7), classes(5, 3),
            "cross_entropy", "sgd", 1 / 16, "logits against labels"),
    trained("MLP", "momentum", SMALL_MLP, (5, 7), numbers(5, 3),
            "squared_error", "momentum", 1 / 16,
            "velocity adds the whole gradient"),
    trained("MLP", "adam", SMALL_MLP, (5, 7), numbers(5, 3),
            "squared_error", "adam", 1 / 16,
            "epsilon is added outside the corrected root"),
    trained("StandardizedConv2d", "momentum",
            CONV | dict(kernel_size=2), (6, 2, 4, 5), numbers(6, 5, 3, 4),
            "squared_error", "momentum", 1 / 16,
            "the scale of a filter must not drift"),
    trained("TransformerClassifier", "adam",
            CLASSIFIER | dict(num_layers=1), (6, 7, 5), classes(6, 4),
            "cross_entropy", "adam", 1 / 256,
            "every page at once, 20 steps deep"),
]

ATTENTION = [
    case("attention", "basic", {}, qkv(Q, K),
         "basic compiled low_precision", "more keys than queries"),
    case("attention", "fewer_keys", {}, qkv((2, 3, 7, 4), (2, 3, 5, 4)),
         "cross", "more queries than keys"),
    case("attention", "causal", dict(causal=True), qkv((2, 3, 7, 4), K),
         "causal compiled", "query n sees keys 0 to n"),
    case("attention", "causal_more_keys", dict(causal=True), qkv(Q, K),
         "causal cross", "the last two keys are never seen: aligned at 0"),
    case("attention", "causal_fewer_keys", dict(causal=True),
         qkv((2, 3, 7, 4), (2, 3, 5, 4)),
         "causal cross", "the last queries see every key"),
    case("attention", "masked", {}, qkv(Q, K, attn_mask=mask(2, 3, 5, 7)),
         "mask", "a mask of its own for every head"),
    case("attention", "padding_mask", {},
         qkv(Q, K, attn_mask=mask(2, 1, 1, 7)),
         "mask compiled", "keys that are padding, by sample"),
    case("attention", "query_mask", {}, qkv(Q, K, attn_mask=mask(3, 5, 1)),
         "mask", "the mask broadcasts over the keys: rows of y are 0"),
    case("attention", "matrix_mask", {}, qkv(Q, K, attn_mask=mask(5, 7)),
         "mask", "the mask broadcasts over samples and heads"),
    case("attention", "fully_masked_row", {},
         qkv(Q, K, attn_mask=mask(2, 3, 5, 7, closed=(0, 3))),
         "mask fully_masked_row", "0 with gradient 0, never NaN"),
    case("attention", "all_masked", {},
         qkv(Q, K, attn_mask=mask(2, 1, 5, 7, allow=0.0)),
         "mask fully_masked_row", "nothing may be attended: all is 0"),
    case("attention", "causal_masked", dict(causal=True),
         qkv(Q, K, attn_mask=mask(2, 3, 5, 7)),
         "causal mask fully_masked_row", "both must allow a key"),
    case("attention", "grouped", {}, qkv((2, 6, 5, 4), (2, 3, 7, 4)),
         "grouped compiled", "two heads to a group, neighbours"),
    case("attention", "grouped_causal", dict(causal=True),
         qkv((1, 6, 5, 4), (1, 2, 7, 4), attn_mask=mask(1, 1, 5, 7)),
         "grouped causal mask", "everything at once"),
    case("attention", "one_kv_head", {}, qkv((2, 3, 5, 4), (2, 1, 7, 4)),
         "grouped size_1", "MXNet's matmul has a wrong gradient here"),
    case("attention", "scale", dict(scale=0.3), qkv(Q, K),
         "scale", "instead of 1 / sqrt(D)"),
    case("attention", "scale_0", dict(scale=0.0), qkv(Q, K),
         "scale", "a scale of 0 is a scale: the mean of the values"),
    case("attention", "large_logits", dict(scale=8.0), qkv(Q, K),
         "large_logits", "one weight is 1, the others vanish"),
    case("attention", "huge_logits", dict(scale=1e4, causal=True),
         qkv(Q, K), "large_logits", "logits of 1e4: exp must not overflow"),
    case("attention", "equal_keys", {},
         dict(q=normal(*Q), k=normal(*K, scale=0.0, offset=0.5),
              v=normal(*K)),
         "tie", "all scores are equal, and so are the weights"),
    case("attention", "one_key", {}, qkv((2, 3, 5, 4), (2, 3, 1, 4)),
         "size_1", "y is v; the gradient by q is 0"),
    case("attention", "one_query", {}, qkv((2, 3, 1, 4), K),
         "size_1", "a step of decoding"),
    case("attention", "width_1", {}, qkv((2, 3, 5, 1), (2, 3, 7, 1)),
         "size_1", "heads of one channel"),
    case("attention", "batch_1", {}, qkv((1, 3, 5, 4), (1, 3, 7, 4)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("attention", "empty_batch", {}, qkv((0, 3, 5, 4), (0, 3, 7, 4)),
         "empty_batch", "nothing in, nothing out"),
    case("attention", "no_query", {}, qkv((2, 3, 0, 4), K),
         "empty", "no query: the keys get gradient 0"),
    case("attention", "many_keys", dict(causal=True),
         qkv((1, 2, 61, 16), (1, 2, 257, 16)),
         "many_terms causal", "more keys than one block"),
    case("attention", "tiles_grouped", dict(causal=True),
         qkv((1, 4, 37, 24), (1, 2, 45, 24)),
         "many_terms grouped causal low_precision",
         "several tiles of 16, the last of each with a few rows"),
    case("attention", "tiles_masked", {},
         qkv((1, 2, 61, 12), (1, 2, 83, 12),
             attn_mask=mask(1, 2, 61, 83, closed=tuple(range(15, 34)))),
         "many_terms mask fully_masked_row low_precision",
         "a tile of 16 queries that see nothing"),
    case("attention", "tiles_large_logits", dict(scale=4.0),
         qkv((1, 2, 45, 24), (1, 2, 37, 24)),
         "many_terms large_logits low_precision",
         "a maximum that grows from tile to tile; weights near 1"),
    case("attention", "tiny_inputs", {},
         dict(q=normal(*Q, scale=1e-30), k=normal(*K), v=normal(*K)),
         "tiny_inputs", "the scores vanish beside each other"),
    case("attention", "offset_1e4", {},
         dict(q=normal(*Q), k=normal(*K), v=normal(*K, offset=1e4)),
         "offset_1e4", "gradients are small differences of large numbers"),
    case("attention", "non_contiguous", {}, qkv(Q, K),
         "non_contiguous", "strides must not matter"),
]

# powers of two make ties and bounds exact; 1/8 leaves no rounding at all
TIES = (-0.0625, 0.0625, -0.1875, 0.1875, 0.3125, -0.3125, 0.4375)
EDGES = (0.875, 0.90625, 0.9375, 0.96875, -1.0, -1.03125, -1.0625, -1.125)
QUANTIZE = [
    case("fake_quantize", "basic", {}, steps(0.037, x=normal(5, 7)),
         "basic compiled", "8 bits, hardly anything clipped"),
    case("fake_quantize", "zero_point", {},
         steps(0.021, -37, x=normal(5, 7, offset=0.5)),
         "affine compiled", "an odd zero point; both ends clip"),
    case("fake_quantize", "unsigned", dict(signed=False),
         steps(0.013, 41, x=normal(5, 7, offset=1.0)),
         "affine", "codes 0 to 255"),
    case("fake_quantize", "tie", dict(bits=4), steps(0.125, x=values(*TIES)),
         "tie compiled", "half to even, on both sides of 0"),
    case("fake_quantize", "tie_odd", dict(bits=4),
         steps(0.125, 3, x=values(*TIES)),
         "tie compiled", "rounded before an odd zero point is added"),
    case("fake_quantize", "at_bound", dict(bits=4),
         steps(0.125, x=values(*EDGES)),
         "at_bound compiled", "gradient 1 while the rounded code is inside"),
    case("fake_quantize", "narrow", dict(bits=4, narrow_range=True),
         steps(0.125, x=values(*EDGES)),
         "at_bound", "-8 is no code"),
    case("fake_quantize", "channels", dict(axis=1),
         steps((0.037, 0.011, 0.5), (0, -5, 12), x=normal(5, 3, 7)),
         "channels compiled", "a step for each index of the second axis"),
    case("fake_quantize", "last_channels", dict(axis=-1, bits=3),
         steps((0.37, 0.11), (1, -1), x=normal(5, 3, 2)),
         "channels", "the axis counted from the end"),
    *(
        case("fake_quantize", f"{bits}_bits", dict(bits=bits),
             steps(2.0 / 2**bits, x=normal(5, 7)),
             "bits", f"{bits} bits, powers of two")
        for bits in (2, 3, 4, 5, 6, 7, 8)
    ),
    case("fake_quantize", "16_bits", dict(bits=16),
         steps(0.00013, 1234, x=normal(5, 7)),
         "bits", "codes up to 32767"),
    case("fake_quantize", "tiny_scale", {},
         steps(1e-30, x=normal(5, 7, scale=1e-28)),
         "tiny_inputs", "the reciprocal of the step is large"),
    case("fake_quantize", "huge", {},
         steps(0.5, x=values(1e30, -1e30, 3e9, -3e9, 0.0)),
         "large", "far beyond an int32: clipped before the cast"),
    case("fake_quantize", "empty_batch", {},
         steps(0.5, x=normal(0, 7)), "empty_batch", "nothing to round"),
    case("fake_quantize", "non_contiguous", dict(axis=0),
         steps((0.37, 0.11, 0.05), (1, -1, 0), x=normal(3, 5, 2)),
         "non_contiguous", "strides must not matter"),
]
# fmt: on

CASES += QUANTIZE
CASES += [
    case._replace(layer="quantize", reason="the codes themselves")
    for case in QUANTIZE
]

# fmt: off
CASES += [
    case("PACT", "basic", {}, dict(x=normal(5, 7, scale=4.0)),
         "basic compiled", "some below 0, some above alpha",
         dict(alpha=number(6.0))),
    case("PACT", "2_bits", dict(bits=2), dict(x=normal(5, 7)),
         "bits", "four levels", dict(alpha=number(1.3))),
    case("PACT", "at_bound", dict(bits=2),
         dict(x=values(-0.5, 0.0, 0.3, 0.5, 1.0, 1.499, 1.5, 1.75)),
         "at_bound compiled", "alpha takes the gradient from x at 1.5",
         dict(alpha=number(1.5))),
    case("PACT", "tie", dict(bits=2),
         dict(x=values(0.25, 0.75, 1.25, 0.5)),
         "tie compiled", "half to even: 0, 2, 2 and 1 steps of 0.5",
         dict(alpha=number(1.5))),
    case("PACT", "below_1", dict(bits=3), dict(x=normal(5, 7)),
         "bits", "alpha itself is below 1", dict(alpha=number(0.7))),
    case("PACT", "16_bits", dict(bits=16), dict(x=normal(5, 7)),
         "bits", "steps of 2e-5", dict(alpha=number(1.7))),
    case("PACT", "empty_batch", {}, dict(x=normal(0, 7)),
         "empty_batch", "alpha gets gradient 0", dict(alpha=number(6.0))),
    case("PACT", "many", {}, dict(x=normal(37, 61, scale=4.0)),
         "many_terms", "a gradient summed over 2,257 numbers",
         dict(alpha=number(5.0))),

    case("pact", "defaults", {},
         dict(x=normal(5, 7, scale=4.0), alpha=number(6.0)),
         "defaults", "4 bits"),

    case("lsq", "defaults", {}, dict(x=normal(5, 7), step=number(0.23)),
         "defaults", "4 bits, signed, counted"),
    case("LSQ", "basic", dict(num_elements=35), dict(x=normal(5, 7)),
         "basic compiled", "4 bits", dict(step=number(0.23))),
    case("LSQ", "counted", {}, dict(x=normal(5, 7)),
         "defaults", "the factor from all that share a step",
         dict(step=number(0.23))),
    case("LSQ", "unsigned", dict(signed=False), dict(x=normal(5, 7)),
         "unsigned", "below 0 nothing passes", dict(step=number(0.11))),
    case("LSQ", "2_bits", dict(bits=2), dict(x=normal(5, 7)),
         "bits", "qmax is 1", dict(step=number(0.7))),
    case("LSQ", "tie", {}, dict(x=values(*TIES)),
         "tie compiled", "half to even", dict(step=number(0.125))),
    case("LSQ", "at_bound", {}, dict(x=values(*EDGES)),
         "at_bound compiled", "0.875 is qmax: outside, with d = 7",
         dict(step=number(0.125))),
    case("LSQ", "channels", dict(axis=0, num_channels=3),
         dict(x=normal(3, 5, 7)), "channels compiled",
         "a step for each row", dict(step=values(0.23, 0.4, 0.07))),
    case("LSQ", "last_channels",
         dict(axis=-1, num_channels=2, num_elements=15),
         dict(x=normal(3, 5, 2)), "channels",
         "the axis counted from the end", dict(step=values(0.23, 0.4))),
    case("LSQ", "empty_batch", {}, dict(x=normal(0, 7)),
         "empty_batch", "the step gets gradient 0",
         dict(step=number(0.5))),
    case("LSQ", "many", {}, dict(x=normal(37, 61)),
         "many_terms", "a gradient summed over 2,257 numbers",
         dict(step=number(0.19))),

    case("LSQPlus", "basic", dict(signed=False),
         dict(x=normal(5, 7, offset=0.4)), "basic compiled",
         "4 bits above an offset",
         dict(step=number(0.13), offset=number(-0.31))),
    case("LSQPlus", "outside", {},
         dict(x=values(2.0, -2.0, 0.3, -0.2, 1.9)),
         "compiled", "the offset gets what is outside",
         dict(step=number(0.125), offset=number(0.25))),
    case("LSQPlus", "channels", dict(axis=1, num_channels=3),
         dict(x=normal(5, 3, 7)), "channels compiled",
         "a step and an offset for each column",
         dict(step=values(0.23, 0.4, 0.07),
              offset=values(0.1, -0.2, 0.0))),
    case("LSQPlus", "empty_batch", {}, dict(x=normal(0, 7)),
         "empty_batch", "both get gradient 0",
         dict(step=number(0.5), offset=number(0.1))),

    # qat_linear: whole numbers inside, so only two products are rounded
    case("QATLinear", "basic", LINEAR, dict(x=normal(5, 7)),
         "basic compiled", "8 bits, ranges of this batch and these weights"),
    case("QATLinear", "4_bits", LINEAR | dict(weight_bits=4, input_bits=4),
         dict(x=normal(5, 7)), "bits compiled", "15 codes for each weight"),
    case("QATLinear", "2_bits", LINEAR | dict(weight_bits=2, input_bits=3),
         dict(x=normal(5, 7)), "bits", "-1, 0 and 1, by 8 codes of x"),
    case("QATLinear", "lsq", LINEAR | LEARNED, dict(x=normal(5, 7)),
         "learned compiled", "a step for x and one for each row of W",
         STEPS),
    case("QATLinear", "pact",
         LINEAR | dict(input_bits=3, input_quantizer="pact"),
         dict(x=normal(5, 7, offset=0.7)), "learned compiled",
         "clipped on both sides: alpha gets a gradient",
         {"input_quantizer.alpha": number(1.7)}),
    case("QATLinear", "percentile",
         LINEAR | dict(input_quantizer="percentile"), dict(x=normal(503, 7)),
         "observed", "the 3 outermost numbers on each side are clipped"),
    case("QATLinear", "min_max", LINEAR | dict(input_quantizer="min_max"),
         dict(x=normal(5, 7, offset=3.0)), "observed",
         "all above 0, which gets a code all the same"),
    case("QATLinear", "symmetric", LINEAR | dict(input_quantizer="absmax"),
         dict(x=normal(5, 7)), "observed", "both zero points are 0"),
    case("QATLinear", "no_bias", LINEAR | dict(bias=False),
         dict(x=normal(5, 7)), "no_bias", "as Linear"),
    case("QATLinear", "leading_axes", LINEAR, dict(x=normal(2, 5, 7)),
         "rank_3", "gradients sum over every leading axis"),
    case("QATLinear", "vector", LINEAR, dict(x=normal(7)),
         "rank_1", "a single sample without a batch axis"),
    case("QATLinear", "batch_1", LINEAR, dict(x=normal(1, 7)),
         "batch_1", "an axis of size 1 hides broadcasting mistakes"),
    case("QATLinear", "empty_batch", LINEAR | LEARNED, dict(x=normal(0, 7)),
         "empty_batch", "the learned steps get gradient 0", STEPS),
    case("QATLinear", "wide", dict(in_features=1000, out_features=11),
         dict(x=normal(3, 1000)), "many_terms compiled",
         "sums of codes beyond 2^24: float32 would lose their last bits"),
    case("QATLinear", "zeros", LINEAR, dict(x=zeros(5, 7)),
         "zeros", "a range of nothing has scale 1",
         {"bias": values(0.0, 1.0, -1.0)}),

    # qat_attention
    case("QATMultiHeadAttention", "basic", HEADS, dict(x=normal(2, 5, 12)),
         "basic compiled", "two projections in whole numbers"),
    case("QATMultiHeadAttention", "grouped",
         dict(embed_dim=12, num_heads=6, num_kv_heads=2, causal=True,
              weight_bits=4),
         dict(x=normal(2, 5, 12)), "grouped causal", "qkv has 20 rows"),
    case("QATMultiHeadAttention", "masked", HEADS,
         dict(x=normal(2, 5, 12), attn_mask=mask(5, 1, closed=(3,))),
         "fully_masked_row", "the mask reaches the function"),
    case("QATMultiHeadAttention", "no_out_proj",
         HEADS | dict(out_proj=False, bias=False), dict(x=normal(2, 5, 12)),
         "no_bias", "one projection alone"),
    case("QATMultiHeadAttention", "tiled",
         HEADS | dict(attention="attention_tiled"), dict(x=normal(2, 5, 12)),
         "variant", "takes any variant of the function"),
    case("QATMultiHeadAttention", "empty_batch", HEADS | LEARNED,
         dict(x=normal(0, 5, 12)), "empty_batch",
         "the learned steps get gradient 0",
         {"qkv.input_quantizer.step": number(0.3),
          "out.input_quantizer.step": number(0.2),
          "qkv.weight_quantizer.step": Draw((36,), 0.0, 0.1),
          "out.weight_quantizer.step": Draw((12,), 0.0, 0.1)}),
]
# fmt: on

CASES += ATTENTION

# blocks that do not divide the 5 or 7 keys; 128 where none is named
CASES += [
    variant(
        case,
        "attention_tiled",
        **(
            {}
            if case.name in ("basic", "many_keys")
            else {"block_size": 16 if "tiles" in case.name else 3}
        ),
    )
    for case in ATTENTION
]
CASES += [
    variant(case, "attention_tiled", block_size=size)._replace(
        name=f"block_{size}", flags=frozenset({"block"}), reason=reason
    )
    for case in ATTENTION
    if case.name == "grouped_causal"
    for size, reason in (
        (1, "one key at a time"),
        (2, "a last block of one key"),
        (7, "one block of just the keys"),
        (1000, "one block, far too large"),
    )
]
CASES += [
    variant(case, case.layer, attention="attention_tiled")._replace(
        name=f"tiled_{case.name}",
        reason="the layer takes any variant of the function",
    )
    for case in CASES
    if case.layer == "MultiHeadAttention"
    and case.name in ("causal", "masked", "many_tokens")
]
