"""`make memory`: the peak extra memory of attention, naive and tiled.

One head of width 64, float32, N queries and N keys, blocks of 128 keys,
one thread; each number comes from a fresh process. Extra is the highest
resident memory during the call, minus what was resident just before it
(libraries, compiled code, inputs, cotangent), minus the arrays that it
gives back. Counted without the holes that malloc leaves between arrays,
and with them ("holes"). Writes build/memory.json.
"""

import ctypes
import importlib
import json
import math
import os
import statistics
import subprocess
import sys

SIZES = (2048, 4096, 8192, 16384)
PAGES = ("attention", "attention_tiled", "attention_tiled holes")
PASSES = ("forward", "both")  # both: forward and backward
LIMIT = 12 * 2**30  # bytes; what is expected to need more is left out
# Arrays get memory of their own from the system, and give it back.
NO_HOLES = {"MALLOC_MMAP_THRESHOLD_": "65536"}


def pytorch_call(f, which, arrays):
    import torch

    *xs, dy = map(torch.from_numpy, arrays)
    if which == "forward":
        return torch.no_grad()(lambda: [f(*xs)]), None
    for x in xs:
        x.requires_grad_()

    def both():
        y = f(*xs)
        return y, *torch.autograd.grad(y, xs, dy)

    return both, None


def jax_call(f, which, arrays):
    import jax

    def both(q, k, v, dy):
        y, pull = jax.vjp(f, q, k, v)
        return y, *pull(dy)

    given = jax.device_put(tuple(arrays))
    run = both if which == "both" else lambda *xs: [f(*xs[:3])]
    run = jax.jit(run, keep_unused=True).lower(*given).compile()
    planned = run.memory_analysis().temp_size_in_bytes
    return lambda: jax.block_until_ready(run(*given)), planned


def tf_call(f, which, arrays):
    import tensorflow as tf

    def both(q, k, v, dy):
        with tf.GradientTape() as tape:
            tape.watch((q, k, v))
            y = f(q, k, v)
        return y, *tape.gradient(y, (q, k, v), dy)

    given = [tf.constant(x) for x in arrays]
    run = both if which == "both" else lambda *xs: [f(*xs[:3])]
    run = tf.function(run).get_concrete_function(*given)
    return lambda: run(*given), None


def mxnet_call(f, which, arrays):
    import mxnet as mx

    *xs, dy = map(mx.np.array, arrays)
    for x in xs if which == "both" else ():
        x.attach_grad()  # these are resident before the call

    def call():
        with mx.autograd.record(which == "both"):
            y = f(*xs)
        if which == "both":
            y.backward(dy)
        mx.npx.waitall()
        return [y]

    mx.npx.waitall()
    return call, None


def resident(field):
    """VmRSS, what is resident now, or VmHWM, the peak; in bytes."""
    with open("/proc/self/status") as lines:
        found = next(line for line in lines if line.startswith(field))
    return int(found.split()[1]) * 1024


def measure(framework, page, which, size):
    """[extra bytes, what XLA planned] of one call, warmed up."""
    import numpy as np

    make = globals()[f"{framework}_call"]
    f = getattr(importlib.import_module(f"{framework}_impl"), page)
    rng, shape = np.random.default_rng(0), (4, 1, 1, size, 64)
    arrays = list(rng.standard_normal(shape, "float32"))
    make(f, which, [x[:, :, :256].copy() for x in arrays])[0]()
    call, planned = make(f, which, arrays)
    ctypes.CDLL(None).malloc_trim(0)  # or free memory hides some
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts from here
    before = resident("VmRSS")
    own = sum(4 * math.prod(y.shape) for y in call())
    return resident("VmHWM") - before - own, planned


def measured(framework, page, which, size):
    """The same from a fresh process."""
    from shared_tests.files import ROOT
    from shared_tests.processes import finish, how_it_ended, module

    page, *holes = page.split()
    what = framework, page, which, str(size)
    with open(ROOT / "build" / "logs" / "memory.log", "a") as log:
        code, said = finish(
            module(framework, "shared_tests.performance.memory", *what),
            env=os.environ | ({} if holes else NO_HOLES),
            stdout=subprocess.PIPE,
            stderr=log,
        )
    if code:
        sys.exit(
            f"make memory: {page}, {which}, {framework}, {size}:"
            f" {how_it_ended(code)}; build/logs/memory.log says why"
        )
    return json.loads(said.splitlines()[-1])


def series(framework, page, which):
    """Sizes upwards, as far as N x N arrays stay within the limit."""
    row = {"extra": {}, "planned": {}}
    for size in SIZES:
        last = row["extra"].get(size // 2, 0)
        if page == "attention" and 4 * last > LIMIT:
            break
        extra, planned = measured(framework, page, which, size)
        row["extra"][size], row["planned"][size] = extra, planned
        what = f"{page}, {which}, {framework}, {size}"
        print(f"{what}: {extra / 2**20:.1f} MiB", flush=True)
    row["slope"] = slope(row["extra"])
    print(f"    times {row['slope']:.2f} when N doubles", flush=True)
    return row


def slope(extra):
    """By what the bytes grow when N doubles, from {N: bytes}."""
    x, y = ([math.log2(v) for v in a] for a in zip(*extra.items()))
    return 2 ** statistics.linear_regression(x, y).slope


def main():
    from shared_tests.environments import FRAMEWORKS
    from shared_tests.files import ROOT, write

    (ROOT / "build" / "logs").mkdir(parents=True, exist_ok=True)
    rows = {
        f"{page}, {which}, {framework}": series(framework, page, which)
        for page in PAGES
        for which in PASSES
        for framework in FRAMEWORKS
    }
    write(ROOT / "build" / "memory.json", json.dumps(rows, indent=1))


if __name__ == "__main__":
    if sys.argv[1:]:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        *what, size = sys.argv[1:]
        print(json.dumps(measure(*what, int(size))))
    else:
        main()
