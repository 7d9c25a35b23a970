"""The operators of fake_quantize_triton where there is no GPU.

They return what the kernels return, the mask of one bit a number too;
the maths is that of fake_quantize, in float32.
"""

# region imports
import torch

from pytorch_impl.kernels.tiles import tiles_of
from pytorch_impl.quantization.codes import along
from pytorch_impl.quantization.fake_quantize import unclipped_code

# endregion


# region function
EIGHT = range(8)


def packed(inside, tiles):
    """Eight of a row in a byte, the first in its lowest bit."""
    rows = torch.reshape(inside, (tiles.M, tiles.K)).to(torch.uint8)
    rows = torch.nn.functional.pad(rows, (0, -tiles.K % 8))
    bits = [rows[:, i::8] << i for i in EIGHT]
    return torch.sum(torch.stack(bits), 0, dtype=torch.uint8)


def unpacked(mask, tiles):
    bits = torch.stack([(mask >> i) & 1 for i in EIGHT], dim=-1)
    return torch.flatten(bits, 1)[:, : tiles.K] == 1


def plain_code(x, scale, zero_point, axis):
    scale = along(scale, x, axis)
    zero_point = along(zero_point, x, axis).to(torch.float32)
    x = x.contiguous().to(torch.float32)
    return unclipped_code(x, scale, zero_point), scale, zero_point


def plain_codes(x, scale, zero_point, qmin, qmax, axis):
    x = torch.where(x == x, x, torch.zeros_like(x))  # NaN: as 0
    code, _, _ = plain_code(x, scale, zero_point, axis)
    return torch.clip(code, qmin, qmax).to(torch.int32)


def plain_forward(x, scale, zero_point, qmin, qmax, axis):
    code, scale, zero_point = plain_code(x, scale, zero_point, axis)
    y = (torch.clip(code, qmin, qmax) - zero_point) * scale
    inside = (qmin <= code) & (code <= qmax)
    return y.to(x.dtype), packed(inside, tiles_of(x, axis))


def plain_backward(dy, mask, axis):
    inside = unpacked(mask, tiles_of(dy, axis))
    dy = dy.contiguous()
    inside = torch.reshape(inside, dy.shape)
    return torch.where(inside, dy, torch.zeros_like(dy))


# endregion
