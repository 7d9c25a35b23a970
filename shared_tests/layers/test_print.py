"""PyTorch: print(layer) shows sizes, as those of torch.nn do."""

import copy
import pickle

import pytest

import pytorch_impl
from shared_tests.layers.setups import NAMES, SETUPS

ENVIRONMENTS = ("pytorch",)


@pytest.mark.parametrize("layer, config, _", SETUPS, ids=NAMES)
def test_sizes(layer, config, _):
    made = getattr(pytorch_impl, layer)(**config)
    sizes = ", ".join(f"{n}={value!r}" for n, value in config.items())
    assert sizes in repr(made)
    assert repr(copy.deepcopy(made)) == repr(made)
    assert repr(pickle.loads(pickle.dumps(made))) == repr(made)


def test_what_is_inside():
    model = pytorch_impl.MLP(3, 5, 2)
    assert repr(model).splitlines()[:3] == [
        "MLP(",
        "  input_size=3, hidden_size=5, output_size=2",
        "  (layer1): Linear(in_features=3, out_features=5)",
    ]
    pytorch_impl.prepare(model, {"layer1": dict(weight_bits=4)})
    pytorch_impl.set_mode(model, "observe")
    shown = "(layer1): QATLinear(\n    in_features=3, out_features=5, "
    assert shown + "bias=True, weight_bits=4\n" in repr(model)


def test_a_layer_of_a_user():
    class Wide(pytorch_impl.Linear):
        def __init__(self, size):
            super().__init__(size, 2 * size)

    assert repr(Wide(3)) == "Wide(size=3)"
    holder = pytorch_impl.MultiHeadAttention(
        12, 3, attention=pytorch_impl.attention_tiled
    )
    assert "attention=attention_tiled" in repr(holder)
