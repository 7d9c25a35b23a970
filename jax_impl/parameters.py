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
import jax.numpy as jnp
from flax import nnx

from jax_impl.linear import Linear
from jax_impl.quantization.places import HOLDERS, inside
from jax_impl.scaled_relu import scaled_relu

# endregion


# region function
Frozen = nnx.variable_type_from_name("frozen", allow_register=True)


def named_parameters(layer):
    own, below = {}, {}
    held = vars(layer) if isinstance(layer, nnx.Pytree) else {}
    for name, value in (inside(layer) | held).items():
        if isinstance(value, (nnx.Param, Frozen)):
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
    frozen = Frozen(named[name][...])
    for _, module in list(nnx.iter_modules(layer)):
        for attribute, value in list(vars(module).items()):
            if value is named[name]:
                setattr(module, attribute, frozen)


def seeded(make, seed: int):
    return make(rngs=nnx.Rngs(seed))


# endregion


# region layer
class TiedMLP(nnx.Module):
    def __init__(self, features: int, *, rngs):
        super().__init__()
        self.layer1 = Linear(features, features, rngs=rngs)
        self.layer2 = Linear(features, features, rngs=rngs)
        self.layer2.weight = self.layer1.weight

    def __call__(self, x):
        a = scaled_relu(self.layer1(x))  # ... D
        return self.layer2(a)  # ... E


# endregion


# region try
if __name__ == "__main__":
    layer = seeded(lambda rngs: TiedMLP(features=3, rngs=rngs), seed=0)
    freeze(layer, "layer1.bias")
    print(list_parameters(layer))
    print(layer(jnp.ones((2, 3))))
# endregion


# region what differs here
# flax 0.12.8: nnx.grad and nnx.Optimizer(wrt=nnx.Param) go by type: a
# frozen parameter becomes a Variable of another type, in every place
# flax 0.12.8: nnx.state(layer, nnx.Param) lists once too, but sorted
# jax 0.10.2: no global generator; make takes rngs=, used or not
# endregion
