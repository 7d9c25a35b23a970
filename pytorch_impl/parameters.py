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
import torch
from torch import nn

from pytorch_impl.linear import Linear
from pytorch_impl.scaled_relu import scaled_relu

# endregion


# region function
def named_parameters(layer):
    return dict(layer.named_parameters())


def list_parameters(layer):
    named = named_parameters(layer)
    return {name: tuple(p.shape) for name, p in named.items()}


def freeze(layer, name: str):
    named = named_parameters(layer)
    if name not in named:
        want = f"one of {', '.join(named)}"
        raise ValueError(f"freeze: name expected {want}, got {name!r}")
    named[name].requires_grad_(False)


def seeded(make, seed: int):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


# endregion


# region layer
class TiedMLP(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.layer1 = Linear(features, features)
        self.layer2 = Linear(features, features)
        self.layer2.weight = self.layer1.weight

    def forward(self, x):
        a = scaled_relu(self.layer1(x))  # ... D
        return self.layer2(a)  # ... E


# endregion


# region try
if __name__ == "__main__":
    layer = seeded(lambda: TiedMLP(features=3), seed=0)
    freeze(layer, "layer1.bias")
    print(list_parameters(layer))
    print(layer(torch.ones((2, 3))))
# endregion
