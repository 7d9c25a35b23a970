"""Exports of the four frameworks, run by engines that did not write them.

`make export` writes every layer in every format of every framework, runs
each file by an engine that is not its author, and judges the numbers by
the budget of the fixtures.

What each <framework>_impl/export.py has to offer:

FORMATS = {"onnx": to_onnx, ...}, by the name of the format; each is
    to_<format>(layer, inputs, path, dynamic=None)
layer    a layer, or a function with its options bound by functools.partial
inputs   {argument: example array}, in the order of the arguments; layer
         and arrays say in which precision the file computes
path     the file, or the folder, that gets its name only when it is whole
dynamic  {argument: {axis: name}}: axes of any size, equal where the names
         are; None: axis 0, "batch", of every input with two axes or more.
         No axis of an example that is to be dynamic has size 0 or 1
It returns nothing. The inputs of the file have the names of the
arguments, in the same order, and its one output is called y, wherever
the format has names. What a format cannot do raises NotImplementedError,
which says whose limit it is and the version.
"""
