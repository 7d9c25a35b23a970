"""HalfSpectrum: which frequencies a signal has, by a Fourier transform.

Of a real signal the second half of the spectrum mirrors the first, so
only the first half is returned, as real and imaginary parts.

X_f = sum_n x_n exp(-2 pi i f n / N),  f = 0 .. floor(N/2)
y_f = (re X_f, im X_f), not divided by N

Axes:   N samples, F = floor(N/2) + 1 bins, 2 (re, im), ... leading
Params: none
Raises: TypeError if x is not float32 or float64
        ValueError if x has no last axis, or an empty one
Ref:    Cooley, Tukey 1965, Math. Comp. 19, eq. 1
"""

# region imports
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.checks import check_input
from mxnet_impl.custom_function import empty_result
from mxnet_impl.fourier import rfft

# endregion


# region function
def half_spectrum(x):
    check_input(
        "half_spectrum", x, "... N", only=("float32", "float64")
    )
    if x.shape[-1] == 0:
        got = tuple(x.shape)
        raise ValueError(f"half_spectrum: x expected N >= 1, got {got}")
    if 0 in x.shape:
        shape = (*x.shape[:-1], x.shape[-1] // 2 + 1, 2)
        return empty_result(shape, x)  # ... F 2
    re, im = rfft(x)  # ... F
    return np.stack((re, im), axis=-1)  # ... F 2


# endregion


# region layer
class HalfSpectrum(nn.Block):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def forward(self, x):
        return half_spectrum(x)


# endregion


# region try
if __name__ == "__main__":
    layer = HalfSpectrum()
    print(layer(np.linspace(1.0, 4.0, 4)))
# endregion


# region what differs here
# mxnet 1.9.1 has no FFT on the CPU: rfft is made of short matrix
# products with cosines and sines, see fourier.py
# endregion
