"""How each operation is treated: exact, by a rule, in parts, or refused."""

import functools
from typing import NamedTuple

import torch

from . import elementwise, exact, fourier, pooling, sums
from .decompositions import EVERY_OTHER, OWN, PYTORCH
from .elementwise import ULPS
from .optimizers import foreach

aten = torch.ops.aten

EXACT = exact.EXACT
RULES = {
    **elementwise.RULES,
    **sums.RULES,
    **pooling.RULES,
    **fourier.RULES,
}
RULED = RULES.keys() | ULPS.keys()
# prims that are called otherwise in aten
PRIMS = {"convert_element_type": "_to_copy"}


class Way(NamedTuple):
    """kind: exact, rule, in place, out, or parts; op: the operation that
    has the rule; decompose: tried first, may return NotImplemented."""

    kind: str
    op: object = None
    decompose: object = None


@functools.cache
def treatment(func):
    """The Way of one overload of an operation."""
    packet, name = func.overloadpacket, func._schema.name
    if name.startswith("profiler::"):
        return Way("exact", packet)
    if any(a.is_out for a in func._schema.arguments):
        return Way("out")
    own = OWN.get(func, OWN.get(packet))
    if "::_foreach_" in name:
        return Way("parts", decompose=each_of(func))
    if packet in EXACT or func.is_view:
        return Way("exact", packet, own)
    if packet in RULED:
        return Way("rule", packet, own)
    if own:
        return Way("parts", packet, own)
    functional = without_underscore(name)
    if functional in EXACT:
        return Way("exact", functional)
    if functional:
        return Way("in place", functional)
    if name.startswith("prims::"):
        return prim(func, name.removeprefix("prims::"))
    theirs = PYTORCH.get(func, EVERY_OTHER.get(func))
    return Way("parts", packet, theirs)


def without_underscore(name):
    """The operation that does not work in place; None for other names."""
    namespace, name = name.split("::")
    if namespace != "aten" or not name.endswith("_"):
        return None
    return getattr(aten, name[:-1], None) if name[-2] != "_" else None


def each_of(func):
    return lambda *args, **kwargs: foreach(func, args, kwargs)


def prim(func, name):
    """PyTorch's decompositions end in prims, which are aten's by name."""
    if name == "convert_element_type":
        return Way("parts", decompose=lambda x, dtype: x.to(dtype))
    packet = getattr(aten, name, None)
    if packet in RULED or packet in EXACT or packet in OWN:
        return Way("parts", packet, packet)
    return Way("parts")


def refusal(func):
    reason = reason_against(func)
    text = f"budget.py has no rounding rule for {func}"
    return f"{text}: {reason}" if reason else text


FACTORS = """
    the error of a factorisation depends on the algorithm and the
    conditioning, and its vectors on a choice of signs: compute it
    outside of the model, or in float64
"""
SPARSE = "sparse results are not judged: use a dense one"
DEVICE = "it runs on other devices only: the reference runs on a CPU"
REASONS = {
    FACTORS: """
        linalg_inv_ex linalg_cholesky_ex _linalg_solve_ex _linalg_det
        _linalg_slogdet _linalg_eigh _linalg_svd linalg_qr linalg_eig
        _linalg_eigvals linalg_lstsq linalg_pinv linalg_lu
        linalg_lu_factor_ex linalg_lu_solve linalg_ldl_factor_ex
        linalg_solve_triangular triangular_solve cholesky_solve
        cholesky_inverse cholesky linalg_matrix_exp geqrf ormqr
        linalg_householder_product lu_unpack
    """,
    SPARSE: """
        _sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_unsafe
        _to_sparse _sparse_mm _sparse_addmm _sparse_softmax
        _sparse_log_softmax sparse_resize_ _coalesce
    """,
    DEVICE: """
        _scaled_dot_product_flash_attention
        _scaled_dot_product_efficient_attention
        _scaled_dot_product_cudnn_attention _flash_attention_forward
        _efficient_attention_forward _thnn_fused_lstm_cell
        _thnn_fused_gru_cell _cudnn_rnn cudnn_batch_norm miopen_rnn
    """,
    "its recursion over time has no rule yet: use the log probabilities "
    "as the output": "_ctc_loss _ctc_loss_backward",
    "the gradient of a sampled grid, and sampled volumes, have no rule": """
        grid_sampler_2d_backward grid_sampler_3d grid_sampler_3d_backward
    """,
    "a fused quantiser rounds by a table of its own: judge its codes": """
        fake_quantize_per_tensor_affine_cachemask
        fake_quantize_per_channel_affine_cachemask
        _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
        _fake_quantize_learnable_per_tensor_affine
        _fake_quantize_learnable_per_channel_affine
        _fused_moving_avg_obs_fq_helper quantize_per_tensor
        quantize_per_channel
    """,
}


def reason_against(func):
    """Why an operation has no rule; "" where nobody thought of it."""
    name = func._schema.name.removeprefix("aten::")
    for reason, names in REASONS.items():
        if name in names.split():
            return " ".join(reason.split())
    return ""
