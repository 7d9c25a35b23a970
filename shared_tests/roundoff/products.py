"""Where the factors of a product stand among its arguments.

For what narrows them: a budget of TF32 (mixed/precisions.py), and the
question whether a port did (faults/changes.py).
"""

import torch

aten = torch.ops.aten
FACTORS = {
    aten.mm: (0, 1),
    aten.bmm: (0, 1),
    aten.mv: (0, 1),
    aten.dot: (0, 1),
    aten.addmm: (1, 2),
    aten.baddbmm: (1, 2),
    aten.addmv: (1, 2),
    aten.convolution: (0, 1),
    aten.convolution_backward: (0, 1, 2),
}
