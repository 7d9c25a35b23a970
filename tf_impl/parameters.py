"""Parameters: list them, freeze one, share one, start from a seed.

named_parameters(layer)  {name: parameter} in order of construction
list_parameters(layer)   {name: shape}; a shared one is there once
freeze(layer, name)      training no longer changes that parameter
seeded(make, seed)       the layer that make gives, started from seed

TiedMLP is an MLP whose two layers share one weight W:
    a_d = max(sum_c W_dc x_c + b1_d, 0); y_e = sum_d W_ed a_d + b2_e

Axes:   C, D, E features, ... any leading axes
Params: layer1.weight (C, C), layer1.bias (C), layer2.bias (C); the
        gradient of the weight is the sum of those of its two uses
Raises: ValueError for a name that is not there; as linear for x
Ref:    Press, Wolf 2017, EACL, 3 (one matrix in two places)
"""

# region imports
import tensorflow as tf

from tf_impl.linear import Linear
from tf_impl.quantization.places import HOLDERS, attributes, inside
from tf_impl.scaled_relu import scaled_relu

# endregion


# region function
def named_parameters(layer):
    own, below = {}, {}
    holds = isinstance(layer, tf.keras.layers.Layer)
    held = attributes(layer) if holds else {}
    for name, value in (inside(layer) | held).items():
        if isinstance(value, tf.keras.Variable):
            if value.value.trainable:
                own[name] = value
        elif isinstance(value, HOLDERS):
            parts = named_parameters(value)
            below |= {f"{name}.{n}": p for n, p in parts.items()}
    named = own | below
    first = {id(p): n for n, p in reversed(named.items())}
    return {n: p for n, p in named.items() if first[id(p)] == n}


def list_parameters(layer):
    named = named_parameters(layer)
    return {name: tuple(p.shape) for name, p in named.items()}


def freeze(layer, name: str):
    named = named_parameters(layer)
    if name not in named:
        want = f"one of {', '.join(named)}"
        raise ValueError(f"freeze: name expected {want}, got {name!r}")
    named[name].trainable = False


def seeded(make, seed: int):
    tf.keras.utils.set_random_seed(seed)
    return make()


# endregion


# region layer
class TiedMLP(tf.keras.layers.Layer):
    def __init__(self, features: int, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.layer1 = Linear(features, features, dtype=policy)
        self.layer2 = Linear(features, features, dtype=policy)
        del self.layer2.weight
        self.layer2.weight = self.layer1.weight

    def call(self, x):
        a = scaled_relu(self.layer1(x))  # ... D
        return self.layer2(a)  # ... E


# endregion


# region try
if __name__ == "__main__":
    layer = seeded(lambda: TiedMLP(features=3), seed=0)
    freeze(layer, "layer1.bias")
    print(list_parameters(layer))
    print(layer(tf.ones((2, 3))))
# endregion


# region what differs here
# keras 3.15.1: without the del, layer2 goes on listing its old weight
# keras 3.15.1: variable.path has automatic names (linear_1/weight), so
# names come from attributes; value.trainable, of the tf.Variable
# inside, stays as it was made: frozen parameters are listed too
# keras 3.15.1: set_random_seed seeds Python, NumPy and TensorFlow, for
# all that follows
# endregion
