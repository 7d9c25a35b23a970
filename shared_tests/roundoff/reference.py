"""The PyTorch module in float64: what a port has to equal.

    reference = Reference(module, inputs)
    reference.shapes()           {output path: shape} of the float outputs
    reference.run(cotangents)    {"out.y", "grad.x", "buffer.n": ndarray}

The module of the user stays as it is: a copy runs, in its mode (train or
eval), and buffers that a forward pass changes are put back before the
next one.
"""

import contextlib
import copy

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from . import nest
from .errors import CheckError
from .inputs import as_array, given, named_inputs
from .layerwise import layers as layer_outputs

FLOATS = (torch.float32, torch.float64)


def in_float64(module):
    """A copy. Raises: CheckError for parameters of other precisions"""
    for name, tensor in (
        *module.named_parameters(),
        *module.named_buffers(),
    ):
        if tensor.is_floating_point() and tensor.dtype not in FLOATS:
            got = str(tensor.dtype).removeprefix("torch.")
            raise CheckError(
                f"{name} expected float32 or float64, got {got}: the"
                f" reference is the same module .float()"
            )
    try:
        module = copy.deepcopy(module)
    except (RuntimeError, TypeError) as error:
        raise CheckError(
            f"the module cannot be copied: {error}"
        ) from error
    module = module.cpu().double()
    for part in module.modules():  # tensors that are no buffers
        for name, value in vars(part).items():
            if torch.is_tensor(value) and value.dtype == torch.float32:
                setattr(part, name, value.double())
    return module


def guarded(what, action):
    """action(), whose exceptions are those of somebody's module."""
    try:
        return action()
    except CheckError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise CheckError(f"{what}: {text}") from error


class Draws(TorchDispatchMode):
    """Notes the operations that draw random numbers."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            names = [a.name for a in func._schema.arguments]
            given = dict(zip(names, args)) | kwargs
            # attention is such an operation, even without dropout
            if "dropout_p" not in names or given.get("dropout_p"):
                self.found.append(func._schema.name)
        return func(*args, **kwargs)


def drawing(module):
    """Names of the dropout layers that are at work."""
    kinds = torch.nn.modules.dropout._DropoutNd
    return [
        f"{name or 'the module'} ({type(part).__name__}, p={part.p:g})"
        for name, part in module.named_modules()
        if isinstance(part, kinds) and part.training and part.p > 0
    ]


@contextlib.contextmanager
def in_double(gradients):
    """What a module makes anew is float64 too, and no fused path of
    inference hides its operations."""
    before = torch.get_default_dtype()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.set_default_dtype(torch.float64)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.set_grad_enabled(gradients):
            yield
    finally:
        torch.set_default_dtype(before)
        torch.backends.mha.set_fastpath_enabled(fast)


def wide(tensor):
    """As NumPy, a copy; complex numbers as a last axis (re, im)."""
    tensor = tensor.detach()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    array = tensor.cpu().numpy().copy()
    return (
        array.astype(np.float64) if array.dtype.kind == "f" else array
    )


def same(before, after):
    return before is not None and torch.equal(before, after)


class Reference:
    """A module and its inputs; arrays in float64.

    inputs: {name: nest} or a sequence, as named_inputs says
    layers: whether the outputs of submodules are results too
    Attributes: inputs {name: nest of ndarrays}, by_name, params
        {name: ndarray} of parameters and buffers, trainable (names),
        aliases {second name of a shared parameter: its first}, left_out
        {path: type} of outputs that are no arrays
    Raises: CheckError
    """

    def __init__(self, module, inputs, precision, layers=False):
        if not isinstance(module, torch.nn.Module):
            got = type(module).__name__
            raise TypeError(f"module expected an nn.Module, got {got}")
        named, self.by_name = named_inputs(module, inputs)
        self.inputs = nest.map_leaves(
            lambda path, leaf: as_array(path, leaf, precision), named
        )
        self.module = in_float64(module)
        self.precision = precision
        self.layers = layers
        self.left_out = {}
        self.complex = []
        self.read_parameters()
        self.saved = {
            name: None if buffer is None else buffer.clone()
            for name, (_, _, buffer) in self.buffers().items()
        }
        self.changed = None

    def read_parameters(self):
        every = dict(
            self.module.named_parameters(remove_duplicate=False)
        )
        first = {id(p): name for name, p in reversed(every.items())}
        self.aliases = {
            name: first[id(p)]
            for name, p in every.items()
            if first[id(p)] != name
        }
        self.trainable = [
            name
            for name, p in every.items()
            if p.requires_grad and name not in self.aliases
        ]
        held = every | dict(self.module.named_buffers())
        self.params = {}
        with torch.no_grad():
            for name, tensor in held.items():
                array = wide(tensor)
                if array.dtype.kind == "f":
                    array = given(self.precision, array)
                    # both sides start from the same numbers
                    tensor.copy_(torch.tensor(array))
                self.params[name] = array
        clash = set(self.params) & set(nest.flatten(self.inputs))
        if clash:
            raise CheckError(
                f"an input and a parameter are both {sorted(clash)}"
            )

    def buffers(self):
        """{full name: (its module, its name there, the tensor)}."""
        return {
            f"{path}.{name}" if path else name: (part, name, buffer)
            for path, part in self.module.named_modules()
            for name, buffer in part._buffers.items()
        }

    def restore(self):
        for full, (part, name, _) in self.buffers().items():
            saved = self.saved.get(full)
            fresh = None if saved is None else saved.clone()
            part._buffers[name] = fresh

    def fresh_inputs(self, gradients):
        """(the nest of tensors, {path: float tensor})."""
        floats = {}

        def tensor(path, leaf):
            if not isinstance(leaf, np.ndarray):
                return leaf
            made = torch.tensor(leaf)
            if leaf.dtype.kind == "f":
                made = made.double().requires_grad_(gradients)
                floats[path] = made
            return made

        return nest.map_leaves(tensor, self.inputs), floats

    def forward(self, inputs):
        """({path: output}, {layer.<path>: tensor})."""
        self.restore()
        captured = {}
        with contextlib.ExitStack() as stack:
            if self.layers:
                manager = layer_outputs.capture(self.module)
                captured = stack.enter_context(manager)
            if self.by_name:
                output = self.module(**inputs)
            else:
                output = self.module(*inputs.values())
            captured = dict(captured)
        found = {}
        for path, leaf in nest.flatten(output).items():
            if isinstance(leaf, bool | int | float):
                leaf = torch.tensor(leaf)
            if torch.is_tensor(leaf):
                found[path] = leaf
            else:
                self.left_out[f"out.{path}"] = type(leaf).__name__
        return found, captured

    def run(self, cotangents=None):
        """{"out.<path>", "grad.<name>", "buffer.<name>", ...: ndarray}.

        cotangents: {path: ndarray} of the outputs that gradients are
            taken of; None without
        """
        gradients = cotangents is not None
        with in_double(gradients):
            inputs, floats = self.fresh_inputs(gradients)
            outs, captured = self.forward(inputs)
            results = {n: wide(t) for n, t in captured.items()}
            results |= {f"out.{n}": wide(t) for n, t in outs.items()}
            self.complex = [
                n for n, t in outs.items() if t.is_complex()
            ]
            results |= self.changed_buffers()
            if gradients:
                results |= self.gradients(outs, floats, cotangents)
        self.restore()
        return results

    def changed_buffers(self):
        """Those that the first forward pass has changed."""
        now = {n: b for n, (_, _, b) in self.buffers().items()}
        if self.changed is None:
            self.changed = [
                name
                for name, buffer in now.items()
                if buffer is not None
                and not same(self.saved.get(name), buffer)
            ]
        return {f"buffer.{n}": wide(now[n]) for n in self.changed}

    def gradients(self, outs, floats, cotangents):
        named = dict(self.module.named_parameters())
        wanted = floats | {n: named[n] for n in self.trainable}
        used = [n for n in cotangents if outs[n].requires_grad]
        values = [None] * len(wanted)
        if used and wanted:
            values = torch.autograd.grad(
                [outs[name] for name in used],
                list(wanted.values()),
                [torch.tensor(cotangents[n]).double() for n in used],
                allow_unused=True,
            )
        return {
            f"grad.{name}": wide(
                torch.zeros_like(x) if grad is None else grad
            )
            for (name, x), grad in zip(wanted.items(), values)
        }

    def first_run(self):
        """The results of a forward pass.

        Raises: CheckError where it draws random numbers
        """
        with Draws() as draws:
            results = self.run()
        if draws.found:
            what = ", ".join(sorted(set(draws.found)))
            where = "; ".join(drawing(self.module))
            raise CheckError(
                "the forward pass draws random numbers, as dropout does"
                f" ({what}{': ' + where if where else ''}), so no port can"
                " equal it: call module.eval(), set p=0, or give the mask"
                " as an input"
            )
        return results

    def unsteady(self):
        """The first array that is another one in a second run, or ""."""
        first, second = self.run(), self.run()
        for name, array in first.items():
            if not np.array_equal(array, second[name], equal_nan=True):
                return name
        return ""
