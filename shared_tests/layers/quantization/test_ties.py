"""The ties of PACT, in whole numbers.

A step of alpha / 3 has a rounding error in the noise of the budget, which
then breaks every tie: the case PACT-tie cannot say where a tie goes. But
1.5 times the rounded 1/3 rounds to 0.5 in every precision, so the codes
are known, and they are integers: equal or not.
"""

import numpy as np
import pytest

ENVIRONMENTS = ("pytorch", "jax", "tf", "mxnet")

X = np.float32([0.25, 0.75, 1.25, 0.5, -0.25, 1.75, 0.2, 0.3])
CODES = [0, 2, 2, 1, 0, 3, 0, 1]  # half up: 1, 2, 3 for the first three


@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_pact_rounds_half_to_even(adapter, precision, mode):
    compiled = mode == "compiled"
    if adapter.unsupported("PACT", precision, compiled):
        return
    params = {"alpha": np.float32(1.5)}
    layer = adapter.build("PACT", dict(bits=2), params, precision)
    y = adapter.run(layer, {"x": X}, None, compiled)["out.y"]
    codes = 2 * np.asarray(y, np.float64)
    assert codes.tolist() == CODES
