"""Losses: what does not fit is refused, in the same words in the four."""

import re

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

COLUMN, ROW = np.float32([[1], [2], [4]]), np.float32([1, 2, 4])
LOGITS = np.float32(9 * np.eye(3))
SQUARED = (
    (COLUMN, ROW, r"target expected shape \(3, 1\), got \(3,\)"),
    (ROW, COLUMN, r"target expected shape \(3,\), got \(3, 1\)"),
    (COLUMN, COLUMN[:1], r"target expected .*\(3, 1\), got \(1, 1\)"),
    (COLUMN, ROW[None], r"target expected .*\(3, 1\), got \(1, 3\)"),
    (COLUMN[0, 0], ROW, r"target expected shape \(\), got \(3,\)"),
    (
        COLUMN,
        COLUMN.astype("f2"),
        "target expected float32, got float16",
    ),
    (COLUMN, COLUMN.astype("i4"), "target expected float32, got int32"),
    (COLUMN.astype("i4"), ROW, "y expected a real float.*, got int32"),
    (COLUMN[:0], COLUMN[:0], r"y expected numbers, got \(0, 1\)"),
)
LABELS = (
    ([[0], [1], [2]], r"target expected shape \(N=3\), got \(3, 1\)"),
    ([0, 1], r"target expected shape \(N=3\), got \(2,\)"),
    ([0], r"target expected shape \(N=3\), got \(1,\)"),
    (1, r"target expected shape \(N=3\), got \(\)"),
    (np.eye(3), r"target expected shape \(N=3\), got \(3, 3\)"),
)
OUTSIDE = (-100, -1, 3, 100)


@pytest.fixture
def array(adapter):
    """array(numbers): of the framework, in the same dtype."""

    def array(numbers):
        numbers = np.asarray(numbers)
        return adapter.to_tensor(numbers, numbers.dtype.name)

    return array


def compilers(framework, refuses):
    """What compiles a function of y and target, the slow ones too."""
    if framework == "pytorch":
        import torch

        torch.compiler.reset()  # it leaves alone what has refused
        yield lambda f: torch.compile(f, fullgraph=not refuses)
    if framework == "jax":
        import jax

        yield jax.jit
    if framework == "tf":
        import tensorflow as tf

        yield tf.function
        yield lambda f: tf.function(f, jit_compile=True)


@pytest.fixture
def losses(framework, training):
    """losses(name): the loss, then as each compiler makes it."""

    def losses(name, refuses=False):
        loss = getattr(training, name)
        makers = compilers(framework, refuses)
        return [loss, *(compiled(loss) for compiled in makers)]

    return losses


@pytest.fixture(scope="module")
def training(framework):
    import importlib

    return importlib.import_module(f"{framework}_impl.training")


def refused(loss, error, words, *arrays):
    with pytest.raises(error, match=f"(?s){words}"):
        loss(*arrays)


@pytest.mark.parametrize("y, target, words", SQUARED, ids=str)
def test_squared_error_wants_one_shape(losses, array, y, target, words):
    error = TypeError if "float" in words else ValueError
    for loss in losses("squared_error", True):
        text = f"squared_error: {words}"
        refused(loss, error, text, array(y), array(target))


@pytest.mark.parametrize(
    "shape", [(), (3,), (3, 1), (2, 3), (1, 2, 3)], ids=str
)
def test_squared_error_of_every_rank(adapter, losses, array, shape):
    y, zeros = np.ones(shape, "f4"), np.zeros(shape, "f4")
    for loss in losses("squared_error"):
        assert adapter.to_numpy(loss(array(y), array(zeros))) == 1


@pytest.mark.parametrize("target, words", LABELS, ids=str)
def test_cross_entropy_wants_a_label_for_each(
    losses, array, target, words
):
    target = np.asarray(target, "i4")
    for loss in losses("cross_entropy", True):
        text = f"cross_entropy: {words}"
        refused(loss, ValueError, text, array(LOGITS), array(target))


@pytest.mark.parametrize("dtype", ["f4", "f8", "bool"])
def test_labels_are_integers(losses, array, dtype):
    name = np.dtype(dtype).name
    words = f"cross_entropy: target expected int8 .*, got {name}"
    for loss in losses("cross_entropy", True):
        target = array(np.asarray([0, 1, 1], dtype))
        refused(loss, TypeError, words, array(LOGITS), target)


@pytest.mark.parametrize("shape", [(3,), (1, 3, 3), (0, 3), (3, 0)])
def test_cross_entropy_wants_rows_of_classes(losses, array, shape):
    y, target = np.ones(shape, "f4"), np.zeros(shape[0], "i4")
    words = r"cross_entropy: y expected .*got " + re.escape(str(shape))
    for loss in losses("cross_entropy", True):
        refused(loss, ValueError, words, array(y), array(target))


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "u1"])
def test_every_kind_of_label(adapter, losses, array, dtype):
    """log(1 + 2 exp(-9)) = 2.467e-4."""
    target = np.asarray([0, 1, 2], dtype)
    for loss in losses("cross_entropy"):
        found = adapter.to_numpy(loss(array(LOGITS), array(target)))
        assert f"{float(found):.3e}" == "2.467e-04"


@pytest.mark.parametrize("dtype", ["i1", "u1"])
def test_more_classes_than_a_small_integer_counts(
    adapter, losses, array, dtype
):
    y = np.zeros((2, 512), np.float32)
    for loss in losses("cross_entropy"):
        target = array(np.asarray([0, 44], dtype))
        found = adapter.to_numpy(loss(array(y), target))
        assert f"{float(found):.4f}" == "6.2383"  # log 512


@pytest.mark.parametrize("label", OUTSIDE)
def test_a_label_outside_is_refused(losses, array, label):
    target = array(np.int32([0, label, 2]))
    words = f"cross_entropy: target expected .*0 to 2, got {label}"
    refused(
        losses("cross_entropy", True)[0],
        ValueError,
        words,
        array(LOGITS),
        target,
    )


@pytest.mark.parametrize("label", OUTSIDE)
def test_a_label_outside_is_nan_where_it_is_not_seen(
    adapter, losses, array, label, framework
):
    """MXNet compiles no loss, so that it sees each label."""
    target = array(np.int32([0, label, 2]))
    compiled = losses("cross_entropy")[1:]
    assert bool(compiled) == (framework != "mxnet")
    for loss in compiled:
        found = adapter.to_numpy(loss(array(LOGITS), target))
        assert np.isnan(found)
        assert not np.isnan(
            adapter.to_numpy(
                loss(array(LOGITS), array(np.int32([0, 1, 2])))
            )
        )
