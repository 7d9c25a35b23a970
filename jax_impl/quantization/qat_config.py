"""QAT config: the arguments that would make a quantized layer again.

qat_config(layer)   those of a QATLinear, from the quantizers it has
int8_config(layer)  what an Int8Linear is made for: its sizes, and the
    codes of its input

Raises: ValueError for a quantizer that make_quantizer does not make
"""

# region imports
from jax_impl.portable.expect import expect
from jax_impl.quantization.qat_linear import QATLinear
from jax_impl.quantization.quantizers import NAMES, make_quantizer

KINDS = dict(PACT="pact", LSQ="lsq", MinMaxObserver="min_max")
KINDS |= dict(MovingAverageObserver="moving_average")
KINDS |= dict(PercentileObserver="percentile")
# endregion


# region function
def sizes(layer):
    out_features, in_features = layer.weight.shape
    return dict(in_features=in_features, out_features=out_features)


def settings(quantizer):
    """All that tells one from another, but for its numbers."""
    observer = getattr(quantizer, "observer", None)
    own = (getattr(quantizer, n, None) for n in ("codes", "options"))
    names = "axis", "momentum", "percent"
    return (
        type(quantizer).__name__,
        *(tuple(part or ()) for part in own),
        type(observer).__name__,
        *(getattr(observer, name, None) for name in names),
    )


def kind_of(what, quantizer, axis, shape):
    part = getattr(quantizer, "observer", quantizer)
    kind = KINDS.get(type(part).__name__, "other")
    if getattr(quantizer, "symmetric", False):
        kind = "absmax"
    bits, signed, *_ = quantizer.codes
    got = settings(quantizer)
    expect(kind in NAMES, what, f"one of {NAMES}", got)
    want = settings(make_quantizer(kind, bits, signed, axis, shape))
    expect(got == want, what, want, got)
    return kind


def qat_config(layer):
    weight, x = layer.weight_quantizer, layer.input_quantizer
    shape = tuple(layer.weight.shape)
    return sizes(layer) | dict(
        bias=layer.bias is not None,
        weight_bits=weight.codes.bits,
        input_bits=x.codes.bits,
        weight_quantizer=kind_of("weight_quantizer", weight, 0, shape),
        input_quantizer=kind_of("input_quantizer", x, None, shape),
        input_signed=x.codes.signed,
    )


def int8_config(layer):
    codes = layer.codes
    expect(codes.axis is None, "axis of the codes", None, codes.axis)
    return sizes(layer) | dict(
        bits=codes.bits,
        signed=codes.signed,
        narrow_range=codes.narrow_range,
    )


# endregion


# region try
if __name__ == "__main__":
    from flax import nnx

    layer = QATLinear(3, 2, input_quantizer="pact", rngs=nnx.Rngs(0))
    print(qat_config(layer))
# endregion
