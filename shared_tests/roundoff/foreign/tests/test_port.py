"""The port's side: one forward pass and its gradients, as NumPy has them."""

import numpy as np
import pytest

from shared_tests.roundoff.foreign import port as port_side

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

RNG = np.random.default_rng(0)
X, Z = (RNG.standard_normal((5, 3)).astype("f4") for _ in range(2))
W = RNG.standard_normal((2, 3)).astype("f4")
V = RNG.standard_normal((5, 2)).astype("f4")
DY = RNG.standard_normal((5, 2)).astype("f4")
IDS = np.array([4, 0, 4, 1])


@pytest.fixture
def fw(framework):
    return {"pytorch": "torch"}.get(framework, framework)


@pytest.fixture
def take(fw):
    """take(x, ids): rows."""
    if fw == "tf":
        import tensorflow as tf

        return tf.gather
    return lambda x, ids: x[ids]


@pytest.fixture
def dense(fw):
    """dense(x, w): x @ w.T, as the framework has it."""
    if fw == "tf":
        import tensorflow as tf

        return lambda x, w: tf.matmul(x, w, transpose_b=True)
    if fw == "mxnet":
        from mxnet import np as mnp

        return lambda x, w: mnp.dot(x, w.T)
    return lambda x, w: x @ w.T


def request(**others):
    return {
        "params": {"w": W, "v": V, "frozen": V},
        "moving": ["w", "v"],
        "inputs": {"x": X, "deep": {"z": (Z, None)}, "ids": IDS},
        "by_name": True,
        "cotangents": {"y": DY, "rows": np.ones((4, 2), "f4")},
        "training": False,
        "precision": "float32",
        **others,
    }


def run(fw, function, **others):
    port = port_side.of_function(fw, function)
    return port_side.run(port, request(**others))


def test_outputs_and_gradients(fw, dense, take):
    def forward(params, x, deep, ids):
        z, none = deep["z"]
        assert none is None
        y = dense(x, params["w"]) * params["v"]
        rows = take(params["v"], ids) + take(params["frozen"], ids)
        return {"y": y + 0 * dense(z, params["w"]), "rows": rows}

    answer = run(fw, forward)
    results = answer["results"]
    at = np.zeros_like(V)
    np.add.at(at, IDS, 1)
    wanted = {
        "out.y": (X @ W.T) * V,
        "out.rows": 2 * V[IDS],
        "grad.w": (DY * V).T @ X,
        "grad.v": DY * (X @ W.T) + at,  # of repeated rows: the sum
        "grad.x": (DY * V) @ W,
        "grad.deep.z.0": np.zeros_like(Z),
    }
    assert set(results) == set(wanted)
    for name, array in wanted.items():
        assert results[name].dtype == np.float32, name
        np.testing.assert_allclose(
            results[name], array, 1e-5, 1e-5, err_msg=name
        )
    assert sorted(answer["used"]) == ["out.rows", "out.y"]


def test_parts_and_integers(fw, dense):
    def forward(params, x, deep, ids):
        y = dense(x, params["w"])
        return {
            "out": (y, ids + 1),
            "buffers": {"mean": params["v"] + 1},
            "layers": {"a.b": y},
        }

    answer = run(fw, forward, cotangents={"0": DY, "unknown": DY})
    results = answer["results"]
    parts = {n for n in results if not n.startswith("grad.")}
    assert parts == {"out.0", "out.1", "buffer.mean", "layer.a.b"}
    assert np.array_equal(results["out.1"], IDS + 1)
    assert answer["used"] == ["out.0"]
    np.testing.assert_allclose(results["grad.w"], DY.T @ X, 1e-5, 1e-5)
    assert not results["grad.v"].any()  # it is not used


def test_forward_only_has_no_gradients(fw, dense):
    def forward(params, x, deep, ids):
        return dense(x, params["w"])

    answer = run(fw, forward, cotangents=None)
    assert list(answer["results"]) == ["out.y"]
    assert answer["used"] is None


def test_another_shape_has_no_gradient(fw, dense):
    def forward(params, x, deep, ids):
        return dense(params["w"], x)

    with pytest.raises(ValueError, match=r"\(5, 2\), .* got \(2, 5\)"):
        run(fw, forward)


def test_half_of_a_float_is_said_to_be_one(fw, dense):
    if fw == "mxnet":  # it has no such numbers
        return

    def forward(params, x, deep, ids):
        y = dense(x, params["w"])
        if fw == "torch":
            return y.bfloat16()
        if fw == "tf":
            import tensorflow as tf

            return tf.cast(y, tf.bfloat16)
        return y.astype("bfloat16")

    answer = run(fw, forward, cotangents=None)
    assert answer["dtypes"] == {"out.y": "bfloat16"}
    assert answer["results"]["out.y"].dtype == np.float32


def test_the_framework_of_a_function(fw):
    if fw == "torch":
        import torch as it
    elif fw == "jax":
        import jax as it
    elif fw == "tf":
        import tensorflow as it
    else:
        import mxnet as it

    def one(params, x):
        return it, x

    assert port_side.framework_of(one) == fw
    with pytest.raises(ValueError, match=r"framework= expected.* none"):
        port_side.framework_of(sorted)
