"""ONNX graph: what jax2onnx and onnxruntime lack, by what they have.

for_onnx(call, shapes)  what call does with arrays of these shapes, one
    operation after the other, as a function of the arrays, in which
    fft       is a product with a matrix of cosines and sines
    dot_general  of two matrices of integers is one of a stack of them
    select_n  of booleans is made of and, or, not
    functions inside, compiled or with a gradient of their own, are
    their operations

Seen with jax2onnx 0.17.1 and onnxruntime 1.31.1: the operator DFT of a
dynamic batch is refused, and in float32 it was 1.8 error budgets off;
Where of booleans and Gemm of integers are not there; a mask of shape
(J, 1) is not broadcast to a dynamic axis, as a loop of attention_tiled
needs it; jnp.einsum, as jax2onnx replaces it, takes no nnx.Param
"""

# region imports
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

# endregion


# region function
def fft(x, fft_type, fft_lengths):
    if int(fft_type) != int(jax.lax.FftType.RFFT):
        raise NotImplementedError(f"no matrix for {fft_type!r}")
    (size,) = fft_lengths
    n, f = np.arange(size)[:, None], np.arange(size // 2 + 1)
    angle = 2 * np.pi / size * (n * f % size)  # N F
    waves = np.cos(angle), -np.sin(angle)
    return tuple(jnp.matmul(x, w.astype(x.dtype)) for w in waves)


def select_n(chosen, *cases):
    if cases[0].dtype != bool:
        return jax.lax.select_n(chosen, *cases)
    no, yes = cases
    return (chosen & yes) | (~chosen & no)


def dot_general(x, y, *, dimension_numbers, **options):
    """Of integers with an axis more: there is no Gemm of them."""
    (of_x, of_y), batch = dimension_numbers
    more = x.ndim == 2 and x.dtype.kind == "i"
    if more:
        x, of_x = x[None], tuple(axis + 1 for axis in of_x)
    numbers = (of_x, of_y), batch
    total = jax.lax.dot_general(x, y, numbers, **options)
    return total[0] if more else total


def scan(*given, **options):
    sizes = [n for x in given for n in x.shape]
    if not all(isinstance(n, int) for n in sizes):
        text = (
            "a loop over arrays with a dynamic axis is written wrongly"
        )
        raise NotImplementedError(text)
    return jax.lax.scan_p.bind(*given, **options)


RULES = {
    "dot_general": lambda *xs, **options: [dot_general(*xs, **options)],
    "fft": lambda *xs, **options: [fft(*xs, **options)],
    "real": lambda z: [z[0]],
    "imag": lambda z: [z[1]],
    "select_n": lambda *xs: [select_n(*xs)],
    "scan": scan,
}


def inside(options):
    """The operations of a function that is called in one step."""
    closed = options.get("jaxpr", options.get("call_jaxpr"))
    return closed if hasattr(closed, "consts") else None


def run(closed, *xs):
    names = *closed.jaxpr.constvars, *closed.jaxpr.invars
    known = dict(zip(names, (*closed.consts, *xs)))

    def value(atom):
        return atom.val if isinstance(atom, Literal) else known[atom]

    for one in closed.jaxpr.eqns:
        given = [value(atom) for atom in one.invars]
        if one.primitive.name in RULES:
            found = RULES[one.primitive.name](*given, **one.params)
        elif inside(one.params):
            found = run(inside(one.params), *given)
        else:
            found = one.primitive.bind(*given, **one.params)
            many = one.primitive.multiple_results
            found = found if many else [found]
        known |= dict(zip(one.outvars, found))
    return [value(atom) for atom in closed.jaxpr.outvars]


def for_onnx(call, shapes):
    traced = jax.make_jaxpr(call)(*shapes)
    return lambda *xs: run(traced, *xs)[0]


# endregion


# region try
if __name__ == "__main__":
    x = jnp.linspace(-1.0, 1.0, 5)
    call = for_onnx(lambda x: jnp.imag(jnp.fft.rfft(x)), [x])
    print(jax.make_jaxpr(call)(x))
# endregion
