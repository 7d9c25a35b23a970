"""Keras holders: a layer in the place of another, as Keras keeps them.

places.py changes attributes, lists and dicts. Keras knows a layer from
elsewhere too, and each of these has to learn of the new one
    attributes       what users and pages set, also _private ones
    tracked          the lists of variables and of layers that each
                     layer has, in the order in which files are written
    put_in_graph     the nodes of a functional model and of a Sequential:
                     the layer they call. A model that was made of the
                     same nodes calls the new layer as well
    forget_compiled  what fit, evaluate and predict have traced
All as in keras 3.15.1.
"""

# region imports
import tensorflow as tf
from keras.src.models.functional import Functional

# these have layers in order, and a place is a name
MODELS = tf.keras.Sequential, Functional
# a name of its own, so that none is counted; the rest comes later
OURS = tf.keras.Model(name="ours"), tf.keras.Sequential(name="ours")
PRIVATE = {*vars(OURS[0]), *vars(OURS[1]), "__made_with__"}
PRIVATE |= {"_operations", "_operations_by_depth", "_nodes"}
# endregion


# region function
def attributes(layer):
    """Those that are neither Keras' own nor TensorFlow's, _self_..."""
    return {
        name: value
        for name, value in vars(layer).items()
        if name not in PRIVATE and not name.startswith("_self_")
    }


def exchange(items, old, new):
    """By identity: == of two variables is an array."""
    items[:] = [new if item is old else item for item in items]


def tracked(holder, store: str, old, new):
    """Also inside tuples, which come anew."""
    tracker = getattr(holder, "_tracker", None)
    tracker = tracker or getattr(holder, "tracker", None)
    if isinstance(old, tuple):
        for pair in zip(old, new):
            tracked(holder, store, *pair)
    elif tracker and tracker.is_in_store(store, old):
        exchange(tracker.config[store][1], old, new)
        tracker.stored_ids[store].remove(id(old))
        tracker.stored_ids[store].add(id(new))


def put_in_graph(model, key: int, new):
    old, graph = model.layers[key], model
    if isinstance(model, tf.keras.Sequential):
        exchange(model._layers, old, new)
        graph = model._functional
    tracked(model, "layers", old, new)
    if graph is None:  # a Sequential that was never called
        return
    tracked(graph, "layers", old, new)
    new._inbound_nodes = old._inbound_nodes
    new._outbound_nodes = old._outbound_nodes
    for node in new._inbound_nodes:
        node.operation = new
        for x in node.outputs:
            x._keras_history = x._keras_history._replace(operation=new)
    by_depth = graph._operations_by_depth.values()
    for operations in (graph._operations, *by_depth):
        exchange(operations, old, new)
    was, now = f"{id(old)}_ib-", f"{id(new)}_ib-"
    graph._nodes = {key.replace(was, now) for key in graph._nodes}


def forget_compiled(model):
    if isinstance(model, tf.keras.Model):
        model.train_function = None
        model.test_function = None
        model.predict_function = None


# endregion


# region try
if __name__ == "__main__":
    from tf_impl.linear import Linear

    model = tf.keras.Sequential([tf.keras.Input((3,)), Linear(3, 2)])
    put_in_graph(model, 0, Linear(3, 5))
    print(model(tf.ones((4, 3))).shape)
# endregion
