"""`make bench-gpu`: the GPU kernels, side by side with what else there is.

PYTHON=... any interpreter with a CUDA build of torch. First the tests of
the kernels, then, in one run, interleaved, on fresh random data, medians:
attention (ours, every backend of scaled_dot_product_attention,
FlexAttention, torch.compile of the page, JAX), fake quantization against
the bandwidth of a copy, and the memory of attention. Ratios are what
counts: best other time / our time, and share of a copy.

Writes gpu.json, and by it gpu.md and gpu.svg, to docs/performance/. A
table whose rows gpu.json lacks says "not measured".
"""

import argparse
import datetime
import functools
import importlib.util
import itertools
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

from shared_tests.files import ROOT, write

FOLDER = ROOT / "docs" / "performance"
ROUNDS = 9
SECONDS = 0.01  # of each measurement
TOKENS, HEADS = 32768, 16
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
WIDTHS = (64, 128)
LONGEST = {"math": 4096, "compiled page": 4096}  # their N x M is stored
COMPILED_AT = (1024, 4096)  # minutes go by in compiling elsewhere
NUMBERS = 2**28  # for the quantizers: 1 GiB of float32
MEMORY = (4096, 8192, 16384, 32768, 65536)


def flops(batch, heads, length, width, causal, backward):
    """Of the matrix products; backward counts 2.5 times forward."""
    forward = 4 * batch * heads * length**2 * width
    return forward * (0.5 if causal else 1) * (2.5 if backward else 1)


def interleaved(calls, clock, rounds=ROUNDS):
    """{name: median seconds}: one after the other, then again."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(clock(call))
    return {n: statistics.median(t) for n, t in times.items()}


def cuda_clock(call):
    """Seconds of one call, from as many as fill SECONDS."""
    import torch

    def timed(count):
        start, stop = (
            torch.cuda.Event(enable_timing=True) for _ in "ab"
        )
        start.record()
        for _ in range(count):
            call()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop) / 1000 / count

    once = timed(1)
    return timed(max(1, min(100, int(SECONDS / max(once, 1e-6)))))


def sdpa_calls():
    """{name: function of q, k, v, causal}: PyTorch's own backends."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def by(backend):
        def call(q, k, v, causal):
            with sdpa_kernel(backend):
                return torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, is_causal=causal
                )

        return call

    return {
        "cudnn": by(SDPBackend.CUDNN_ATTENTION),
        "flash": by(SDPBackend.FLASH_ATTENTION),
        "efficient": by(SDPBackend.EFFICIENT_ATTENTION),
        "math": by(SDPBackend.MATH),
    }


def our_calls(width):
    from pytorch_impl.kernels.attention_tiles import candidates
    from pytorch_impl.kernels.attention_triton import (
        attention_triton,
        pick_tiles,
    )

    def ours(q, k, v, causal, forward=None):
        tiles = None
        if forward is not None:
            tiles = forward, *pick_tiles(q, k, v)[1:]
        return attention_triton(q, k, v, causal=causal, tiles=tiles)

    others = {
        "ours, specialized" if row.specialized else "ours, pointers": (
            functools.partial(ours, forward=row)
        )
        for row in candidates(width)
    }
    return {"ours": ours} | others


def compiled_calls():
    import torch
    from torch.nn.attention.flex_attention import (
        create_block_mask,
        flex_attention,
    )

    from pytorch_impl import attention

    flex = torch.compile(flex_attention, dynamic=False)
    page = torch.compile(attention, dynamic=False)

    @functools.cache
    def earlier(length):
        return create_block_mask(
            lambda b, h, n, m: n >= m, None, None, length, length
        )

    def by_flex(q, k, v, causal):
        return flex(
            q, k, v, block_mask=earlier(q.shape[2]) if causal else None
        )

    def by_page(q, k, v, causal):
        return page(q, k, v, causal=causal)

    return {"FlexAttention": by_flex, "compiled page": by_page}


def passes(functions, arrays, causal):
    """(forward calls, backward calls); what fails is left out, named."""
    import torch

    *inputs, dy = arrays
    forward, backward, refused = {}, {}, {}
    for name, function in functions.items():
        try:
            call = functools.partial(function, *inputs, causal)
            with torch.no_grad():
                call()
            moving = [x.detach().requires_grad_() for x in inputs]
            y = function(*moving, causal)
            pull = functools.partial(
                torch.autograd.grad, y, moving, dy, retain_graph=True
            )
            pull()
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"[:200]
        else:
            forward[name] = torch.no_grad()(call)
            backward[name] = pull
    return forward, backward, refused


def kernel_name(call):
    """The kernel that took longest, as the profiler names it."""
    import torch

    activity = torch.profiler.ProfilerActivity.CUDA
    with torch.profiler.profile(activities=[activity]) as profile:
        call()
        torch.cuda.synchronize()
    rows = profile.key_averages()
    longest = max(rows, key=lambda r: r.device_time_total, default=None)
    return longest.key if longest else "none"


def attention_rows(emit):
    import torch

    for width, causal, length in itertools.product(
        WIDTHS, (False, True), LENGTHS
    ):
        batch = max(1, TOKENS // length)
        functions = our_calls(width) | sdpa_calls()
        if length in COMPILED_AT:
            functions |= compiled_calls()
        functions = {
            n: f
            for n, f in functions.items()
            if length <= LONGEST.get(n, length)
        }
        shape = batch, HEADS, length, width
        options = dict(device="cuda", dtype=torch.bfloat16)
        arrays = [torch.randn(shape, **options) for _ in range(4)]
        *both, refused = passes(functions, arrays, causal)
        for which, calls in zip(("forward", "backward"), both):
            row = dict(
                part="attention",
                width=width,
                causal=causal,
                length=length,
                batch=batch,
                heads=HEADS,
                which=which,
                seconds=interleaved(calls, cuda_clock),
                refused=refused,
            )
            if length == 4096:
                row["kernels"] = {
                    n: kernel_name(c) for n, c in calls.items()
                }
            emit(row)
        del both, arrays
        torch.compiler.reset()
        torch.cuda.empty_cache()


def quantizer_calls(x, dy):
    """{(which, name): (call, bytes an element)} on one x, per tensor."""
    import torch

    from pytorch_impl.kernels.fake_quantize_triton import (
        fake_quantize_triton,
    )
    from pytorch_impl.kernels.lsq_triton import lsq_triton
    from pytorch_impl.quantization.fake_quantize import fake_quantize

    size = x.element_size()
    scale = torch.tensor(0.03, device=x.device)
    zero = torch.zeros((), dtype=torch.int32, device=x.device)
    step = torch.tensor(0.3, device=x.device, requires_grad=True)
    moving = x.detach().requires_grad_()
    learned = scale.clone().requires_grad_()
    offset = torch.zeros(1, device=x.device)

    def pull(y, inputs):
        return lambda: torch.autograd.grad(
            y, inputs, dy, retain_graph=True
        )

    def torch_learned(x):
        return torch._fake_quantize_learnable_per_tensor_affine(
            x, learned.reshape(1), offset, -128, 127, 1.0
        )

    ours = fake_quantize_triton(moving, scale, zero)
    lsq = lsq_triton(moving, step)
    calls = {
        ("copy", "copy"): (x.clone, 2 * size),
        ("forward", "ours, with the mask"): (
            lambda: fake_quantize_triton(x, scale, zero),
            2 * size + 1 / 8,
        ),
        ("straight-through backward", "ours"): (
            pull(ours, moving),
            2 * size + 1 / 8,
        ),
        ("LSQ backward", "ours"): (pull(lsq, (moving, step)), 3 * size),
        ("forward", "torch"): (
            lambda: torch.fake_quantize_per_tensor_affine(
                x, 0.03, 0, -128, 127
            ),
            2 * size,
        ),
    }
    if x.dtype == torch.float32:
        page = torch.compile(fake_quantize)
        calls["forward", "torch.compile"] = (
            lambda: page(x, scale, zero),
            2 * size,
        )
        y = torch_learned(moving)
        calls["LSQ backward", "torch, learnable"] = (
            pull(y, (moving, learned)),
            3 * size,
        )
    return calls


def quantizer_rows(emit):
    import torch

    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(NUMBERS, device="cuda", dtype=dtype)
        calls = quantizer_calls(x, torch.randn_like(x))
        with torch.no_grad():
            only = {n: c for n, (c, _) in calls.items()}
        for call in only.values():
            call()
        seconds = interleaved(only, cuda_clock)
        speed = {
            n: calls[n][1] * NUMBERS / t for n, t in seconds.items()
        }
        copy = speed.pop(("copy", "copy"))
        for (which, name), value in speed.items():
            emit(
                dict(
                    part="quantizers",
                    dtype=str(dtype).removeprefix("torch."),
                    which=which,
                    name=name,
                    share=value / copy,
                    copy=copy,
                )
            )
        del calls, only, x
        torch.compiler.reset()
        torch.cuda.empty_cache()


def memory_rows(emit):
    """Bytes at the peak, beyond what goes in and comes out."""
    import torch

    from pytorch_impl.kernels.attention_triton import attention_triton

    for length in MEMORY:
        shape = 1, 1, length, 128
        options = dict(device="cuda", dtype=torch.bfloat16)
        q, k, v, dy = (torch.randn(shape, **options) for _ in range(4))
        moving = [x.requires_grad_() for x in (q, k, v)]
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        y = attention_triton(*moving)
        grads = torch.autograd.grad(y, moving, dy)
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
        kept = sum(x.nbytes for x in (y, *grads))
        emit(dict(part="memory", length=length, extra=peak - kept))
        del y, grads


JAX = """
import functools, json, statistics, sys, time
import jax, jax.numpy as jnp
from jax_impl.kernels.attention_builtin import attention_builtin
from jax_impl.kernels.attention_pallas import attention_pallas
for width, causal, length in json.loads(sys.argv[1]):
    shape = (max(1, 32768 // length), 16, length, width)
    keys = jax.random.split(jax.random.key(length), 4)
    q, k, v, dy = (jax.random.normal(s, shape, jnp.bfloat16) for s in keys)
    for which in ("forward", "backward"):
        calls, refused = {}, {}
        for name, f in dict(pallas=attention_pallas,
                            builtin=attention_builtin).items():
            f = functools.partial(f, causal=causal)
            call = jax.jit(f)
            args = q, k, v
            if which == "backward":
                pull = jax.vjp(f, q, k, v)[1]
                call, args = jax.jit(pull), (dy,)
            try:
                jax.block_until_ready(call(*args))
            except Exception as error:
                refused[name] = str(error)[:200]
            else:
                calls[name] = functools.partial(call, *args)
        times = {n: [] for n in calls}
        for _ in range(7):
            for name, call in calls.items():
                start = time.perf_counter()
                for _ in range(5):
                    y = call()
                jax.block_until_ready(y)
                times[name].append((time.perf_counter() - start) / 5)
        print(json.dumps(dict(part="jax", width=width, causal=causal,
            length=length, which=which, jax=jax.__version__,
            seconds={n: statistics.median(t) for n, t in times.items()},
            refused=refused)), flush=True)
"""


def jax_rows(emit):
    """In a process of its own: JAX takes the memory of the device."""
    if importlib.util.find_spec("jax") is None:
        return
    todo = [
        (w, c, n)
        for w in WIDTHS
        for c in (False, True)
        for n in (1024, 4096, 16384)
    ]
    done = subprocess.run(
        [sys.executable, "-c", JAX, json.dumps(todo)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in done.stdout.splitlines():
        emit(json.loads(line))
    if done.returncode:
        print(f"JAX ended with {done.returncode}", file=sys.stderr)


def device():
    import torch
    import triton

    return dict(
        part="device",
        date=datetime.date.today().isoformat(),
        name=torch.cuda.get_device_name(),
        torch=torch.__version__,
        triton=triton.__version__,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
    )


def tests():
    """The tests of the kernels, compiled; True if all of them pass."""
    files = (
        ["shared_tests"],
        [
            "shared_tests/performance/test_attention_pallas.py",
            "shared_tests/layers/test_attention_builtin.py",
        ],
    )
    passed = True
    for framework, paths in zip(("triton", "jax"), files):
        if (
            framework == "jax"
            and importlib.util.find_spec("jax") is None
        ):
            print("jax is not here: its tests are not run")
            continue
        deselect = "--deselect=shared_tests/test_environment.py"
        command = [sys.executable, "-m", "pytest", deselect]
        command += [f"--framework={framework}", *paths]
        passed &= subprocess.run(command, cwd=ROOT).returncode == 0
    return passed


# ---- the page


def best(row, ours):
    """(name, time ratio other / ours) of the fastest that is not ours."""
    others = {
        n: t
        for n, t in row["seconds"].items()
        if not n.startswith("ours")
    }
    name = min(others, key=others.get)
    return name, others[name] / row["seconds"][ours]


def grid(heads, lines):
    text = [" | ".join(heads), "|".join(["---"] * len(heads))]
    text += [" | ".join(line) for line in lines]
    return "\n".join(f"| {line} |" for line in text)


def attention_table(rows, which):
    lines = []
    for row in rows:
        if row["part"] != "attention" or row["which"] != which:
            continue
        own = {
            n: t
            for n, t in row["seconds"].items()
            if n.startswith("ours")
        }
        name, _ = best(row, "ours")
        work = flops(
            row["batch"],
            row["heads"],
            row["length"],
            row["width"],
            row["causal"],
            which == "backward",
        )
        lines.append(
            [
                str(row["width"]),
                "causal" if row["causal"] else "full",
                str(row["length"]),
                name,
                f"{work / row['seconds'][name] / 1e12:.0f}",
                ", ".join(
                    f"{n.removeprefix('ours, ')} "
                    f"{row['seconds'][name] / t:.2f}"
                    for n, t in own.items()
                ),
            ]
        )
    heads = ["D", "mask", "N", "best other", "its TFLOP/s"]
    return grid([*heads, "its time / ours"], lines)


def quantizer_table(rows):
    lines = [
        [r["dtype"], r["which"], r["name"], f"{r['share']:.2f}"]
        for r in rows
        if r["part"] == "quantizers"
    ]
    return grid(["dtype", "pass", "by", "share of a copy"], lines)


def slope(points):
    """Of a straight line through the logarithms."""
    xs, ys = ([math.log2(v) for v in axis] for axis in zip(*points))
    return statistics.linear_regression(xs, ys).slope


def memory_table(rows):
    points = [
        (r["length"], r["extra"]) for r in rows if r["part"] == "memory"
    ]
    lines = [[str(n), f"{b / 2**20:.1f}"] for n, b in points]
    factor = f"{2 ** slope(points):.2f}"
    lines.append(["times, as N doubles", factor])
    return grid(["N", "MiB beyond inputs and results"], lines)


def jax_table(rows):
    lines = [
        [
            str(r["width"]),
            "causal" if r["causal"] else "full",
            str(r["length"]),
            r["which"],
            f"{r['seconds']['builtin'] / r['seconds']['pallas']:.2f}",
        ]
        for r in rows
        if r["part"] == "jax" and len(r["seconds"]) == 2
    ]
    heads = ["D", "mask", "N", "pass", "jax.nn's time / Pallas"]
    return grid(heads, lines)


def page(rows):
    """Markdown; what was not measured says so."""
    parts = {row["part"] for row in rows}

    def table(part, make, *options):
        return make(rows, *options) if part in parts else "not measured"

    head = "Not measured yet: no GPU was at hand."
    for row in rows:
        if row["part"] == "device":
            head = (
                f"Measured {row['date']} on one {row['name']}: torch "
                f"{row['torch']}, Triton {row['triton']}, CUDA "
                f"{row['cuda']}, cuDNN {row['cudnn']}."
            )
    kernels = [
        f"- {row['width']} wide, {'causal' if row['causal'] else 'full'}, "
        f"{row['which']}, {name}: `{kernel}`"
        for row in rows
        for name, kernel in row.get("kernels", {}).items()
    ]
    return f"""# The GPU kernels, side by side

{head}

`make bench-gpu PYTHON=...` runs the tests of the kernels on the GPU, then
measures everything here in one run: each time is a median of {ROUNDS}, the
contenders take turns, on normal random data. Batch times N is {TOKENS}, with
{HEADS} heads, in bfloat16. A ratio above 1 says that ours is faster. Numbers
are in `gpu.json`, next to this page.

## Attention, forward

{table("attention", attention_table, "forward")}

## Attention, backward

{table("attention", attention_table, "backward")}

## The kernels that really ran, at N = 4096

{chr(10).join(kernels) or "not measured"}

## Fake quantization, {NUMBERS} numbers

The bytes that a pass has to move, by the time that it takes, over the same
for a copy. By our own: 2 numbers and a bit in the forward and the
straight-through backward pass, 3 numbers in LSQ's backward pass.

{table("quantizers", quantizer_table)}

## Memory of attention, forward and backward, D = 128, one head

{table("memory", memory_table)}

## JAX

{table("jax", jax_table)}
"""


def plot(rows):
    """Ours over the best other, by N; SVG text."""
    import io

    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gpu"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, which in zip(axes, ("forward", "backward")):
        for width, causal in itertools.product(WIDTHS, (False, True)):
            own = [
                r
                for r in rows
                if r["part"] == "attention"
                and (r["which"], r["width"], r["causal"])
                == (which, width, causal)
            ]
            axis.plot(
                [r["length"] for r in own],
                [best(r, "ours")[1] for r in own],
                marker="o",
                label=f"D={width}, {'causal' if causal else 'full'}",
            )
        axis.axhline(1, color="gray", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.set_xlabel("N")
        axis.set_title(f"attention, {which}")
    axes[0].set_ylabel("best other time / ours")
    axes[0].legend()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return text.getvalue()


def save(rows, folder):
    write(folder / "gpu.json", json.dumps(rows, indent=1) + "\n")
    write(folder / "gpu.md", page(rows))
    if any(row["part"] == "attention" for row in rows):
        write(folder / "gpu.svg", plot(rows))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, default=FOLDER)
    folder = parser.parse_args().output
    import torch

    if not torch.cuda.is_available():
        print(
            "make bench-gpu needs a GPU and a CUDA build of torch: "
            f"{sys.executable} has torch {torch.__version__}; name "
            "another interpreter with PYTHON=..."
        )
        return 1
    begin = time.monotonic()
    if not tests():
        print("the tests of the kernels fail: nothing is measured")
        return 1
    rows = [device()]
    print(rows[0], flush=True)

    def emit(row):
        rows.append(row)
        save(rows, folder)
        seconds = time.monotonic() - begin
        print(f"{seconds:.0f} s: {json.dumps(row)[:300]}", flush=True)

    for part in (attention_rows, quantizer_rows, memory_rows, jax_rows):
        part(emit)
    print(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
