"""Glorot: how weights start, drawn uniformly in +-sqrt(6 / (I + O)).

For (O, I, ...) the trailing axes count with both: (I + O) times their
sizes; for a vector (I), O = 1. The variance of what passes through a
layer, and of the gradient that comes back, then stays about the same.

Ref:    Glorot, Bengio 2010, AISTATS, eq. 16
"""

# region imports
import math

import torch

# endregion


# region function
def glorot_bound(*shape: int):
    rows, columns = (1, *shape) if len(shape) == 1 else shape[:2]
    return math.sqrt(6 / ((rows + columns) * math.prod(shape[2:])))


def glorot(*shape: int):
    bound = glorot_bound(*shape)
    return torch.empty(shape).uniform_(-bound, bound)


# endregion


# region try
if __name__ == "__main__":
    print(glorot_bound(2, 4), glorot(2, 4))
# endregion
