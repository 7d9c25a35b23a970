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
import mxnet as mx
from mxnet import np
from mxnet.gluon import nn

from mxnet_impl.linear import Linear
from mxnet_impl.scaled_relu import scaled_relu

# endregion


# region function
def named_parameters(layer):
    named = layer._collect_params_with_prefix()
    named = {n: p for n, p in named.items() if p._differentiable}
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
    named[name].grad_req = "null"


def seeded(make, seed: int):
    mx.random.seed(seed)
    layer = make()
    layer.initialize()
    return layer


# endregion


# region layer
class TiedMLP(nn.Block):
    def __init__(self, features: int, **kwargs):
        super().__init__(**kwargs)
        self.layer1 = Linear(features, features)
        tied = self.layer1.params
        self.layer2 = Linear(features, features, False, params=tied)
        self.layer2.bias = self.params.get(
            "bias", shape=self.layer1.bias.shape, init="zeros"
        )

    def forward(self, x):
        a = scaled_relu(self.layer1(x))  # ... D
        return self.layer2(a)  # ... E


# endregion


# region try
if __name__ == "__main__":
    layer = seeded(lambda: TiedMLP(features=3), seed=0)
    freeze(layer, "layer1.bias")
    print(list_parameters(layer))
    print(layer(np.ones((2, 3))))
# endregion


# region what differs here
# mxnet 1.9.1: params= shares every parameter of the same name, and an
# attribute cannot be replaced: layer2 is made without bias, then given
# one of its own
# mxnet 1.9.1: collect_params() has automatic names (linear0_weight)
# mxnet 1.9.1: state, as of observers, is what is not differentiable
# mxnet 1.9.1: one global generator, whose state cannot be read back
# endregion
