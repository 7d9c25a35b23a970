"""One framework's share of the mutation trial, in its environment.

python -m shared_tests.trials.mutant_worker jax

It runs inside a scratch copy of the repo, which mutants.py makes, and
takes one JSON line after the other:
    {"profile": path, "only": files}
        writes which functions each test of these files enters
    {"page", "line", "text", "cases": ids, "tests": paths or null,
     "first": tests}
        tries one faulty page, by these cases or, with what the tests
        enter, by tests; answers {"outcome": killed, unseen or survived,
        "by", "detail"}
    {"measure": path, "page", "text", "cases": ids}
        holds what the page computes in float32 against all criteria;
        answers {case: {array: {criterion: worst ratio}}}. The folder
        has what the shapes allow, and a second run (shapes.py)
and says {"at"} before each case and test, as a sign of life.
The framework is imported once. For each fault the page is written, the
modules of the package are forgotten and imported again.
"""

import ast
import contextlib
import importlib
import json
import math
import os
import pathlib
import sys
import time

import numpy as np
import pytest

from shared_tests.cases import CASES
from shared_tests.environments import environments_of
from shared_tests.files import ROOT, write
from shared_tests.fixture_files import read_fixture, read_manifest
from shared_tests.processes import answers
from shared_tests.run import computed, group, judge_run, precisions
from shared_tests.trials import criteria

# seconds of the processor: a test that takes longer is left out, and
# what all tests of one fault may take
SLOW, ALLOWED = 5.0, 120.0
FIRST = 15  # tests, the nearest, that run before the others
CASES_AGAIN = "shared_tests/layers/test_layers.py::test_within_budget"
# cases, the nearest, that a fault is shown in float64, and in each other
# precision; then, where the tests see nothing, up to so many
FEW, MANY = (12, 4), (40, 12)
COMPILED = 1  # compiled case that a survivor of all else is shown


def forget(*packages):
    """So that the next import reads the files again."""
    for name in list(sys.modules):
        if name.split(".")[0] in packages:
            del sys.modules[name]
    importlib.invalidate_caches()


class Watch:
    """Which files of the package, and functions in them, are entered."""

    def __init__(self, framework):
        self.home = str(ROOT / f"{framework}_impl") + os.sep
        self.seen = set()

    def __call__(self, frame, event, arg):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(self.home):
            self.seen.add((code.co_filename, code.co_name))

    def take(self):
        """{page: names of functions}, and start again."""
        found = {}
        for path, name in sorted(self.seen):
            page = pathlib.Path(path.removeprefix(self.home)).as_posix()
            found.setdefault(page, []).append(name)
        self.seen.clear()
        return found


class Fixtures:
    """Read once; the trial needs each of them many times."""

    def __init__(self):
        self.manifest, self.read = read_manifest(), {}

    def __getitem__(self, case):
        if case.id not in self.read:
            self.read[case.id] = read_fixture(case, self.manifest)
        return self.read[case.id]


def settle(framework):
    """MXNet computes later: an error must not fall on the next fault."""
    if framework == "mxnet":
        with contextlib.suppress(Exception):
            sys.modules["mxnet"].nd.waitall()


class ImportFailure(Exception):
    """The faulty page does not load."""


def load(framework):
    forget(f"{framework}_impl")
    try:
        return importlib.import_module(f"{framework}_impl.adapter")
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise ImportFailure(text) from error


def failure(adapter, case, precision, mode, fixture):
    """The first array that fails, as a text; None if none does."""
    if adapter.unsupported(case.layer, precision, mode == "compiled"):
        return None
    verdicts = judge_run(adapter, case, precision, mode, fixture)
    for name, verdict in verdicts.items():
        if not verdict.passed:
            return f"{name}: {verdict.detail}"[:200]
    return None


class Recorder:
    """A pytest plugin: what each test enters, and how long it takes."""

    def __init__(self, watch, say):
        self.watch, self.found, self.failed = watch, {}, []
        self.say = say

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        self.say(item.nodeid)
        start = time.process_time()
        sys.setprofile(self.watch)
        yield
        sys.setprofile(None)
        seconds = time.process_time() - start
        self.found[item.nodeid] = seconds, self.watch.take()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)


def pytest_run(framework, nodes, plugin, fine=pytest.ExitCode.OK):
    forget("shared_tests")
    options = [f"--framework={framework}", "--assert=plain", "-x"]
    quiet = ["-o", "addopts=", "-p", "no:terminal"]
    quiet += ["-p", "no:cacheprovider", "-p", "no:faulthandler"]
    code = pytest.main([*options, *quiet, *nodes], plugins=[plugin])
    if code not in (pytest.ExitCode.OK, fine) and not plugin.failed:
        raise RuntimeError(f"pytest ended with {code}: {nodes[:3]}")


def profile_tests(framework, only, say):
    """{test: [seconds, what it enters]}"""
    recorder = Recorder(Watch(framework), say)
    files = [f"shared_tests/{name}" for name in only]
    pytest_run(framework, files, recorder)
    if recorder.failed:
        raise RuntimeError(f"without a fault: {recorder.failed}")
    return recorder.found


class Verdicts:
    """A pytest plugin: the first test that fails, while time is left."""

    def __init__(self, say, deadline):
        self.failed, self.say, self.deadline = [], say, deadline

    def pytest_runtest_setup(self, item):
        self.say(item.nodeid)
        if time.process_time() > self.deadline:
            item.session.shouldstop = "no time is left"

    def pytest_runtest_logreport(self, report):
        if report.failed:
            text = str(report.longrepr)[-200:]
            self.failed.append((report.nodeid, text))

    def pytest_collectreport(self, report):
        if report.failed:
            text = str(report.longrepr)[-200:]
            self.failed.append((report.nodeid, text))


class Names:
    """A pytest plugin: what there is to run."""

    def __init__(self):
        self.found, self.failed = set(), []

    def pytest_collection_modifyitems(self, items):
        self.found |= {item.nodeid for item in items}
        items.clear()


def collected(framework, names):
    """Those of the tests that this framework has."""
    plugin = Names()
    files = {ROOT / name.split("::")[0] for name in names}
    files = [str(f) for f in files if framework in environments_of(f)]
    none = pytest.ExitCode.NO_TESTS_COLLECTED
    pytest_run(framework, files, plugin, none)
    return plugin.found


def concerned(found, page, functions):
    """Those that enter the page; first the function, then the fast."""
    rows = []
    for name, (seconds, entered) in found.items():
        if page in entered:
            near = bool(functions & set(entered[page]))
            rows.append((not near, seconds, name))
    return [name for *_, name in sorted(rows)]


def affordable(found, names):
    """Without what is slow, or what the cases have shown."""
    return [
        name
        for name in names
        if found[name][0] <= SLOW and not name.startswith(CASES_AGAIN)
    ]


def enclosing(text, line):
    """The names of the functions around that line."""
    return {
        getattr(node, "name", "<lambda>")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.Lambda))
        and node.lineno <= line <= node.end_lineno
    }


def read_profile(paths):
    return {
        name: entered
        for path in paths
        for _, found in json.loads(
            pathlib.Path(path).read_text()
        ).values()
        for name, entered in found.items()
    }


class Trial:
    def __init__(self, framework, say):
        self.framework, self.fixtures = framework, Fixtures()
        self.say, self.entered = say, {}
        self.cases = {case.id: case for case in CASES}

    def try_out(self, page, line, text, cases, tests, first=()):
        path = ROOT / f"{self.framework}_impl" / page
        whole = path.read_text()
        cases = [self.cases[name] for name in cases]
        path.write_text(text)
        try:
            adapter = load(self.framework)
            if tests:
                self.entered = self.entered or self.known(tests)
                near = enclosing(whole, line)
                return self.tested(page, near, cases, first)
            return self.judged(adapter, cases)
        except ImportFailure as error:
            return answer("killed", "import", str(error))
        finally:
            path.write_text(whole)
            settle(self.framework)

    def measure(self, measure, page, text, cases):
        """What each criterion makes of a page; see criteria.py."""
        path = ROOT / f"{self.framework}_impl" / page
        folder = pathlib.Path(measure)
        allowed = json.loads((folder / "allowed.json").read_text())
        whole, found = path.read_text(), {}
        path.write_text(text)
        try:
            adapter = load(self.framework)
            for name in cases:
                self.say(name)
                case, fixture = self.cases[name], None
                if not adapter.unsupported(
                    case.layer, "float32", False
                ):
                    fixture = self.fixtures[case]
                    with np.load(folder / f"{name}.npz") as also:
                        found[name] = ratios_of(
                            *(adapter, case, fixture),
                            *(allowed[name], also),
                        )
        finally:
            path.write_text(whole)
        return found

    def judged(self, adapter, cases):
        found = self.shown(adapter, eager_runs(cases, *FEW))
        return found or answer("unseen", "", "")

    def shown(self, adapter, runs):
        for case, precision in runs:
            found = self.seen(adapter, case, precision, "eager")
            if found:
                return found
        return None

    def known(self, paths):
        profile = read_profile(paths)
        here = collected(self.framework, profile)
        return {k: v for k, v in profile.items() if k in here}

    def tested(self, page, functions, cases, first):
        found = self.entered
        nodes = affordable(found, concerned(found, page, functions))
        first = [name for name in first if name in nodes]
        nodes = [*first, *(name for name in nodes if name not in first)]
        deadline = time.process_time() + ALLOWED
        for some in (nodes[:FIRST], nodes[FIRST:]):
            verdicts = Verdicts(self.say, deadline)
            if some:
                stop = pytest.ExitCode.INTERRUPTED
                pytest_run(self.framework, some, verdicts, stop)
            if verdicts.failed:
                return answer("killed", *verdicts.failed[0])
        adapter, before = (
            load(self.framework),
            [*eager_runs(cases, *FEW)],
        )
        more = (r for r in eager_runs(cases, *MANY) if r not in before)
        found = self.shown(adapter, more)
        if found:
            return found
        compiled = [c for c in cases if "compiled" in c.flags]
        for case in compiled[:COMPILED]:
            found = self.seen(adapter, case, "float32", "compiled")
            if found:
                return found
        return answer("survived", "", "")

    def seen(self, adapter, case, precision, mode):
        by = f"case {case.id} {precision} {mode}"
        self.say(by)
        fixture = self.fixtures[case]
        wrong = failure(adapter, case, precision, mode, fixture)
        return answer("killed", by, wrong) if wrong else None


def ratios_of(adapter, case, fixture, allowed, also):
    """{array: {criterion: worst ratio}}; an exception fails them all.

    allowed: of each side; also: the second run, and what is settled,
    both as shapes.py has them
    """
    references, sigma = group(fixture, "ref"), group(fixture, "sigma")
    second, settled = group(also, "second"), group(also, "settled")
    try:
        results = computed(adapter, case, "float32", "eager", fixture)
    except Exception:
        results = {}
    found = {}
    for name, reference in references.items():
        found[name] = dict.fromkeys(criteria.NAMES, math.inf)
        if name in results:
            against = reference, sigma[name]
            known = against
            if name in settled:
                known = settled[name], also[f"sigma.{name}"]
            side = name.split(".")[0]
            found[name] = criteria.ratios(
                *(results[name], *against, "float32", allowed[side]),
                "out" if side == "out" else "grad",
                second[name],
                settled=known,
            )
    return found


def eager_runs(cases, wide, narrow):
    """float64 first, where a formula shows; then the others."""
    for case in cases[:wide]:
        yield case, "float64"
    for step in ("float32", "bfloat16", "float16"):
        able = [case for case in cases if step in precisions(case)]
        for case in able[:narrow]:
            yield case, step


def answer(outcome, by, detail):
    return dict(outcome=outcome, by=by, detail=detail)


def main():
    framework = sys.argv[1]
    trial = None
    with answers() as out:

        def emit(**line):
            out.write(json.dumps(line).encode() + b"\n")
            out.flush()

        def say(what):
            emit(at=what)

        load(framework)
        if framework == "jax":  # each fault has the shapes of the last
            sys.modules["jax"].clear_caches = lambda: None
        emit(ready=True)
        for line in sys.stdin:
            order = json.loads(line)
            if "profile" in order:
                found = profile_tests(framework, order["only"], say)
                write(pathlib.Path(order["profile"]), json.dumps(found))
                emit(profiled=True)
            else:
                trial = trial or Trial(framework, say)
                do = (
                    trial.measure
                    if "measure" in order
                    else trial.try_out
                )
                emit(**do(**order))
    return 0


if __name__ == "__main__":
    sys.exit(main())
