"""The port's side of `make check`, in the environment of its framework.

.venv/<fw>/bin/python -m shared_tests.live.check_port <fw> path/to/<fw>_port.py

Reads one message of server.py with arrays param.<name>, in.<name> and
cotangent.y, and answers with out.y and grad.<name>, or {"error": text}.
"""

import importlib.util
import inspect
import pathlib
import sys

import numpy as np

from shared_tests.live.server import pack, unpack
from shared_tests.processes import answers, read_block
from shared_tests.run import group


def load_module(path, *names):
    """The Python file at path, which must define these names."""
    path = pathlib.Path(path).resolve()
    sys.path.insert(0, str(path.parent))  # it may import its neighbours
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in names:
        if not hasattr(module, name):
            has = [n for n in vars(module) if not n.startswith("_")]
            raise ValueError(f"{path.name} expected {name}, got {has}")
    return module


def run_jax(forward, params, inputs, cotangent):
    import jax
    import jax.numpy as jnp

    def call(params, inputs):
        return forward(params, **inputs)

    y, pull = jax.vjp(
        call, *jax.tree.map(jnp.asarray, (params, inputs))
    )
    check_output(y, cotangent)
    of_params, of_inputs = pull(jnp.asarray(cotangent, y.dtype))
    return y, of_params | of_inputs


def run_tf(forward, params, inputs, cotangent):
    import tensorflow as tf

    params, inputs = (
        {n: tf.constant(a) for n, a in arrays.items()}
        for arrays in (params, inputs)
    )
    with tf.GradientTape() as tape:
        tape.watch([params, inputs])
        y = forward(params, **inputs)
    check_output(y, cotangent)
    upstream = tf.constant(cotangent, y.dtype)
    grads = tape.gradient(
        y, params | inputs, upstream, tf.UnconnectedGradients.ZERO
    )
    return y, grads


def run_mxnet(forward, params, inputs, cotangent):
    import mxnet as mx

    mx.npx.set_np()
    params, inputs = (
        {n: mx.np.array(a, dtype=a.dtype) for n, a in arrays.items()}
        for arrays in (params, inputs)
    )
    moving = params | inputs
    for array in moving.values():
        array.attach_grad()
    with mx.autograd.record():
        y = forward(params, **inputs)
    check_output(y, cotangent)
    y.backward(mx.np.array(cotangent, dtype=y.dtype))
    return y, {n: a.grad for n, a in moving.items()}


RUNS = {"jax": run_jax, "tf": run_tf, "mxnet": run_mxnet}


def check_output(y, cotangent):
    got = getattr(y, "shape", type(y).__name__)
    got = got if isinstance(got, str) else tuple(got)
    if got != cotangent.shape:
        want = f"shape {cotangent.shape}, as PyTorch's"
        raise ValueError(f"forward: output expected {want}, got {got}")


def answer(framework, path, data):
    try:
        _, arrays = unpack(data)
        forward = load_module(path, "forward").forward
        inputs = group(arrays, "in")
        takes = list(inspect.signature(forward).parameters)
        if takes[1:] != list(inputs):
            want, got = ["params", *inputs], takes
            raise ValueError(
                f"forward expected arguments {want}, got {got}"
            )
        y, grads = RUNS[framework](
            forward,
            group(arrays, "param"),
            inputs,
            arrays["cotangent.y"],
        )
        to_numpy = {"mxnet": lambda a: a.asnumpy()}
        convert = to_numpy.get(framework, np.asarray)
        results = {f"grad.{n}": convert(g) for n, g in grads.items()}
        return {}, {"out.y": convert(y)} | results
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}, {}


def main():
    framework, path = sys.argv[1:]
    with answers() as out:
        data = read_block(sys.stdin.buffer)
        out.write(pack(*answer(framework, path, data)))


if __name__ == "__main__":
    main()
