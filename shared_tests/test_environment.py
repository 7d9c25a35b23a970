"""An environment holds just what its requirements file pins."""

import re
import sysconfig
from importlib.metadata import distributions

from shared_tests.files import ROOT

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet", "triton", "tools")

# what torch brings along where it is built for a GPU
CUDA = re.compile(r"(nvidia|cuda)[-_]|triton$|pip$")


# not all of sys.path: what setuptools brings along is on it once some
# test has imported it
SITE = sysconfig.get_path("purelib")
FOLDERS = {"tools": "shared_tests", "triton": "pytorch_impl/kernels"}


def pins(framework):
    folder = FOLDERS.get(framework, f"{framework}_impl")
    lines = (
        (ROOT / folder / "requirements.txt").read_text().splitlines()
    )
    return dict(
        line.split(";")[0].strip().split("==") for line in lines
    )


def test_the_environment_is_what_is_pinned(framework):
    want = pins(framework)
    have = {
        re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower(): d.version
        for d in distributions(path=[SITE])
    }
    have = {
        name: version
        for name, version in have.items()
        if name in want or not CUDA.match(name)
    }
    if framework == "tf":  # one of the two, by platform
        want.pop(
            "tensorflow"
            if "tensorflow-cpu" in have
            else "tensorflow-cpu"
        )
    have = {
        name: version.split("+")[0] for name, version in have.items()
    }
    assert have == want
