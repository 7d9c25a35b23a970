"""Modes: what moves when, and that a saved model knows its mode.

One table for the four: a range moves while a layer trains, and in mode
"observe"; not in evaluation, and not where a forward pass is only run
again (activation checkpointing), traced or looked at for its shapes.
"""

import copy
import pickle

import numpy as np
import pytest

from shared_tests.cases import CLASSIFIER
from shared_tests.layers.setups import set_arrays

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

MODES = ("observe", "quantize", "frozen")
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
SIZES = dict(in_features=7, out_features=3)
HEADS = dict(embed_dim=12, num_heads=3)
LEARNED = dict(weight_quantizer="lsq", input_quantizer="pact")
MODELS = {
    "QATLinear": ("QATLinear", SIZES, (4, 7)),
    "MultiHeadAttention": ("MultiHeadAttention", HEADS, (2, 5, 12)),
    "TransformerClassifier": (
        "TransformerClassifier",
        CLASSIFIER | dict(num_layers=1),
        (2, 6, 5),
    ),
}
EVERY_MODEL = pytest.mark.parametrize(
    "name", ["QATLinear", "TransformerClassifier"]
)


def draw(*shape, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return (scale * rng.standard_normal(shape)).astype(np.float32)


@pytest.fixture
def build(adapter, page):
    """build(name, options): a prepared model that has seen no batch."""

    def build(name, seed=0, **options):
        layer, config, _ = MODELS[name]
        config = config | (options if layer == "QATLinear" else {})
        params = {
            n: draw(*shape, scale=0.3, seed=seed) + ("norm" in n)
            for n, shape in adapter.shapes(layer, config).items()
        }
        model = adapter.build(layer, config, params).call
        if layer != "QATLinear":
            page("prepare").prepare(model, {"*": options})
        return model

    return build


@pytest.fixture
def ready(build, page, tensor):
    """ready(name, mode): it has observed a batch, and is in that mode."""

    def ready(name, mode, seed=0, **options):
        set_mode = page("prepare").set_mode
        model = build(name, seed, **options)
        x = draw(*MODELS[name][2], seed=seed)
        set_mode(model, "observe")(tensor(x))
        return set_mode(model, mode)

    return ready


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.weights.h5"  # Keras insists on this ending


@pytest.fixture
def layers(page):
    """layers(model): every QATLinear in it, by name."""
    kind = page("qat_linear").QATLinear
    return lambda model: page("prepare").find(model, kind)


@pytest.fixture
def modes(layers):
    """modes(model): those of its layers, each once."""
    return lambda model: {part.mode for part in layers(model).values()}


@pytest.fixture
def ranges(page, layers, array):
    """ranges(model): all of them, weights and inputs, in one list."""

    def of(quantizer):
        for name in ("step", "alpha"):
            if hasattr(quantizer, name):
                return array(getattr(quantizer, name))
        return array(quantizer.observer.bounds)

    def ranges(model):
        found = []
        for part in layers(model).values():
            found += [of(part.input_quantizer)]
            found += [of(part.weight_quantizer)]
        return [part.tolist() for part in found]

    return ranges


@pytest.fixture
def call(run_as, tensor, array):
    """call(model, x, training): y, of NumPy and as NumPy."""

    def call(model, x, training):
        return array(run_as(model, tensor(x), training))

    return call


MOVES = [
    ("observe", True, True),
    ("observe", False, True),
    ("quantize", True, True),
    ("quantize", False, False),
    ("frozen", True, False),
    ("frozen", False, False),
]


@EVERY_MODEL
@pytest.mark.parametrize("mode, training, moves", MOVES)
@pytest.mark.parametrize("kind", ["moving_average", "min_max"])
def test_what_moves(
    ready, ranges, call, name, mode, training, moves, kind
):
    model = ready(name, mode, input_quantizer=kind)
    before = ranges(model)
    call(model, draw(*MODELS[name][2], scale=3, seed=1), training)
    after = ranges(model)
    moved = [a != b for a, b in zip(after, before, strict=True)]
    inputs, weights = moved[0::2], moved[1::2]
    assert any(inputs) == moves and not any(weights)
    assert moved[0] == moves


@pytest.mark.parametrize("mode, training, moves", MOVES)
def test_what_moves_of_the_weights(
    ready, ranges, call, page, tensor, array, mode, training, moves
):
    model = ready("QATLinear", mode)
    before = ranges(model)
    weight = tensor(2 * array(model.weight))
    set_arrays(model, weight=weight)
    call(model, draw(4, 7), training)
    assert (ranges(model)[1] != before[1]) == moves


@pytest.mark.parametrize("mode, training, moves", MOVES)
def test_what_is_learned_starts_in_observe_alone(
    ready, ranges, call, mode, training, moves
):
    model = ready("QATLinear", mode, **LEARNED)
    before = ranges(model)
    call(model, draw(4, 7, scale=3, seed=1), training)
    assert (ranges(model) != before) == (mode == "observe")


@EVERY_MODEL
def test_evaluation_leaves_no_trace(ready, ranges, call, name):
    """Training with validation between the batches, and without."""
    shape, ends = MODELS[name][2], []
    for validate in (False, True):
        model, y = ready(name, "quantize"), []
        for seed in range(3):
            y += [call(model, draw(*shape, seed=seed), True)]
            if validate:
                call(model, draw(*shape, scale=9), False)
        ends.append((np.array(y).tobytes(), ranges(model)))
    assert ends[0] == ends[1]


@EVERY_MODEL
def test_evaluation_is_what_frozen_gives(ready, call, page, name):
    x = draw(*MODELS[name][2], scale=3, seed=2)
    model = ready(name, "quantize")
    y = call(model, x, False)
    page("prepare").set_mode(model, "frozen")
    assert np.array_equal(call(model, x, True), y)


def test_set_mode_looks_at_the_weights_in_evaluation(
    ready, ranges, call, page, tensor, array
):
    """What was trained last moved them: their range goes along."""
    model = ready("QATLinear", "quantize")
    call(model, draw(4, 7), False)
    weight = array(model.weight)
    set_arrays(model, weight=tensor(2 * weight))
    page("prepare").set_mode(model, "frozen")
    ends = ranges(model)[1]
    assert np.array_equal(ends[1], 2 * weight.max(axis=1))


def test_a_mode_that_is_none(build, page):
    layer = build("QATLinear")
    assert layer.mode == "quantize"
    for turn in (
        lambda: setattr(layer, "mode", "on"),
        lambda: page("prepare").set_mode(layer, "on"),
    ):
        with pytest.raises(
            ValueError, match=r"observe, .*frozen.*'on'"
        ):
            turn()
    assert layer.mode == "quantize"


@EVERY_MODE
def test_copies_have_the_mode(ready, modes, mode):
    model = ready("TransformerClassifier", mode)
    for again in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert modes(again) == {mode}
        other = "frozen" if mode != "frozen" else "observe"
        next(iter(again.blocks)).mlp.layer1.mode = other
        assert modes(again) == {mode, other} and modes(model) == {mode}


def test_a_cast_leaves_the_mode(framework, ready, modes, adapter):
    model = ready("TransformerClassifier", "frozen")
    if framework in ("pytorch", "mxnet"):
        cast = model.to if framework == "pytorch" else model.cast
        cast(adapter.PRECISIONS["float64"])
    elif framework == "jax":
        import jax

        model = jax.tree.map(lambda a: a.astype(np.float64), model)
    else:
        model.dtype_policy = "float64"
    assert modes(model) == {"frozen"}


def test_a_converted_model_has_no_mode(ready, page, framework, path):
    model = page("convert").convert(ready("QATLinear", "quantize"))
    assert not hasattr(model, "mode")
    names = saved(framework, model, path)
    assert names and not [n for n in names if is_mode(n)]


# files


def is_mode(name):
    """state is the sublayer that holds it."""
    return "state" in name.replace("/", ".").split(".")


def saved(framework, model, path):
    """The names of all that the framework's own file holds."""
    if framework == "pytorch":
        return list(model.state_dict())
    if framework == "jax":
        from flax import nnx

        flat = nnx.to_flat_state(nnx.state(model))
        return [".".join(map(str, at)) for at, _ in flat]
    if framework == "mxnet":
        return list(model._collect_params_with_prefix())
    import h5py
    import keras

    model.built = True
    keras.saving.save_weights(model, path)
    names = []
    with h5py.File(path) as file:
        file.visit(names.append)
    return names


def edit(framework, path, code=None):
    """The modes in a file become code, or are taken out of it."""
    if framework == "tf":
        import h5py

        with h5py.File(path, "a") as file:
            names = []
            file.visit(names.append)
            names = [n for n in names if n.endswith("state")]
            for name in names:
                if code is None:
                    del file[name]
                else:
                    file[f"{name}/vars/0"][()] = code
        assert names
        return
    read, write = READ_AND_WRITE[framework]()
    arrays = read(path)
    names = [n for n in arrays if is_mode(n)]
    for name in names:
        old = arrays.pop(name)
        if code is not None:
            arrays[name] = 0 * old + code
    write(arrays, path)
    assert names


def torch_file():
    import torch

    return torch.load, torch.save


def flax_file():
    from flax.serialization import msgpack_restore, msgpack_serialize

    return (
        lambda path: msgpack_restore(path.read_bytes()),
        lambda state, path: path.write_bytes(msgpack_serialize(state)),
    )


def gluon_file():
    from mxnet import npx

    return (
        lambda path: npx.load(str(path)),
        lambda arrays, path: npx.save(str(path), arrays),
    )


READ_AND_WRITE = {
    "pytorch": torch_file,
    "jax": flax_file,
    "mxnet": gluon_file,
}


def torch_own(framework, model, again, path, old):
    """All of it is tensors, as safetensors and averages want it."""
    import torch

    state = model.state_dict()
    assert all(isinstance(a, torch.Tensor) for a in state.values())
    torch.save(state, path)
    if old:
        edit(framework, path)
    state = torch.load(path, weights_only=True)
    names = list(state)
    again.load_state_dict(state)
    assert list(state) == names
    return again


def flax_own(framework, model, again, path, old):
    """nnx.state has it, whatever graph it is merged with."""
    from flax import nnx

    flat = nnx.to_flat_state(nnx.state(model))
    if old:
        flat = [(at, v) for at, v in flat if "state" not in at]
        nnx.update(again, nnx.from_flat_state(flat))
        return again
    path.write_bytes(pickle.dumps(nnx.from_flat_state(flat)))
    state = pickle.loads(path.read_bytes())
    graph, _ = nnx.split(again)
    nnx.update(again, state)
    assert nnx.merge(graph, state).__class__ is type(model)
    return nnx.merge(graph, state)


def keras_own(framework, model, again, path, old):
    import keras

    model.built = again.built = True
    keras.saving.save_weights(model, path)
    if old:
        edit(framework, path)
    keras.saving.load_weights(again, path)
    return again


def gluon_own(framework, model, again, path, old):
    model.save_parameters(str(path))
    if old:
        edit(framework, path)
    again.load_parameters(str(path))
    return again


OWN = {
    "pytorch": torch_own,
    "jax": flax_own,
    "tf": keras_own,
    "mxnet": gluon_own,
}


@pytest.fixture
def pair(ready, page, framework):
    """pair(name, mode): a model in it, and one that is not."""

    def pair(name, mode):
        other = "frozen" if mode != "frozen" else "observe"
        return ready(name, mode), ready(name, other, seed=1), other

    return pair


@EVERY_MODEL
@EVERY_MODE
@pytest.mark.parametrize("old", [False, True])
def test_the_frameworks_own_files(
    framework, pair, modes, ranges, path, name, mode, old
):
    """One from before has no mode: that of the layer stays."""
    model, again, other = pair(name, mode)
    again = OWN[framework](framework, model, again, path, old)
    assert modes(again) == {other if old else mode}
    assert ranges(again) == ranges(model)


@EVERY_MODEL
@EVERY_MODE
@pytest.mark.parametrize("old", [False, True])
def test_our_checkpoints(
    framework, page, pair, modes, ranges, path, name, mode, old
):
    model, again, other = pair(name, mode)
    page("checkpoint").save(model, path)
    if old:
        edit(framework, path)
    page("checkpoint").load(again, path)
    assert modes(again) == {other if old else mode}
    assert ranges(again) == ranges(model)


@pytest.mark.parametrize("code", [3, -1])
def test_a_checkpoint_with_no_such_mode(
    framework, page, pair, ranges, modes, path, code
):
    """An error and no change."""
    model, again, other = pair("TransformerClassifier", "quantize")
    page("checkpoint").save(model, path)
    edit(framework, path, code)
    before = ranges(again)
    words = rf"{path.name}.*mode.*expected 0 to 2, got {code}"
    with pytest.raises(ValueError, match=words):
        page("checkpoint").load(again, path)
    assert modes(again) == {other} and ranges(again) == before


def test_each_layer_has_its_own(page, ready, layers, path):
    model, again = (
        ready("TransformerClassifier", "frozen", seed=n) for n in (0, 1)
    )
    wanted = {}
    for i, (name, part) in enumerate(layers(model).items()):
        part.mode = wanted[name] = MODES[i % 3]
    page("checkpoint").save(model, path)
    page("checkpoint").load(again, path)
    found = {n: part.mode for n, part in layers(again).items()}
    assert found == wanted and len(set(wanted.values())) == 3


@EVERY_MODEL
@pytest.mark.parametrize("mode", ["quantize", "frozen"])
def test_a_loaded_model_does_not_drift(
    page, build, ready, call, ranges, path, name, mode
):
    """Batch after batch, the same numbers for the same batch."""
    model, again = ready(name, mode), build(name, seed=1)
    x = draw(*MODELS[name][2])
    page("checkpoint").save(model, path)
    page("checkpoint").load(again, path)
    y = call(again, x, False)
    for seed in range(3):
        call(again, draw(*x.shape, scale=9, seed=seed), False)
    assert np.array_equal(call(again, x, False), y)
    assert np.array_equal(call(model, x, False), y)
    assert ranges(again) == ranges(model)


# what runs a forward pass again, or only looks at it


def torch_again():
    import torch
    from torch.utils.checkpoint import checkpoint

    def reentrant(again):
        def run(model, x):
            x = x.clone().requires_grad_()
            y = (
                checkpoint(model, x, use_reentrant=again)
                if again is not None
                else model(x)
            )
            y.square().sum().backward()

        return run

    def compiled(model, x):
        torch.compiler.reset()

        def inside(x):
            return checkpoint(model, x, use_reentrant=False)

        fast = torch.compile(inside, backend="aot_eager")
        fast(x.clone().requires_grad_()).square().sum().backward()

    return reentrant(None), {
        "reentrant": reentrant(True),
        "not reentrant": reentrant(False),
        "compiled": compiled,
    }


def jax_again():
    import jax
    import jax.numpy as jnp
    from flax import nnx

    def made(change):
        def run(model, x):
            def loss(model):
                return jnp.sum(change(lambda m: m(x))(model) ** 2)

            nnx.grad(loss)(model)

        return run

    def pure(model, x):
        graph, state = nnx.split(model)

        @jax.checkpoint
        def forward(state):
            model = nnx.merge(graph, state)
            return jnp.sum(model(x)), nnx.state(model)

        slope = jax.grad(forward, has_aux=True, allow_int=True)
        nnx.update(model, slope(state)[1])

    return made(lambda f: f), {
        "nnx.remat": made(nnx.remat),
        "jitted": nnx.jit(made(nnx.remat)),
        "jax.checkpoint": pure,
    }


def tf_again():
    import keras
    import tensorflow as tf

    def made(change):
        def run(model, x):
            with tf.GradientTape() as tape:
                y = change(lambda x: model(x, training=True))(x)
                loss = tf.reduce_sum(y * y)
            tape.gradient(loss, model.trainable_variables)

        return run

    def graph(model, x):
        run = tf.function(made(tf.recompute_grad), autograph=False)
        run(model, x)

    def remat(model, x):
        call = keras.remat(lambda x: model(x, training=True))
        made(lambda _: call)(model, x)

    return made(lambda f: f), {
        "eager": made(tf.recompute_grad),
        "graph": graph,
        "keras.remat": remat,
    }


def gluon_again():
    """MXNet 1.9.1 has none for a Block."""
    from mxnet import autograd

    def run(model, x):
        with autograd.record():
            y = (model(x) ** 2).sum()
        y.backward()

    return run, {}


AGAIN = {
    "pytorch": torch_again,
    "jax": jax_again,
    "tf": tf_again,
    "mxnet": gluon_again,
}


@pytest.mark.parametrize(
    "name, mode",
    [("MultiHeadAttention", "quantize")]
    + [("QATLinear", mode) for mode in MODES],
)
def test_a_second_run_is_no_batch(
    framework, ready, ranges, tensor, name, mode
):
    """Activation checkpointing moves a range once, as without it."""
    once, ways = AGAIN[framework]()
    x = tensor(draw(*MODELS[name][2], scale=3, seed=1))
    wanted = ready(name, mode)
    moved = [ranges(wanted)]
    for _ in range(2):
        once(wanted, x)
        moved.append(ranges(wanted))
    assert (moved[0] != moved[1]) == (mode != "frozen")
    for way, run in ways.items():
        model = ready(name, mode)
        run(model, x)
        far = [distance(ranges(model), state) for state in moved]
        if mode == "frozen":
            assert far[0] == 0, way
        else:  # compiled by XLA, a * b + c is rounded once
            assert far[0] > 0 and far[1] < far[0] / 2, way
            assert far[1] < far[2] / 2, way


def distance(a, b):
    return sum(np.abs(np.subtract(x, y)).sum() for x, y in zip(a, b))


def torch_looks(model, x):
    import torch

    yield torch.jit.trace(model, (x,), check_trace=True)
    yield torch.export.export(model, (x,))
    yield torch.export.export(model, (x,), strict=True)


def jax_looks(model, x):
    import jax
    from flax import nnx

    def forward(model, x):
        return model(x)

    graph, state = nnx.split(model)
    yield nnx.eval_shape(forward, model, x)
    yield jax.eval_shape(lambda s, x: nnx.merge(graph, s)(x), state, x)
    yield jax.make_jaxpr(lambda s, x: nnx.merge(graph, s)(x))(state, x)
    yield nnx.jit(forward).lower(model, x)
    model.eval()
    yield jax.eval_shape(model, x)
    yield jax.make_jaxpr(model)(x)
    yield jax.jit(lambda x: model(x))(x)


def tf_looks(model, x):
    import keras
    import tensorflow as tf

    shape = (None, *x.shape[1:])
    forward = tf.function(lambda x: model(x, training=True))
    yield forward.get_concrete_function(x)
    yield forward.get_concrete_function(tf.TensorSpec(shape, x.dtype))
    empty = tf.TensorSpec((0, *x.shape[1:]), x.dtype)
    yield forward.get_concrete_function(empty)(x[:0])
    yield forward(x[:0])
    yield model.compute_output_spec(keras.KerasTensor(shape))
    for size in (None, 0, 2):
        batch = keras.Input(shape[1:], batch_size=size)
        yield keras.Model(batch, model(batch, training=True))
    yield keras.Sequential([keras.Input(shape[1:]), model])


def gluon_looks(model, x):
    from mxnet import autograd

    with autograd.record(train_mode=False):
        yield model(x)
    with autograd.record(), autograd.predict_mode():
        yield model(x)
    with autograd.pause():
        yield model(x)


LOOKS = {
    "pytorch": torch_looks,
    "jax": jax_looks,
    "tf": tf_looks,
    "mxnet": gluon_looks,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_look_is_no_batch(framework, ready, ranges, tensor, name):
    """Traced, asked for its shapes, or recorded without training."""
    model = ready(name, "quantize")
    x = tensor(draw(*MODELS[name][2], scale=3, seed=1))
    before = ranges(model)
    for i, _ in enumerate(LOOKS[framework](model, x)):
        assert ranges(model) == before, i
