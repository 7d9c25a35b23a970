"""EmbeddingBag: wrong ids in compiled code, rows that no id names, and
what each framework makes of wrong and of repeated ids by itself."""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

BAG = dict(num_embeddings=4, embedding_dim=2)
WEIGHT = np.arange(8, dtype=np.float32).reshape(4, 2)
IDS = np.array([[1, 1, 3, 1], [2, 0, 1, 2]], np.int32)


@pytest.mark.parametrize("wrong", [-1, -4, 4, 2**31 - 1])
def test_a_wrong_id_in_compiled_code(framework, adapter, wrong):
    """Its bag is NaN, the others are right; masked it does not count."""
    if framework == "mxnet":  # compiles nothing
        assert adapter.unsupported("EmbeddingBag", "float32", True)
        return
    x, counts = IDS.copy(), np.ones(IDS.shape, bool)
    x[1, 3] = wrong
    built = adapter.build("EmbeddingBag", BAG, dict(weight=WEIGHT))
    up = {"y": np.ones((2, 2), np.float32)}
    found = adapter.run(built, dict(x=x), up, compiled=True)
    right = WEIGHT[IDS[0]].mean(axis=0, dtype=np.float32)
    assert np.array_equal(found["out.y"][0], right)
    assert np.isnan(found["out.y"][1]).all()
    assert np.isfinite(found["grad.weight"]).all()
    counts[1, 3] = False
    inputs = dict(x=x, bag_mask=counts)
    found = adapter.run(built, inputs, up, compiled=True)
    assert np.array_equal(found["out.y"][1], [2, 3])


def test_rows_that_nothing_names(adapter):
    """What they hold does not reach y, nor 0 times it; a place that does
    not count names nothing, not row 0 either."""
    weight = WEIGHT.copy()
    weight[0], weight[3] = np.nan, np.inf
    x = np.array([[1, 0, 3], [3, 3, 0], [2, 1, 1]], np.int32)
    counts = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
    built = adapter.build("EmbeddingBag", BAG, dict(weight=weight))
    up = {"y": np.full((3, 2), 3, np.float32)}
    found = adapter.run(built, dict(x=x, bag_mask=counts), up)
    right = [[2, 3], [0, 0], [np.float32(8) / 3, np.float32(11) / 3]]
    assert np.array_equal(found["out.y"], np.array(right, np.float32))
    rows = found["grad.weight"][:, 0]
    assert np.array_equal(rows, np.array([0, 5, 1, 0], np.float32))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_many_repeated_ids(adapter, framework, precision):
    """Their gradients are summed in float32: in bfloat16 256 + 1 is 256."""
    if adapter.unsupported("EmbeddingBag", precision):
        assert (framework, precision) == ("mxnet", "bfloat16")
        return
    x = np.zeros((1024, 1), np.int32)
    weight = np.ones((4, 2), np.float32)
    built = adapter.build(
        "EmbeddingBag", BAG, dict(weight=weight), precision
    )
    up = {"y": np.ones((1024, 2), np.float32)}
    found = adapter.run(built, dict(x=x), up)
    assert (found["grad.weight"][0] == 1024).all()


def test_what_the_framework_does_by_itself(framework):
    """The facts of the page and of docs/text.md, for these versions."""
    globals()[f"of_{framework}"]()


def of_pytorch():
    import torch

    weight = torch.tensor(WEIGHT)
    for wrong in (4, -1):
        with pytest.raises(IndexError, match="out of range"):
            torch.nn.functional.embedding(torch.tensor([wrong]), weight)
    made = torch.nn.Embedding(4, 2, sparse=True)
    made(torch.tensor([1, 1, 3])).sum().backward()
    grad = made.weight.grad
    assert grad.layout == torch.sparse_coo and not grad.is_coalesced()
    assert grad._values().shape == (3, 2)
    assert grad.coalesce().values().tolist() == [[2, 2], [1, 1]]
    for rule in ("SGD", "SparseAdam", "Adagrad"):
        getattr(torch.optim, rule)(made.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="sparse gradients"):
        torch.optim.Adam(made.parameters(), lr=0.1).step()


def of_jax():
    import jax
    import jax.numpy as jnp

    weight, ids = jnp.asarray(WEIGHT), jnp.array([5, -1, -5, 2])

    def indexed(weight):
        return weight[ids]

    def taken(weight):
        return jnp.take(weight, ids, axis=0)

    first = indexed(weight)[:, 0].tolist()
    assert first == [6, 6, 0, 4]
    first = taken(weight)[:, 0]
    assert np.isnan(first[::2]).all() and first[1] == 6
    for function in (indexed, taken):
        grad = jax.grad(lambda w, f=function: jnp.sum(f(w)))(weight)
        assert grad[:, 0].tolist() == [0, 0, 1, 1]
        assert isinstance(grad, jax.Array)


def of_tf():
    import tensorflow as tf

    weight = tf.Variable(WEIGHT)
    for wrong, clamped in ((5, 3), (-1, 0)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            tf.gather(weight, [wrong])
        fast = tf.function(tf.gather, jit_compile=True)
        row = fast(weight, tf.constant([wrong]))
        assert np.array_equal(row[0], WEIGHT[clamped])
    narrow = tf.Variable(tf.ones((4, 2), tf.bfloat16))
    with tf.GradientTape() as tape:
        wide = tf.cast(narrow, tf.float32)
        y = tf.reduce_sum(tf.gather(wide, [0] * 1000))
    grad = tape.gradient(y, narrow)
    assert isinstance(grad, tf.IndexedSlices)
    assert grad.values.shape == (1000, 2)
    assert float(tf.convert_to_tensor(grad)[0, 0]) == 256


def of_mxnet():
    from mxnet import gluon, np, npx

    ids = np.array([5, -1], dtype="int32")
    rows = npx.embedding(ids, np.array(WEIGHT), 4, 2)
    assert rows[:, 0].tolist() == [6, 0]
    made = gluon.nn.Embedding(4, 2, sparse_grad=True)
    with pytest.raises(
        ValueError, match="not support stype = row_spar"
    ):
        made.initialize()
