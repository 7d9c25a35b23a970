"""Part "deviations": each pair that is off, and the line that differs.

For each there is a repair, which changes that line alone, by a setting,
an argument or an attribute, on the side that is at fault. With it the
pair agrees: that is how a reader can know that the explanation in
docs/ports/deviations.md is the whole one.
"""

import copy
import math

import numpy as np

from shared_tests.ports import measuring, pairs, reproductions

SEED = 0


def flax(name, model, arrays):
    from shared_tests.ports import hugging

    return hugging.flax_outputs(hugging.flax_port(name, model), arrays)


def tf(name, model, arrays):
    from shared_tests.ports import hugging

    return hugging.tf_outputs(
        hugging.tf_port(name, model, arrays), arrays
    )


def sinusoids(positions, half, base, shift=0):
    """sin and cos of n / base^(i / half), in float64."""
    import torch

    n = torch.arange(positions, dtype=torch.float64).unsqueeze(1)
    rates = torch.arange(half, dtype=torch.float64) / (half - shift)
    angles = n * base**-rates
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


# Each returns (the PyTorch model that is the reference, its inputs, a
# function that gives the port's outputs): all as they are but one line.


def electra_flax(model, arrays):
    zeros = np.zeros_like(arrays["input_ids"])
    given = dict(**arrays, token_type_ids=zeros)
    return model, arrays, lambda: flax("electra", model, given)


def mistral_flax(model, arrays):
    other = copy.deepcopy(model)
    other.config.sliding_window -= 1
    return model, arrays, lambda: flax("mistral", other, arrays)


def mistral_tf(model, arrays):
    other = copy.deepcopy(model)
    other.config.sliding_window = None
    return other, arrays, lambda: tf("mistral", model, arrays)


def deberta_tf(model, arrays, name="deberta"):
    mask = np.ones_like(arrays["attention_mask"])
    full = dict(arrays, attention_mask=mask)
    return model, full, lambda: tf(name, model, full)


def deberta_v2_tf(model, arrays):
    return deberta_tf(model, arrays, "deberta_v2")


def esm_tf(model, arrays):
    import torch

    mask = torch.tensor(arrays["attention_mask"])

    def with_mask(module, given, options):
        return given, {**options, "attention_mask": mask}

    other = copy.deepcopy(model)
    other.esm.embeddings.register_forward_pre_hook(
        with_mask, with_kwargs=True
    )
    return other, arrays, lambda: tf("esm", model, arrays)


def ctrl_tf(model, arrays):
    other = copy.deepcopy(model)
    width = other.config.n_embd
    table = sinusoids(other.config.n_positions, width // 2, 10000)
    other.transformer.pos_encoding = table
    return other, arrays, lambda: tf("ctrl", model, arrays)


def xglm_flax(model, arrays):
    other = copy.deepcopy(model)
    layer = other.model.embed_positions
    count, width = layer.weights.shape
    table = sinusoids(count, width // 2, 10000, 1)
    table[layer.padding_idx] = 0
    layer.weights = table
    return other, arrays, lambda: flax("xglm", model, arrays)


def openai_tf(model, arrays):
    from transformers.activations_tf import get_tf_activation

    from shared_tests.ports import hugging

    def compute():
        port = hugging.tf_port("openai", model, arrays)
        for block in port.transformer.h:
            block.mlp.act = get_tf_activation("gelu_new")
        return hugging.tf_outputs(port, arrays)

    return model, arrays, compute


def rag_tf(model, arrays):
    from shared_tests.ports import hugging

    def compute():
        port = hugging.tf_port("rag", model, arrays)
        bias = model.generator.final_logits_bias.numpy()
        port.generator.bias_layer.bias.assign(bias)
        return hugging.tf_outputs(port, arrays)

    return model, arrays, compute


REPAIRS = {
    "electra_flax": electra_flax,
    "mistral_flax": mistral_flax,
    "mistral_tf": mistral_tf,
    "openai_tf": openai_tf,
    "deberta_tf": deberta_tf,
    "deberta_v2_tf": deberta_v2_tf,
    "esm_tf": esm_tf,
    "ctrl_tf": ctrl_tf,
    "xglm_flax": xglm_flax,
    "rag_tf": rag_tf,
}
NAMES = tuple(REPAIRS)


def pair_of(name):
    """("deberta_v2", "tf") of "deberta_v2_tf"."""
    family, _, port = name.rpartition("_")
    return family, port


OFF = {
    (family, port)
    for family, kind in map(pair_of, NAMES)
    for port in (kind, f"{kind} jit")
}


def worst(values, wanted, sigma):
    found, _ = measuring.compared(values, wanted, sigma)
    peak = max(f.get("budget", math.inf) for f in found.values())
    return peak, measuring.first_wrong(found)


def row_of(name, factor):
    from shared_tests.ports import hugging

    family, port = pair_of(name)
    model, arrays = hugging.build(family, SEED, factor)
    straight = dict(flax=flax, tf=tf)[port](family, model, arrays)
    before, first = worst(
        straight, *pairs.reference(model, arrays, SEED)
    )
    reference, given, compute = REPAIRS[name](model, arrays)
    after, _ = worst(
        compute(), *pairs.reference(reference, given, SEED)
    )
    return {
        "factor": factor,
        "as it is": before,
        "first": first,
        "repaired": after,
    }


def run(name):
    said = reproductions.printed(name, reproductions.PAGE.read_text())
    return [
        row_of(name, factor) | {"printed": said}
        for factor in pairs.FACTORS
    ]
