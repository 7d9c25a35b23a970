"""WebNN's conformance tolerance, counted on the canonical layer.

python -m shared_tests.trials.webnn        {case: what is allowed}, as JSON

    ulps(layer, config, params, inputs, cotangents)
        -> {"out": units in the last place, "grad": the same}

WebNN's tests allow each operation some units in the last place, which
for sums grow with the shape, and allow a graph the sum over its
operations; so does this, along one run of the reference. They have no
gradients: those get the sum over the forward and the backward pass.

Ref: web-platform-tests, webnn/resources/utils.js; where that has an
absolute tolerance (log, sin, cos, erf) the 32 units of exp are taken
"""

import functools
import json
import math

from pytorch_impl import adapter
from shared_tests.cases import CASES
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.roundoff.budget import RoundingNoise, aten, reduced
from shared_tests.run import group

EACH = {aten.exp: 32, aten.log: 32, aten.sin: 32, aten.cos: 32}
EACH |= {aten.erf: 32, aten.sigmoid: 34, aten.tanh: 16}
EACH |= {aten.div: 2, aten.reciprocal: 2}


class Ulps(RoundingNoise):
    """Adds no noise, and counts what WebNN would allow."""

    def __init__(self):
        super().__init__(None)
        self.total = 0

    def deviation(self, op, y, args, kwargs):
        self.total += self.allowed(op, args, kwargs)

    def perturb(self, y, noise):
        return y

    def allowed(self, op, args, kwargs):
        if op in (aten.sum, aten.mean):
            n = reduced(args[0], args[1] if args[1:] else None)
            return n if op is aten.sum else n + 2
        if op in (aten.mm, aten.bmm):
            return 2 * args[0].shape[-1]
        if op is aten.convolution:
            return 2 * math.prod(args[1].shape[1:])
        if op is aten.convolution_backward:
            dy, _, weight, *_ = args
            terms = weight.numel() // weight.shape[1]
            return 2 * max(terms, dy.numel() // dy.shape[1])
        if op in (aten._fft_r2c, aten._fft_c2c):
            return 2 * math.prod(args[0].shape[d] for d in args[1])
        return EACH.get(op, 1)


def ulps(layer, config, params, inputs, cotangents, training=None):
    """training: in place of gradients, as in cases.py: "trained"."""

    def counted(run, *given):
        built = adapter.build(layer, config, params, "float64")
        with Ulps() as mode:
            run(built, inputs, *given)
        return max(mode.total, 1)

    if training:
        train = functools.partial(adapter.train, **training)
        return {"trained": counted(train)}
    return {
        "out": counted(adapter.run),
        "grad": counted(adapter.run, cotangents or None),
    }


def main():
    """{case: ulps} of all cases, as JSON."""
    manifest, found = read_manifest(), {}
    for case in CASES:
        numbers = read_fixture(case, manifest)
        params, inputs, cotangents = (
            group(numbers, kind)
            for kind in ("param", "in", "cotangent")
        )
        found[case.id] = ulps(
            *(case.layer, case.config, params, inputs, cotangents),
            case.training,
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
