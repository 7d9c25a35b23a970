"""What the old libraries need to run beside new ones; import it first.

Everything here is about running at all, nothing about numbers:
- one thread, and no word of warning from the libraries;
- torchvision's wheel of the package index is made for CUDA builds of
  torch; beside a CPU build its own operations cannot be registered. The
  models here use none of them, so the registration is left out.
- transformers 4.57.6 calls jax.numpy.clip with a_min and a_max, which jax
  0.10 calls min and max.
"""

import importlib
import logging
import os
import warnings

from shared_tests.files import ROOT

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
)
# what JAX has compiled once is read from a file the next time
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(ROOT / "build" / "ports" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)


def import_torchvision():
    import torch

    register = torch.library.register_fake

    def lenient(name, *arguments, **options):
        if str(name).startswith("torchvision::"):
            return lambda function: function
        return register(name, *arguments, **options)

    torch.library.register_fake = lenient
    try:
        importlib.import_module("torchvision")
    finally:
        torch.library.register_fake = register


def old_clip():
    """jax.numpy.clip also by the names that it had until jax 0.4."""
    import jax.numpy as jnp

    new = jnp.clip
    if getattr(new, "old_names", False):
        return

    def clip(x, *bounds, a_min=None, a_max=None, **options):
        if a_min is not None:
            options["min"] = a_min
        if a_max is not None:
            options["max"] = a_max
        return new(x, *bounds, **options)

    clip.old_names = True
    jnp.clip = clip


def one_thread():
    import torch

    torch.set_num_threads(1)


one_thread()
import_torchvision()
