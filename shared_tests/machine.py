"""The machine of a run: what is measured on one processor is true of it.

processor()  architecture, model, cores, instruction sets
settings()   variables in the environment that the libraries read
machine()    both, for results.json
sentence(m)  the same for people, without what every x86-64 has
limit(isa)   tell the libraries, by their variables, to use older
             instruction sets than the processor has
"""

import functools
import os
import pathlib
import platform
import re

LIBRARIES = re.compile(
    "(XLA|JAX|FLAX|TORCH|PYTORCH|ATEN|TF(?!_CLI)|KERAS|MXNET|MX|OMP|GOMP|KMP|MKL"
    "|ONEDNN|DNNL|OPENBLAS|NPY|CUDA|NVIDIA|CC|CXX|CFLAGS|CXXFLAGS|LD|PYTHON)"
    "(_|$)"
)
# by which the libraries choose their code
TOLD = re.compile("(sse4|avx|fma|f16c|amx|asimd|sve|bf16|i8mm)")
# oneDNN is left as it is: tensorflow-cpu 2.21.0 ends with a segmentation
# fault in bfloat16 where ONEDNN_MAX_CPU_ISA is below the processor
ISAS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "sse4": {
        "ATEN_CPU_CAPABILITY": "default",
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
}
CPU = pathlib.Path("/proc/cpuinfo")


@functools.cache
def processor():
    """(architecture, cores, model, instruction sets in order)."""
    found = {"model name": "", "flags": "", "Features": ""}
    if CPU.exists():
        for line in CPU.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in found:
                found[name.strip()] = value.strip()
    words = f"{found['flags']} {found['Features']}".split()
    cores = len(os.sched_getaffinity(0))
    model = found["model name"] or platform.processor() or "unknown"
    return platform.machine(), cores, model, tuple(sorted(words))


def settings():
    """{name: value} of the variables that are set."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if LIBRARIES.match(name)
    }


def machine():
    architecture, cores, model, words = processor()
    return {
        "architecture": architecture,
        "processor": model,
        "cores": cores,
        "instructions": [word for word in words if TOLD.match(word)],
        "settings": settings(),
    }


def sentence(found):
    """found: as from machine()"""
    sets = " ".join(found["instructions"]) or "unknown instruction sets"
    cores = found["cores"]
    text = f"{found['processor']} ({found['architecture']}), {cores} "
    text += f"{'core' if cores == 1 else 'cores'}: {sets}"
    given = " ".join(f"{n}={v}" for n, v in found["settings"].items())
    return f"{text}; {given or 'no library settings'}"


def limit(isa):
    """Of this process, and of those that it starts.

    isa: of ISAS. XLA_FLAGS that are there stay in front.
    """
    for name, value in ISAS[isa].items():
        if name == "XLA_FLAGS":
            value = f"{os.environ.get(name, '')} {value}".strip()
        os.environ[name] = value
