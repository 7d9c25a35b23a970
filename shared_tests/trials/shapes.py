"""What two criteria allow because of the shapes, counted on PyTorch's page.

python -m shared_tests.trials.shapes FOLDER      of all cases, as files

    allowed(layer, config, params, inputs, cotangents)
        -> {"out": {"ulps", "terms"}, "grad": {"ulps", "terms"}}

ulps: WebNN's tests allow each operation some units in the last place,
which for sums grow with the shape, and allow a graph the sum over its
operations; so does this, along one run of the reference.
terms: nvFuser's validator multiplies the sizes of the reductions along
the way to an output; this takes the largest such product of the pass.
Neither says anything of gradients: those get what both passes make.

FOLDER gets allowed.json, {case: what is allowed}, and for each case
CASE.npz with second.ARRAY, what PyTorch computes in float32, a second run
for the criteria that need one, and settled.ARRAY and sigma.ARRAY, the
reference and budget of a layer whose decisions are prescribed.

Ref: web-platform-tests, webnn/resources/utils.js; where that has an
absolute tolerance (log, sin, cos, erf) the 32 units of exp are taken;
NVIDIA/Fuser, csrc/validator_utils.cpp, ReductionSizeMapper
"""

import functools
import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from pytorch_impl import adapter
from shared_tests.cases import CASES
from shared_tests.files import write
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.roundoff.branches.settled import (
    settled as by_working_precision,
)
from shared_tests.roundoff.rules.noise import RoundingNoise
from shared_tests.roundoff.rules.sums import reduced
from shared_tests.run import computed, group

aten = torch.ops.aten
EACH = {aten.exp: 32, aten.log: 32, aten.sin: 32, aten.cos: 32}
EACH |= {aten.erf: 32, aten.sigmoid: 34, aten.tanh: 16}
EACH |= {aten.div: 2, aten.reciprocal: 2}
# layers that say of every operation, up to their codes, which it is
PRESCRIBED = "PACT LSQ LSQPlus fake_quantize quantize".split()
PRESCRIBED += ["QATLinear", "QATMultiHeadAttention"]
PRODUCTS = (aten.mm, aten.bmm, aten.convolution)
PRODUCTS += (aten.convolution_backward, aten._fft_r2c, aten._fft_c2c)


def terms(op, args):
    """How many terms each sum of this operation has; 1 if it is none."""
    if op in (aten.sum, aten.mean):
        return reduced(args[0], args[1] if args[1:] else None)
    if op in (aten.mm, aten.bmm):
        return args[0].shape[-1]
    if op is aten.convolution:
        return math.prod(args[1].shape[1:])
    if op is aten.convolution_backward:
        dy, _, weight, *_ = args
        each = weight.numel() // weight.shape[1]
        return max(each, dy.numel() // dy.shape[1])
    if op in (aten._fft_r2c, aten._fft_c2c):
        return math.prod(args[0].shape[d] for d in args[1])
    return 1


def units(op, args):
    """Units in the last place that WebNN allows this operation."""
    if op is aten.sum:
        return terms(op, args)
    if op is aten.mean:
        return terms(op, args) + 2
    return 2 * terms(op, args) if op in PRODUCTS else EACH.get(op, 1)


class Counted(RoundingNoise):
    """Adds no noise, and counts along the way."""

    def __init__(self):
        super().__init__(None)
        self.ulps, self.terms = 0, 1
        # {where a tensor's numbers are: the terms behind them}, and the
        # tensors, so that no other takes their place
        self.behind, self.alive = {}, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        y = super().__torch_dispatch__(func, types, args, kwargs)
        made = [t for t in tree_leaves(y) if torch.is_tensor(t)]
        given = [t for t in tree_leaves(args) if torch.is_tensor(t)]
        here = max(1, terms(func.overloadpacket, args))
        here *= max(map(self.terms_of, given), default=1)
        for tensor in made:
            at = tensor.untyped_storage().data_ptr()
            self.behind[at] = max(here, self.terms_of(tensor))
            self.alive.append(tensor)
        self.terms = max(self.terms, here)
        return y

    def terms_of(self, tensor):
        return self.behind.get(tensor.untyped_storage().data_ptr(), 1)

    def noisy(self, op, y, args, kwargs):
        self.ulps += units(op, args)
        return y


def allowed(layer, config, params, inputs, cotangents, training=None):
    """training: in place of gradients, as in cases.py: "trained"."""

    def counted(run, *given):
        built = adapter.build(layer, config, params, "float64")
        with Counted() as mode:
            run(built, inputs, *given)
        return {"ulps": max(mode.ulps, 1), "terms": mode.terms}

    if training:
        train = functools.partial(adapter.train, **training)
        return {"trained": counted(train)}
    return {
        "out": counted(adapter.run),
        "grad": counted(adapter.run, cotangents or None),
    }


def settled(layer, config, params, inputs, cotangents, seed):
    """(reference, sigma) with the decisions that float32 takes; None
    for a layer that prescribes nothing."""
    if layer not in PRESCRIBED:
        return None

    def computing(precision):
        def compute():
            built = adapter.build(layer, config, params, precision)
            return adapter.run(built, inputs, cotangents or None)

        return compute

    both = computing("float64"), computing("float32")
    return by_working_precision(*both, seed)


def main():
    folder, manifest = pathlib.Path(sys.argv[1]), read_manifest()
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for case in CASES:
        numbers = read_fixture(case, manifest)
        params, inputs, cotangents = (
            group(numbers, kind)
            for kind in ("param", "in", "cotangent")
        )
        found[case.id] = allowed(
            *(case.layer, case.config, params, inputs, cotangents),
            case.training,
        )
        second = computed(adapter, case, "float32", "eager", numbers)
        arrays = {f"second.{name}": a for name, a in second.items()}
        known = settled(
            *(case.layer, case.config, params, inputs, cotangents), 0
        )
        for kind, group_ in zip(("settled", "sigma"), known or ()):
            arrays |= {f"{kind}.{n}": a for n, a in group_.items()}
        np.savez(folder / f"{case.id}.npz", **arrays)
    write(folder / "allowed.json", json.dumps(found))


if __name__ == "__main__":
    main()
