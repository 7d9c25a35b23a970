"""What makes each backbone of keras-hub that is off agree: one line each.

A repair changes the one thing that docs/ports/deviations.md names: a
setting or a weight of the PyTorch model, so that it has what keras-hub
has built in, or, for ESM, the axis of a mask on keras-hub's side.
"""

import contextlib
from typing import NamedTuple


class Repair(NamedTuple):
    options: dict  # of the PyTorch model's configuration
    weights: object = None  # changes that model in place
    port: object = contextlib.nullcontext  # while the port runs


def no_token_type(model):
    model.base_model.embeddings.token_type_embeddings.weight.zero_()


def as_float16(model):
    for parameter in model.parameters():
        parameter.copy_(parameter.half())


@contextlib.contextmanager
def mask_of_keys():
    """ESM's mask lies on the axis of the queries; turned, on the keys'."""
    from keras import ops
    from keras_hub.src.models.esm import esm_attention

    class Turned:
        def __getattr__(self, name):
            return getattr(ops, name)

        def dot_product_attention(self, q, k, v, mask, **options):
            mask = ops.transpose(mask, [0, 1, 3, 2])
            return ops.dot_product_attention(
                q, k, v, mask=mask, **options
            )

    esm_attention.ops = Turned()
    try:
        yield
    finally:
        esm_attention.ops = ops


REPAIRS = {
    "bert": Repair(dict(hidden_act="gelu_new")),
    "roberta": Repair(dict(layer_norm_eps=1e-5), no_token_type),
    "xlm_roberta": Repair(dict(layer_norm_eps=1e-5)),
    "mistral": Repair({}, as_float16),
    "gemma3": Repair(dict(query_pre_attn_scalar=8)),
    "qwen3": Repair(dict(rms_norm_eps=1e-5)),
    "esm": Repair({}, port=mask_of_keys),
    "vit": Repair(dict(layer_norm_eps=1e-6)),
}
