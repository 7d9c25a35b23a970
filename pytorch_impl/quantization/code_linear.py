"""code_linear: a linear layer of quantized numbers, summed as codes.

A number that a quantizer gave is a whole number of steps; sums of whole
numbers are exact, so y is what an int8 layer gives, to the last bit
a_i = round(x_i / x_scale), w_oi = round(W_oi / w_scale_o) are codes
s_o = x_scale w_scale_o
y_o = (sum_i a_i w_oi + round(b_o / s_o)) s_o, rounded once, by s_o

Axes:   I in_features, O out_features, ... any leading axes
        x_scale (), w_scale (O)
Grads:  those of linear, as if nothing were rounded:
        x receives sum_o dy_o W_oi, weight sum dy_o x_i, bias sum dy_o;
        the scales receive 0: x and weight carry their gradients
Raises: TypeError, ValueError as linear
Ref:    Jacob et al. 2018, CVPR, 2.2 and 2.4 (the bias in steps of s)
"""

# region imports
import torch

from pytorch_impl.checks import check_input
from pytorch_impl.transforms import Function, apply

# endregion


# region gradient rule
def exact_matmul(x, weight):
    """Of whole numbers, below 2^53 in every sum."""
    return torch.matmul(x.double(), weight.double().T)  # ... O


def code_linear_forward(x, weight, bias, x_scale, w_scale):
    scale = x_scale * w_scale  # O
    a = torch.round(x * (1 / x_scale))  # ... I
    w = torch.round(weight * (1 / w_scale)[:, None])  # O I
    total = exact_matmul(a, w) + torch.round(bias * (1 / scale))
    return total.to(x.dtype) * scale  # ... O


def code_linear_backward(dy, x, weight):
    dx = torch.einsum("...o,oi->...i", dy, weight)  # ... I
    dweight = torch.einsum("...o,...i->oi", dy, x)  # O I
    return dx, dweight, torch.einsum("...o->o", dy)


class CodeLinearRule(Function):
    forward = staticmethod(code_linear_forward)

    @staticmethod
    def backward(ctx, dy):
        x, weight, _, *scales = ctx.saved_tensors
        grads = code_linear_backward(dy, x, weight)
        return *grads, *(torch.zeros_like(s) for s in scales)


# endregion


# region function
def code_linear(x, weight, bias, x_scale, w_scale):
    size, like = weight.shape[1], (weight, bias, x_scale, w_scale)
    check_input("code_linear", x, "... I", like=like, I=size)
    if bias is None:
        bias = torch.zeros_like(w_scale)
    return apply(CodeLinearRule, x, weight, bias, x_scale, w_scale)


# endregion


# region try
if __name__ == "__main__":
    x = torch.tensor([[0.5, -1.0]])
    weight = torch.tensor([[0.25, 0.75]])
    scales = torch.tensor(0.5), torch.tensor([0.25])
    print(code_linear(x, weight, torch.tensor([0.3]), *scales))
# endregion
