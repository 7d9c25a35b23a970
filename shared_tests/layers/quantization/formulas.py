"""The codes as one NumPy formula, and values made to be hard for it.

Ties and their neighbours, bounds, zeros, subnormals, huge ones; for the
tests of the pages, of the GPU kernels and of the built-in quantizers.
"""

import numpy as np

DTYPES = {"float32": np.float32, "float64": np.float64}
COUNT = 700_000  # values to each setting and precision
SETTINGS = [
    dict(bits=8, scale=0.1, zero_point=0),
    dict(bits=8, scale=0.1, zero_point=-37),
    dict(bits=8, signed=False, scale=0.0173, zero_point=41),
    dict(bits=8, narrow_range=True, scale=0.125, zero_point=0),
    dict(bits=4, scale=1 / 3, zero_point=3),
    dict(bits=3, signed=False, scale=2.0**-20, zero_point=1),
    dict(bits=2, scale=1e30, zero_point=-1),
    dict(bits=5, scale=1e-30, zero_point=7),
    dict(bits=16, scale=0.00013, zero_point=1234),
]


def name(setting):
    sign = "i" if setting.get("signed", True) else "u"
    return "{}{bits}-{scale:.3g}-{zero_point}".format(sign, **setting)


def bounds(bits=8, signed=True, narrow_range=False, **_):
    if signed:
        return -(2 ** (bits - 1)) + narrow_range, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1


def define(x, scale, zero_point, setting):
    """Codes, which are inside, and values, in the dtype of x."""
    qmin, qmax = bounds(**setting)
    inv = x.dtype.type(1) / scale
    zero = zero_point.astype(x.dtype)
    with np.errstate(over="ignore"):
        code = np.round(x * inv) + zero
    inside = (qmin <= code) & (code <= qmax)
    code = np.clip(code, qmin, qmax)
    return code.astype(np.int32), inside, (code - zero) * scale


def hard_values(rng, scale, setting, dtype):
    """Every half step and every bound, exactly, and one place beside."""
    qmin, qmax = bounds(**setting)
    reach = qmax - qmin
    halves = np.arange(-reach - 2, reach + 2, 0.5) * np.float64(scale)
    halves = halves.astype(dtype)
    near = [
        np.nextafter(halves, dtype(side)) for side in (-np.inf, np.inf)
    ]
    special = np.array(
        [
            0.0,
            -0.0,
            1e-310,
            -1e-310,
            1e-42,
            -1e-42,
            1e-38,
            3e38,
            -3e38,
            np.inf,
            -np.inf,
        ],
        dtype,
    )
    named = np.concatenate([halves, *near, special])[: COUNT // 2]
    spread = rng.uniform(-0.8, 0.8, COUNT - len(named)) * reach * scale
    return rng.permutation(
        np.concatenate([named, spread.astype(dtype)])
    )


def inputs(setting, precision, size=None):
    dtype = DTYPES[precision]
    rng = np.random.default_rng(20260101)
    # one number in both precisions
    scale = np.asarray(np.float32(setting["scale"]), dtype)
    zero_point = np.asarray(setting["zero_point"], np.int32)
    x = hard_values(rng, scale, setting, dtype)[:size]
    config = {
        k: v
        for k, v in setting.items()
        if k not in ("scale", "zero_point")
    }
    return config, dict(x=x, scale=scale, zero_point=zero_point)
