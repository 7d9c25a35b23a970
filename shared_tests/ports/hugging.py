"""Models of transformers in three frameworks, with the same weights.

The weights are PyTorch's, drawn from a seed. They reach Flax and
TensorFlow by transformers' own converters, so that what is judged is all
of a port: its converter and its model. Results are named as in roundoff:
{"out.logits": array, "out.hidden_states.0": array, ...}
"""

import contextlib
import copy

import numpy as np

from shared_tests.ports import compat, inputs
from shared_tests.ports.families import FAMILIES

# what is no result of its own: it repeats others, or is off by default
LEFT_OUT = ("past_key_values", "attentions")
INPUT_SHAPES = {  # which Flax's models want to know
    inputs.image: (1, 16, 16, 3),
    inputs.image_32: (1, 32, 32, 3),
    inputs.sound: (1, 800),
    inputs.spectrum: (1, 16, 40),
}


def spread(module, seed, factor):
    """So that a mistake shows: nothing is constant.

    Weights that are all equal (biases 0, scales 1) get 0.1 times a normal
    number, as do the statistics of batch norms and the bias of BART's
    logits, which is a buffer; all other matrices are `factor` times as
    large as they were drawn.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)

    def normal(like):
        return 0.1 * torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.requires_grad:  # a table of positions
                continue
            first = parameter.flatten()[:1]
            if parameter.numel() > 1 and (parameter == first).all():
                parameter.add_(normal(parameter))
            elif parameter.ndim > 1:
                parameter.mul_(factor)
        for name, buffer in module.named_buffers():
            if name.endswith(("running_mean", "final_logits_bias")):
                buffer.add_(normal(buffer))
            if name.endswith("running_var"):
                buffer.mul_(1 + normal(buffer).abs())


def configuration(family):
    import transformers

    # some take what is in their options out of them
    options = copy.deepcopy(family.options)
    config = getattr(transformers, family.config)(**options)
    config._attn_implementation = "eager"
    config.output_hidden_states = True
    if hasattr(config, "use_cache"):
        config.use_cache = False
    return config


def build(name, seed, factor=1.0, batch=2):
    """A family's PyTorch model in float32, and its inputs (NumPy)."""
    return build_family(FAMILIES[name], seed, factor, batch)


def build_family(family, seed, factor, batch=2):
    import torch
    import transformers

    torch.manual_seed(seed)
    kind = getattr(transformers, family.model)
    model = kind(configuration(family)).eval().float()
    spread(model, seed, factor)
    model.tie_weights()
    return model, family.inputs(np.random.default_rng(seed), batch)


def outputs(found):
    """{"out.<path>": array} of the float arrays of a model's outputs."""
    flat = {}

    def walk(path, value):
        if hasattr(value, "items"):
            for key, part in value.items():
                walk(f"{path}.{key}", part)
        elif isinstance(value, (list, tuple)):
            for number, part in enumerate(value):
                walk(f"{path}.{number}", part)
        elif hasattr(value, "shape") and len(value.shape):
            flat[path] = numpy_of(value)

    walk("out", found)
    return {
        path: array
        for path, array in flat.items()
        if array.dtype.kind == "f"
        and not any(word in path for word in LEFT_OUT)
    }


def numpy_of(tensor):
    if hasattr(tensor, "detach"):
        tensor = tensor.detach()
    return np.asarray(tensor)


@contextlib.contextmanager
def default_dtype(dtype):
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def torch_arguments(arrays, dtype):
    import torch

    return {
        name: torch.tensor(
            array, dtype=dtype if array.dtype.kind == "f" else None
        )
        for name, array in arrays.items()
    }


def torch_outputs(model, arrays, dtype):
    """The model's outputs; its parameters are of that dtype already."""
    import torch

    with default_dtype(dtype), torch.no_grad():
        given = torch_arguments(arrays, dtype)
        return outputs(model(**given, output_hidden_states=True))


def flax_port(name, model):
    """A function of the inputs, and of `params` for other weights."""
    import transformers
    from transformers import modeling_flax_pytorch_utils as convert

    compat.old_clip()
    family = FAMILIES[name]
    options = {}
    if family.inputs in INPUT_SHAPES:
        options["input_shape"] = INPUT_SHAPES[family.inputs]
    kind = getattr(transformers, f"Flax{family.model}")
    port = kind(model.config, seed=0, **options)
    state = dict(model.state_dict())
    port.params = convert.convert_pytorch_state_dict_to_flax(
        state, port
    )
    return port


def flax_outputs(port, arrays, params=None, compiled=False):
    import jax

    def call(params, arrays):
        return port(**arrays, params=params, output_hidden_states=True)

    call = jax.jit(call) if compiled else call
    return outputs(call(params or port.params, dict(arrays)))


def tf_arguments(arrays):
    import tensorflow as tf

    return {
        name: tf.constant(
            array if array.dtype.kind == "f" else array.astype(np.int32)
        )
        for name, array in arrays.items()
    }


def tf_port(name, model, arrays):
    """As from_pretrained(from_pt=True) does: with the port's own names."""
    import transformers
    from transformers import modeling_tf_pytorch_utils as convert

    kind = getattr(transformers, f"TF{FAMILIES[name].model}")
    port = kind(model.config)
    return convert.load_pytorch_weights_in_tf2_model(
        port,
        model.state_dict(),
        tf_inputs=tf_arguments(arrays),
        allow_missing_keys=True,  # a table that goes unused
        tf_to_pt_weight_rename=getattr(
            port, "tf_to_pt_weight_rename", None
        ),
    )


def tf_outputs(port, arrays):
    given = tf_arguments(arrays)
    return outputs(
        port(given, training=False, output_hidden_states=True)
    )
