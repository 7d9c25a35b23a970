"""WeightedSum takes any leading axes: the sum over all of them."""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "leading", [(), (5,), (2, 5), (2, 3, 5), (2, 0, 5)], ids=str
)
def test_the_sum_over_all_leading_axes(adapter, leading, precision):
    x = np.arange(np.prod((*leading, 3)), dtype=np.float64)
    x, weight = x.reshape(*leading, 3), np.array([0.5, -1.0, 2.0])
    built = adapter.build(
        "WeightedSum",
        dict(in_features=3),
        dict(weight=weight),
        precision,
    )
    results = adapter.run(built, {"x": x}, {"y": np.array(3.0)})
    rows = x.reshape(-1, 3)
    want = {
        "out.y": np.sum(rows @ weight),
        "grad.x": np.broadcast_to(3 * weight, x.shape),
        "grad.weight": 3 * rows.sum(axis=0),
    }
    assert results.keys() == want.keys()
    for name, value in want.items():
        assert results[name].shape == value.shape
        assert (results[name] == value).all()
