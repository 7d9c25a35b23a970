"""Arrays: those of a layer as bytes and back, bit for bit.

to_tensor(array)      an array or a parameter as a Tensor (tensor.py)
to_array(tensor)      a Tensor as an array
put(variable, array)  a parameter, or a state such as the range of an
    observer, gets the numbers of array, and its dtype
is_frozen(variable)   true for a parameter that training leaves alone
in_dtype(make, dtype)  the layer that make gives, for numbers of dtype;
    None: of the dtype that it starts in

Raises: ValueError for a dtype that this framework does not have
"""

# region imports
import torch
from torch import nn

from pytorch_impl.portable.tensor import Tensor

# endregion


# region function
def to_tensor(array):
    flat = array.detach().cpu().reshape(-1).contiguous()
    dtype = str(array.dtype).removeprefix("torch.")
    data = flat.view(torch.uint8).numpy().tobytes()
    return Tensor(dtype, tuple(array.shape), data)


def to_array(tensor):
    dtype = getattr(torch, tensor.dtype)
    if 0 in tensor.shape:
        return torch.zeros(tensor.shape, dtype=dtype)
    flat = torch.frombuffer(bytearray(tensor.data), dtype=dtype)
    return flat.reshape(tensor.shape)


def put(variable, array):
    variable.data = array


def is_frozen(variable):
    learned = isinstance(variable, nn.Parameter)
    return learned and not variable.requires_grad


def in_dtype(make, dtype):
    return make()


# endregion


# region try
if __name__ == "__main__":
    tensor = to_tensor(torch.tensor([1, -0.0], dtype=torch.bfloat16))
    print(tensor, to_array(tensor))
# endregion
