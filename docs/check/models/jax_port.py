"""The port of torch_layer.py in JAX."""

import jax
import jax.numpy as jnp


def norm(params, x):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    h = (x - mean) / jnp.sqrt(variance + 1e-5)
    return h * params["norm.weight"] + params["norm.bias"]


def lstm(params, series):
    """PyTorch's order of the gates is i, f, g, o."""
    w_x, w_h, b_x, b_h = (
        params[f"lstm.{name}_l0"]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )

    def step(state, x):
        h, c = state
        gates = x @ w_x.T + b_x + h @ w_h.T + b_h
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((series.shape[0], w_h.shape[1]), series.dtype)
    (h, c), states = jax.lax.scan(
        step, (start, start), jnp.swapaxes(series, 0, 1)
    )
    states = jnp.swapaxes(states, 0, 1)
    return {"states": states, "last": h[None], "cell": c[None]}


def conv(params, image):
    """(normalised, the two statistics that training changes)."""
    y = jax.lax.conv_general_dilated(
        image, params["conv.weight"], (1, 1), ((1, 1), (1, 1))
    )
    y = y + params["conv.bias"][:, None, None]
    mean = jnp.mean(y, axis=(0, 2, 3))
    d = y - mean[:, None, None]
    variance = jnp.mean(d**2, axis=(0, 2, 3))
    h = d / jnp.sqrt(variance + 1e-5)[:, None, None]
    h = h * params["batch_norm.weight"][:, None, None]
    h = h + params["batch_norm.bias"][:, None, None]
    n = y.size // y.shape[1]
    new = {"mean": mean, "var": variance * n / (n - 1)}
    return h, {
        f"batch_norm.running_{name}": 0.9
        * params[f"batch_norm.running_{name}"]
        + 0.1 * value
        for name, value in new.items()
    }


def embedding(params, ids):
    return jnp.sum(params["embedding.weight"][ids], axis=1)


def heads(params, z):
    mean = z @ params["mean.weight"].T + params["mean.bias"]
    spread = z @ params["spread.weight"].T + params["spread.bias"]
    return mean, jnp.exp(spread)


def forward(params, x, series, image, ids, z):
    normalised, buffers = conv(params, image)
    out = {
        "norm": norm(params, x),
        "lstm": lstm(params, series),
        "conv": normalised,
        "embedding": embedding(params, ids),
        "heads": heads(params, z),
    }
    return {"out": out, "buffers": buffers}
