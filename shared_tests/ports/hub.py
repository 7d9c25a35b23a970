"""Part "keras-hub": its backbones against transformers' PyTorch models.

keras-hub reads a model that transformers has saved, with a converter of
its own; these are the families for which it has one. A saved model here
is a folder of the small model with random weights. Keras 3 runs on JAX.
A backbone returns one or two arrays; each is held against the PyTorch
output of its shape that is nearest to it, which the table names. One
that is off runs once more with its repair (hub_repairs.py).
"""

import tempfile

import numpy as np

from shared_tests.ports import inputs, measuring, pairs
from shared_tests.ports.families import (
    FAMILIES,
    GROUPED,
    PADDED_BY_1,
    Family,
)
from shared_tests.ports.hub_repairs import REPAIRS, Repair

WIDE_HEADS = dict(**GROUPED, head_dim=8)
PADDED_BY_0 = dict(**GROUPED, pad_token_id=0)
WINDOW = dict(**WIDE_HEADS, sliding_window=4)


def like(name, model):
    """A family of the table with another head."""
    return FAMILIES[name]._replace(model=model)


def decoder(name, options, model="ForCausalLM"):
    return Family(
        f"{name}Config", options, f"{name}{model}", "", inputs.text
    )


def padded(rng, batch=2):
    """Text whose padding shows as id 1: keras-hub's ESM takes no mask."""
    found = inputs.text(rng, batch)
    found["input_ids"][found["attention_mask"] == 0] = 1
    return found


# name: (what transformers saves, keras-hub's backbone)
BACKBONES = {
    "bert": (like("bert", "BertModel"), "Bert"),
    "albert": (like("albert", "AlbertForPreTraining"), "Albert"),
    "distilbert": (FAMILIES["distilbert"], "DistilBert"),
    "roberta": (FAMILIES["roberta"], "Roberta"),
    "xlm_roberta": (FAMILIES["xlm_roberta"], "XLMRoberta"),
    "bart": (like("bart", "BartModel"), "Bart"),
    "gpt2": (like("gpt2", "GPT2Model"), "GPT2"),
    "llama": (FAMILIES["llama"], "Llama"),
    "llama3": (FAMILIES["llama"], "Llama3"),
    "mistral": (FAMILIES["mistral"], "Mistral"),
    "mixtral": (
        decoder(
            "Mixtral",
            dict(**GROUPED, num_local_experts=4, sliding_window=None),
        ),
        "Mixtral",
    ),
    "gemma": (FAMILIES["gemma"], "Gemma"),
    "gemma2": (
        decoder("Gemma2", dict(**WINDOW, query_pre_attn_scalar=8)),
        "Gemma",
    ),
    "gemma3": (
        decoder("Gemma3", WINDOW)._replace(
            config="Gemma3TextConfig", model="Gemma3TextModel"
        ),
        "Gemma3",
    ),
    "qwen2": (decoder("Qwen2", GROUPED), "Qwen"),
    "qwen3": (decoder("Qwen3", WIDE_HEADS), "Qwen3"),
    "smollm3": (decoder("SmolLM3", PADDED_BY_0), "SmolLM3"),
    "esm": (
        Family(
            "EsmConfig",
            dict(
                **PADDED_BY_1,
                position_embedding_type="rotary",
                mask_token_id=2,
                token_dropout=False,
            ),
            "EsmForMaskedLM",
            "",
            padded,
        ),
        "ESM2",
    ),
    "vit": (FAMILIES["vit"], "ViT"),
    "deit": (like("deit", "DeiTForImageClassification"), "DeiT"),
    "dinov2": (FAMILIES["dinov2"], "DINOV2"),
}
PROCESSORS = {
    "vit": "ViTImageProcessor",
    "deit": "DeiTImageProcessor",
    "dinov2": "BitImageProcessor",
}
NAMES = tuple(BACKBONES)
SEED = 0


def saved(name, model, folder):
    import transformers

    family, _ = BACKBONES[name]
    model.config.architectures = [family.model]
    model.save_pretrained(folder)
    if name in PROCESSORS:
        kind = getattr(transformers, PROCESSORS[name])
        kind(size=dict(height=16, width=16)).save_pretrained(folder)


def backbone(name, model):
    """keras-hub's, with the weights that its converter reads."""
    import keras_hub

    kind = getattr(keras_hub.models, f"{BACKBONES[name][1]}Backbone")
    with tempfile.TemporaryDirectory() as folder:
        saved(name, model, folder)
        return kind.from_preset(folder, load_weights=True)


def given(port, arrays):
    """The inputs by keras-hub's names; images have channels last."""
    if "pixel_values" in arrays:
        return arrays["pixel_values"].transpose(0, 2, 3, 1)
    ids, mask = arrays["input_ids"], arrays["attention_mask"]
    every = dict(token_ids=ids, padding_mask=mask)
    every["segment_ids"] = np.zeros_like(ids)
    if "decoder_input_ids" in arrays:
        every = dict(
            encoder_token_ids=ids,
            encoder_padding_mask=mask,
            decoder_token_ids=arrays["decoder_input_ids"],
            decoder_padding_mask=arrays["decoder_attention_mask"],
        )
    names = {tensor.name for tensor in port.inputs}
    return {k: v for k, v in every.items() if k in names}


def nearest(value, wanted, sigma):
    """(name, what measured() says) of the output that it is, or None."""
    found = {
        name: measuring.measured(value, array, sigma[name])
        for name, array in wanted.items()
        if array.shape == value.shape
    }
    if not found:
        return None
    name = min(found, key=lambda n: found[n]["budget"])
    return name, found[name]


def rows_of(name, factor, repair=None):
    import torch

    from shared_tests.ports import hugging

    port_name = "keras-hub, repaired" if repair else "keras-hub"
    repair = repair or Repair({})
    family, _ = BACKBONES[name]
    family = family._replace(options=family.options | repair.options)
    model, arrays = hugging.build_family(family, SEED, factor)
    if repair.weights:
        with torch.no_grad():
            repair.weights(model)
    # without its head: a backbone's last state is what the head gets
    wanted, sigma = pairs.reference(model.base_model, arrays, SEED)
    with repair.port():
        port = backbone(name, model)
        values = port(given(port, arrays))
    if not hasattr(values, "items"):
        values = {"output": values}
    found, missing = {}, []
    for key, value in values.items():
        near = nearest(np.asarray(value), wanted, sigma)
        if near:
            found[f"{key} = {near[0]}"] = near[1]
        else:  # an output that this model of transformers does not have
            missing.append(key)
    row = dict(port=port_name, seed=SEED, factor=factor)
    return row | dict(arrays=found, missing=missing)


def run(name):
    repairs = [None] + [REPAIRS[n] for n in REPAIRS if n == name]
    return [
        rows_of(name, factor, repair)
        for repair in repairs
        for factor in pairs.FACTORS
    ]
