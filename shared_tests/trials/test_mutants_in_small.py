"""The mutation trial in small, in each framework's environment.

All named faults that small cases kill, and some systematic ones,
drawn with a fixed seed. The rest is for `make mutants`.
"""

import random
import re

import pytest

from shared_tests.cases import CASES
from shared_tests.trials import (
    mutant_trial,
    mutate,
    named_faults,
)
from shared_tests.trials.equivalent_mutants import EQUIVALENT

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

SEED, DRAWN = 0, 12
# of the systematic ones that seed draws, what the small cases miss
MISSED = {
    ("pytorch", "quantization/pact.py", "0 -> 1"): (
        "start from small numbers: test_corners.py"
    ),
    ("pytorch", "quantization/pact.py", "cast_like(y, x) -> y"): (
        "y of 16 bits: test_half_precision.py"
    ),
    (
        "pytorch",
        "quantization/lsq.py",
        "torch.clip(u, qmin, qmax).detach() -> torch.clip(u, qmin, qmax)",
    ): "the second derivative: test_second_order.py",
    (
        "tf",
        "quantization/pact.py",
        "widen(self.alpha) -> self.alpha",
    ): "the scale of 16 bits: test_half_precision.py",
    ("tf", "quantization/pact.py", "0 -> 1"): (
        "a level below 1: test_quantize.py"
    ),
    ("mxnet", "scaled_relu.py", "1.0 -> 2.0"): (
        "a default: test_lineup.py compares those of the four"
    ),
    (
        "mxnet",
        "quantization/lsq.py",
        "np.zeros_like(step, dtype=np.int32) -> step",
    ): "quantize refuses such a zero point: test_qat.py",
}
ALSO = """attention-fully_masked_row attention-huge_logits
    attention-causal attention-scale
    attention-causal_more_keys attention-grouped attention-masked
    fake_quantize-tie fake_quantize-at_bound fake_quantize-channels
    fake_quantize-tie_odd fake_quantize-zero_point
    LSQ-tie LSQ-at_bound PACT-tie PACT-2_bits PACT-at_bound
    LinearReLU-at_zero ScaledReLU-at_zero CenteredLayer-large
    Linear-sgd MLP-momentum MLP-adam MLP-sgd
    StandardizedConv2d-eps RMSNorm-eps RMSNorm-overflow QATLinear-min_max
    """.split()
SMALL = [
    case.id
    for case in CASES
    if case.id in ALSO or ("basic" in case.flags and not case.like)
]
PAGES = """attention.py bilinear.py centered.py conv.py linear.py
    manual_gradient.py multi_head_attention.py
    quantization/fake_quantize.py quantization/lsq.py
    quantization/pact.py rms_norm.py scaled_relu.py training.py
    """.split()
# what only tests, or cases outside SMALL, can see
ELSEWHERE = {
    "glorot with the inputs alone",
    "zero point not corrected for",
    "momentum: lr inside the velocity",
    "moving average: momentum of the other convention",
    "divides by the scale",
    "0 need not be in the range",
    "tiled: what was summed is not rescaled",
    "adam: epsilon inside the root",
}


@pytest.fixture(scope="module")
def trial(framework):
    """try_out(page, text): a process in a scratch copy, small cases."""
    near = mutant_trial.case_order(framework)
    with mutant_trial.scratch(framework) as folder:
        worker = mutant_trial.Worker(framework, folder)

        def try_out(page, text):
            cases = [name for name in near[page] if name in SMALL]
            rest = dict(line=1, cases=cases, tests=None)
            return worker.ask(page=page, text=text, **rest)

        try_out.worker = worker
        yield try_out
        worker.close()


def unseen(framework, trial, faults):
    return [
        (framework, mutant.page, mutant.change)
        for mutant in faults
        if trial(mutant.page, mutate.source(mutant))["outcome"]
        != "killed"
    ]


def drawn(framework):
    """Some systematic faults, as that seed has them."""
    every = [
        mutant
        for page in PAGES
        for mutant in mutate.mutants(framework, page)
    ]
    some = random.Random(SEED).sample(every, DRAWN)
    return [m for m in some if mutant_trial.place(m) not in EQUIVALENT]


def test_without_a_fault_all_is_well(framework, trial):
    for page in (
        "attention.py",
        "conv.py",
        "quantization/lsq.py",
        "training.py",
    ):
        text = mutate.pages.source(framework, page)
        found = trial(page, text)
        assert found["outcome"] == "unseen", (page, found)


def test_a_plain_fault_is_killed(framework, trial):
    """Also where the page does not even load."""
    text = mutate.pages.source(framework, "linear.py")
    wrong = text.replace("widen(y) + widen(bias)", "widen(y)")
    found = trial("linear.py", wrong)
    assert found["outcome"] == "killed"
    assert found["by"].startswith("case ") and found["detail"]
    found = trial("linear.py", "import nothing_of_that_name\n" + text)
    assert found["by"] == "import"
    assert trial("linear.py", text)["outcome"] == "unseen"


def test_no_fault_falls_on_the_next(framework, trial):
    """MXNet computes this shape later, and has its error then."""
    text = mutate.pages.source(framework, "quantization/observers.py")
    largest = (
        r"(torch|np|jnp|tf)\.(amax|reduce_max)\((x), (dim|axis)=-1\)"
    )
    wrong, count = re.subn(largest, r"\3", text)
    assert count == 1
    assert (
        trial("quantization/observers.py", wrong)["outcome"] == "killed"
    )
    assert (
        trial("quantization/observers.py", text)["outcome"] == "unseen"
    )


def test_named_faults(framework, trial):
    faults = [
        named_faults.planted(fault, framework)
        for fault in named_faults.FAULTS
        if fault.name not in ELSEWHERE
    ]
    assert unseen(framework, trial, faults) == []


def test_systematic_faults(framework, trial):
    missed = unseen(framework, trial, drawn(framework))
    assert set(missed) == {row for row in MISSED if row[0] == framework}


def test_a_process_that_hangs_or_ends_is_seen(framework, trial):
    text = mutate.pages.source(framework, "linear.py")
    trial.worker.stall = 3
    endless = text.replace("y <= 0", "[None for _ in iter(int, 1)]")
    assert endless != text
    with pytest.raises(
        mutant_trial.WorkerError, match=r"^timeout in case"
    ):
        trial("linear.py", endless)
