"""Where the rounding error of an output comes from.

Noise on one thing at a time: the operations of one kind in one module
are noisy, all others exact. To first order rounding errors add up and
are independent, so that the variances of these partial runs add up to
the variance of a run in which everything is noisy; the share of a part
is its variance over their sum. What they add up to, over the whole
variance, is reported as `together`: far from 1, the model is not linear
at the size of rounding errors (a branch), and shares say little.

A module's operations are those of its own `forward`, and what their
gradients need: autograd numbers its nodes in the order of the forward
pass, so the number of the node that runs says which module made it.
Operations are ATen's, as they are left when composed ones have been
taken apart (docs/operations.md).

Cost: (1 + number of parts) times `runs` noisy runs.
"""

import bisect
import contextlib

import numpy as np
import torch
from torch.nn.modules import module as hooks

from .budget import RoundingNoise
from .sampling import deviation
from .shares import Explanation, Share

NOTHING = ("", "")  # no part has this name
OUTSIDE = 2**62  # numbers above: nodes that store gradients of leaves


class Located(RoundingNoise):
    """Notes which parts are noisy, and gives noise to the wanted one.

    names: {id of a module: path}; wanted: a (module path, operation), or
    None for all. Attribute parts: those that had noise to add, in order.
    """

    def __init__(self, generator, names=None, wanted=None):
        super().__init__(generator)
        self.names = names or {}
        self.wanted = wanted
        self.parts = {}
        self.operation = ""
        self.path = [""]
        self.marks = [(-1, "")]  # from this autograd number on: module

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        before = self.operation
        self.operation = func.overloadpacket.__name__.rstrip("_")
        try:
            return super().__torch_dispatch__(func, types, args, kwargs)
        finally:
            self.operation = before

    def perturb(self, y, noise):
        if isinstance(noise, list):
            return super().perturb(y, noise)  # comes back for each part
        part = self.where(), self.operation
        if self.wanted is None:
            if bool((noise != 0).any()):
                self.parts[part] = None
        elif part != self.wanted:
            return y
        return super().perturb(y, noise)

    def where(self):
        node = torch._C._current_autograd_node()
        if torch._C._current_graph_task_id() == -1 or node is None:
            return self.path[-1]
        number = node._sequence_nr()
        if number > OUTSIDE:
            return ""
        at = bisect.bisect(self.marks, number, key=lambda m: m[0])
        return self.marks[at - 1][1]

    def enter(self, module, _):
        path = self.names.get(id(module), self.path[-1])
        self.path.append(path)
        self.mark()

    def leave(self, *_):
        self.path.pop()
        self.mark()

    def mark(self):
        number = torch.autograd._get_sequence_nr()
        self.marks.append((number, self.path[-1]))

    @contextlib.contextmanager
    def following(self):
        """Under the mode, with every module telling where it is."""
        handles = [
            hooks.register_module_forward_pre_hook(self.enter),
            hooks.register_module_forward_hook(
                self.leave, always_call=True
            ),
        ]
        try:
            with self:
                yield
        finally:
            for handle in handles:
                handle.remove()


def explain(compute, seed, module=None, runs=16):
    """{array: Explanation} of every float array that compute() returns.

    compute: as for budget.estimate; module: the nn.Module that it runs,
        for the paths of its submodules; without one, or for what runs
        outside, the path is ""
    runs: of each part. A share is known to about sqrt(2 / (runs * n)),
        where n elements have errors of their own
    Raises: ValueError for fewer than one run
    """
    if runs < 1:
        raise ValueError(
            f"explain: runs expected at least 1, got {runs}"
        )
    named = module.named_modules() if module is not None else ()
    names = {id(part): path for path, part in named}
    with Located(None, wanted=NOTHING):  # decomposed as the others are
        silent = compute()
    reference = {
        name: array
        for name, array in silent.items()
        if np.asarray(array).dtype.kind == "f"
    }

    def variances(first, wanted, runs):
        total, parts = dict.fromkeys(reference, 0.0), {}
        generator = torch.Generator().manual_seed(first)
        for _ in range(runs):
            mode = Located(generator, names, wanted)
            with mode.following():
                noisy = compute()
            parts |= mode.parts
            for name, right in reference.items():
                moved = deviation(noisy[name], right)
                total[name] += float(np.sum(moved**2)) / runs
        return total, parts

    whole, parts = variances(seed, None, runs)
    of_part = {
        part: variances(seed + i, part, runs)[0]
        for i, part in enumerate(parts, start=1)
    }
    return {
        name: explanation(
            whole[name], {p: v[name] for p, v in of_part.items()}
        )
        for name in reference
    }


def explanation(whole, of_part):
    """Largest share first; parts that do not touch the array left out."""
    total = sum(of_part.values())
    shares = [
        Share(*part, variance / total)
        for part, variance in of_part.items()
        if variance > 0
    ]
    shares.sort(key=lambda share: -share.share)
    return Explanation(shares, total / whole if whole else 1.0)
