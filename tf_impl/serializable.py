"""Serializable: what Keras needs to save a layer and make it again.

tf_impl/__init__.py does it for every layer, so that the pages stay as
short as those of the other frameworks. A layer then has
    a registered name, so that a .keras file loads without custom_objects
    a config: the arguments that it was made with, the names of its
    frozen parameters, and the layers that prepare or convert put in
    the place of others. An array is kept as its shape and dtype: its
    numbers are state, which Keras saves with the weights
    a build that has nothing to do: the parameters are made before
copy.deepcopy and pickle of a layer go the same way in Keras.
"""

# region imports
import inspect

import keras
import tensorflow as tf

register = keras.saving.register_keras_serializable(package="tf_impl")
# endregion


# region function
def serializable_layers():
    for cls in keras.layers.Layer.__subclasses__():
        if cls.__module__.startswith("tf_impl."):
            serializable(cls)


def serializable(cls):
    def new(cls, *args, **kwargs):
        return remember(cls, args, kwargs)

    new.__signature__ = inspect.signature(cls.__init__)
    cls.__new__ = new
    cls.build = lambda self, input_shape=None: None  # it is made
    cls.compute_output_shape = compute_output_shape
    cls.compute_output_spec = keras.Operation.compute_output_spec
    cls.get_config = get_config
    cls.from_config = classmethod(from_config)
    register(cls)


def remember(cls, args, kwargs):
    layer = keras.layers.Layer.__new__(cls, *args, **kwargs)
    args = tuple(map(without_numbers, args))
    kwargs = {n: without_numbers(v) for n, v in kwargs.items()}
    # keras 3.15.1 saves what is in attributes, but for names with __
    object.__setattr__(layer, "__made_with__", (args, kwargs))
    return layer


def without_numbers(value):
    if isinstance(value, (tf.Tensor, tf.Variable)):
        return keras.KerasTensor(value.shape, value.dtype.name)
    return getattr(value, "item", lambda: value)()  # from NumPy


def compute_output_shape(self, input_shape):
    dtype = getattr(self, "takes", self.variable_dtype)
    x = keras.KerasTensor(input_shape, dtype)
    return self.compute_output_spec(x).shape


def get_config(self):
    from tf_impl.parameters import named_parameters
    from tf_impl.quantization.int8_linear import Int8Linear
    from tf_impl.quantization.places import find, together
    from tf_impl.quantization.qat_linear import QATLinear

    args, kwargs = vars(self)["__made_with__"]
    made = inspect.signature(type(self).__init__)
    made = made.bind(self, *args, **kwargs).arguments
    made.pop("self")
    made |= made.pop("kwargs", {})
    named = named_parameters(self)
    replaced = find(self, (QATLinear, Int8Linear))
    replaced.pop("", None)
    made["frozen"] = [n for n, p in named.items() if not p.trainable]
    # under its other names a layer is written as its first one
    for (first, *others), _ in together(replaced):
        replaced |= dict.fromkeys(others, first)
    made["replaced"] = replaced
    serialize = keras.saving.serialize_keras_object
    config = {n: serialize(value) for n, value in made.items()}
    return config | keras.layers.Layer.get_config(self)


def from_config(cls, config):
    from tf_impl.parameters import freeze
    from tf_impl.quantization.places import replace

    make = keras.saving.deserialize_keras_object
    made = {n: with_zeros(make(v)) for n, v in config.items()}
    frozen, replaced = made.pop("frozen"), made.pop("replaced")
    layer = cls(**made)
    for name, new in replaced.items():
        layer = replace(layer, name, replaced.get(new, new))
    for name in frozen:
        freeze(layer, name)
    return layer


def with_zeros(value):
    if isinstance(value, keras.KerasTensor):
        return tf.zeros(value.shape, value.dtype)
    return value


# endregion


# region try
if __name__ == "__main__":
    from tf_impl import MLP

    model = keras.Sequential([keras.Input((3,)), MLP(3, 5, 2)])
    print(model.get_config()["layers"][1]["config"])
# endregion
