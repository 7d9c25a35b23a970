"""The port's side: one forward pass and its gradients, in any framework.

As a script, in the interpreter of the port (Python 3.8 or later, with
NumPy and the port's framework):

    python port.py FOLDER        reads and answers a request: crossing.py

A port is a function forward(params, <the inputs>), params {name: array},
or an object that holds its parameters (objects.py). A function may
return a dict with only the keys out, buffers and layers, out among them;
anything else is its output, a nest of arrays.
"""

import importlib
import importlib.util
import inspect
import os
import sys

if not __package__:  # a script: its package, under a name of its own
    HERE = os.path.dirname(os.path.abspath(__file__))
    FOLDER = os.path.dirname(HERE)
    # there they would hide modules of the port that have such names
    sys.path[:] = [p for p in sys.path if os.path.abspath(p) != HERE]
    spec = importlib.util.spec_from_file_location(
        "roundoff",
        os.path.join(FOLDER, "__init__.py"),
        submodule_search_locations=[FOLDER],
    )
    sys.modules["roundoff"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["roundoff"])
    __package__ = "roundoff.foreign"

from .running import PARTS, Port, run, unsteady

FRAMEWORKS = ("torch", "jax", "tf", "mxnet", "numpy")
ROOTS = {
    "torch": "torch",
    "jax": "jax",
    "flax": "jax",
    "tensorflow": "tf",
    "mxnet": "mxnet",
}


def frameworks_of(values):
    """Of modules, and of what they define."""
    found = set()
    for value in values:
        name = getattr(value, "__module__", None)
        if inspect.ismodule(value):
            name = value.__name__
        root = str(name).partition(".")[0]
        if root in ROOTS:
            found.add(ROOTS[root])
    return found


def framework_of(function):
    """Which framework a function uses, else which its file imports.

    Raises: ValueError where it is none or several
    """
    found = set()
    if inspect.isfunction(function):
        used = inspect.getclosurevars(function)
        own = dict(used.globals, **used.nonlocals)
        found = frameworks_of(own.values())
        found = found or frameworks_of(function.__globals__.values())
    if len(found) == 1:
        return found.pop()
    got = " and ".join(sorted(found)) or "none of them"
    raise ValueError(
        f"framework= expected, one of {', '.join(FRAMEWORKS)}: the"
        f" port uses {got}"
    )


def of_function(framework, function):
    """A Port; function(params, <the inputs>)."""

    def call(params, args, kwargs):
        result = function(params, *args, **kwargs)
        keys = set(result) if isinstance(result, dict) else set()
        if "out" in keys and keys <= set(PARTS):
            return result
        return {"out": result}

    return Port(framework, call, None, None, function)


def load_file(path, *names):
    """The Python file at path, which must define one of these names, as
    a rule the first."""
    path = os.path.abspath(path)
    sys.path.insert(
        0, os.path.dirname(path)
    )  # it may import neighbours
    stem = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(stem, path)
    file = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(stem, file)  # dataclasses look there
    spec.loader.exec_module(file)
    if not any(hasattr(file, name) for name in names):
        has = [n for n in vars(file) if not n.startswith("_")]
        base = os.path.basename(path)
        raise ValueError(f"{base} expected {names[0]}, got {has}")
    return file


def of_file(path, framework, training, layers):
    """(a Port, backward or None) of a file with forward or make."""
    file = load_file(path, "forward", "make")
    if hasattr(file, "make"):
        return adopt(file.make(), framework, training, layers), None
    framework = framework or framework_of(file.forward)
    port = of_function(framework, file.forward)
    return port, getattr(file, "backward", None)


def adopt(port, framework, training, layers=False):
    """A Port of an object or a function.

    Raises: ValueError
    """
    objects = importlib.import_module(__package__ + ".objects")
    adopted = objects.adopt(port, training, layers)
    if adopted is None:
        framework = framework or framework_of(port)
        return of_function(framework, port)
    return adopted


def steps(make, framework, request):
    """[{"layer.<path>": ndarray}]: one forward pass of the object that
    make() gives for each of request["feeds"]."""
    found = []
    for feed in request["feeds"]:
        port = adopt(make(), framework, request["training"], feed)
        if port.holds is None:
            raise ValueError(
                "single step expected an object that has parts, or"
                " {name: function}, got a function"
            )
        results = run(port, request)["results"]
        found.append(
            {n: a for n, a in results.items() if n.startswith("layer.")}
        )
    return found


def steps_of_file(path, framework, request):
    file = load_file(path, "make", "forward")
    make = getattr(file, "make", lambda: file.forward)
    return {"steps": steps(make, framework, request)}


def where(error, path):
    """The line of the port's file that an error comes from, in words."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if os.path.abspath(name) == os.path.abspath(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f"line {line}: "


def prepare(framework, precision):
    """What has to be set before the file of a port is imported."""
    if framework == "jax" and precision == "float64":
        import jax

        jax.config.update("jax_enable_x64", True)
    if framework == "mxnet":
        import mxnet

        mxnet.npx.set_np()


def answer(request):
    """The answer to a request of another interpreter; see run()."""
    path, framework = request["path"], request["framework"]
    try:
        prepare(framework, request["precision"])
        if "feeds" in request:
            return steps_of_file(path, framework, request)
        port, backward = of_file(
            path, framework, request["training"], request.get("layers")
        )
        if request["params"] is None:
            return {"holds": port.holds}
        request["backward"] = backward
        found = run(port, request)
        found["unsteady"] = unsteady(port, request, found["results"])
        return found
    except Exception as error:
        text = f"{where(error, path)}{type(error).__name__}: {error}"
        return {"error": text}


def main():
    crossing = importlib.import_module(__package__ + ".crossing")
    folder = sys.argv[1]
    request = crossing.read(folder, "request")
    crossing.write(folder, "answer", answer(request))


if __name__ == "__main__":
    main()
