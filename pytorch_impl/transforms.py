"""What torch.func, torch.compile and a checkpoint see of a page.

Function    torch.autograd.Function, registered as all of them want it:
    forward is plain maths without ctx, what it is given is kept for
    backward, tensors as ctx.saved_tensors (to be read once: a
    checkpoint computes them again, and hands them out once), all else
    as ctx.options; torch.func.vmap maps forward and backward
apply(rule, *inputs)    rule.apply, refused where the rule would be lost
    torch 2.13.0: torch.compile around torch.func.grad differentiates
    the forward pass by itself and leaves a backward pass written by
    hand out, without a word: what rounds would have gradient 0
transformed()   is this inside of torch.func.grad, vmap or another?
alike(*arrays)  under torch.autocast they may have two dtypes

No forward mode (torch.func.jvp, jacfwd, hessian): torch.compile refuses
a Function with a jvp. jacrev of jacrev gives a Hessian.

Raises: NotImplementedError
"""

# region imports
import torch

from pytorch_impl.precision import widen

# endregion


# region function
class Function(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx, inputs, output):
        tensors, options = [], []
        for x in inputs:
            which = tensors if isinstance(x, torch.Tensor) else options
            which.append(x)
        ctx.save_for_backward(*tensors)
        ctx.options = options


def transformed():
    top = torch._C._functorch.peek_interpreter_stack()
    # None, if there is none; torch.compile does not see that it is None
    return isinstance(top, torch._C._functorch.CInterpreter)


def alike(*arrays):
    """Of one: a backward pass written by hand does not mix them."""
    if len({x.dtype for x in arrays}) == 1:
        return arrays
    return tuple(widen(x) for x in arrays)


def apply(rule, *inputs):
    if torch.compiler.is_compiling() and transformed():
        raise NotImplementedError(
            "torch.compile of a torch.func transform: a gradient that "
            "is written by hand would be left out; do without one of "
            "the two"
        )
    return rule.apply(*inputs)


# endregion
