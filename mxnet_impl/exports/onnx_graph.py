"""A graph of ONNX, built node by node as a formula is written.

MXNet 1.9.1 has an exporter of its own, mx2onnx, but it does not load
beside onnx 1.23.2, since it imports onnx.mapping, which is gone. So the
formula of each page is written again with a Graph g: g.Mul(x, y) enters
a node Mul and gives the name of its result. An argument is such a name
or a number: a Parameter, an array, a float in the precision in which g
computes, integers in int64.

g.widen(x), g.cast_like(y)  as in precision.py: g.wide is float32, or
    float64 where the inputs are, so that nothing is summed in 16 bits
g.shapes, g.dtypes  {input: that of its example}; dynamic axes may change
g.model(y, dtype, rank)  the bytes of the file, checked

Raises: onnx.checker.ValidationError for what is no graph
Ref:    ONNX operators, opset 21
"""

# region imports
import functools

import numpy
import onnx
from mxnet import gluon, np
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 21, 10  # that of the first ONNX with opset 21
# endregion


# region function
def onnx_type(dtype):
    return helper.np_dtype_to_tensor_dtype(numpy.dtype(dtype))


class Graph:
    def __init__(self, inputs, dynamic, parameters):
        """parameters: {Parameter: its name in the file}"""
        self.names, self.shapes = dict(parameters), {}
        self.inputs, self.nodes, self.constants = [], [], {}
        self.dynamic = dynamic
        self.dtypes = {
            n: numpy.dtype(x.dtype) for n, x in inputs.items()
        }
        for name, x in inputs.items():
            axes = dynamic.get(name, {})
            shape = [axes.get(i, n) for i, n in enumerate(x.shape)]
            kind = onnx_type(x.dtype)
            made = helper.make_tensor_value_info(name, kind, shape)
            self.inputs.append(made)
            self.shapes[name] = x.shape
        floats = [d for d in self.dtypes.values() if d.kind == "f"]
        # ids alone: those of the numbers that they name
        floats += [numpy.dtype(p.dtype) for p in parameters]
        self.dtype = floats[0]
        self.wide = numpy.promote_types(self.dtype, numpy.float32)

    def size(self, name, axis):
        """Of an input, where the formula needs it as a number."""
        if axis in self.dynamic.get(name, {}):
            text = (
                f"to_onnx: {name}: axis {axis} has one size in a file"
            )
            raise NotImplementedError(f"{text} of mxnet_impl")
        return self.shapes[name][axis]

    def __getattr__(self, operator):
        if not operator[0].isupper():
            raise AttributeError(operator)
        return functools.partial(self.add, operator)

    def add(self, operator, *arguments, outputs=1, **attributes):
        given = [self.value(a) for a in arguments]
        number = len(self.nodes)
        names = [f"{operator}_{number}"]
        if outputs > 1:
            names = [f"{names[0]}_{i}" for i in range(outputs)]
        node = helper.make_node(operator, given, names, **attributes)
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def value(self, given):
        """The name of what is given."""
        if isinstance(given, str):
            return given
        name = self.names.get(given) if is_parameter(given) else None
        name = name or f"constant_{len(self.constants)}"
        if name not in self.constants:
            array = self.array(given)
            self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def array(self, given):
        if is_parameter(given):
            given = given.data()
        if isinstance(given, float):
            return numpy.array(given, self.wide)
        if isinstance(given, (int, list)):
            return numpy.array(given, numpy.int64)
        if isinstance(given, np.ndarray):
            given = given.asnumpy()
        return numpy.ascontiguousarray(given).reshape(given.shape)

    def widen(self, x):
        if self.dtype == self.wide:
            return self.value(x)
        return self.Cast(x, to=onnx_type(self.wide))

    def cast_like(self, y):
        if self.dtype == self.wide:
            return y
        return self.Cast(y, to=onnx_type(self.dtype))

    def model(self, y, dtype, rank):
        self.nodes.append(helper.make_node("Identity", [y], ["y"]))
        kind = onnx_type(dtype)
        out = helper.make_tensor_value_info("y", kind, [None] * rank)
        constants = [*self.constants.values()]
        every = self.nodes, "layer", self.inputs, [out], constants
        model = helper.make_model(
            helper.make_graph(*every),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def is_parameter(given):
    return isinstance(given, gluon.Parameter)


# endregion
