"""The port of torch_layer.py in TensorFlow."""

import tensorflow as tf


def norm(params, x):
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
    h = (x - mean) / tf.sqrt(variance + 1e-5)
    return h * params["norm.weight"] + params["norm.bias"]


def lstm(params, series):
    """PyTorch's order of the gates is i, f, g, o."""
    w_x, w_h, b_x, b_h = (
        params[f"lstm.{name}_l0"]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = tf.zeros((series.shape[0], w_h.shape[1]), series.dtype)
    states = []
    for x in tf.unstack(series, axis=1):
        gates = tf.matmul(x, w_x, transpose_b=True) + b_x
        gates = gates + tf.matmul(h, w_h, transpose_b=True) + b_h
        i, f, g, o = tf.split(gates, 4, axis=-1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        states.append(h)
    states = tf.stack(states, axis=1)
    return {"states": states, "last": h[None], "cell": c[None]}


def conv(params, image):
    """(normalised, the two statistics that training changes).

    On a CPU TensorFlow's convolution has its channels last.
    """
    kernel = tf.transpose(params["conv.weight"], (2, 3, 1, 0))
    x = tf.transpose(image, (0, 2, 3, 1))
    y = tf.nn.conv2d(x, kernel, 1, "SAME") + params["conv.bias"]
    mean = tf.reduce_mean(y, axis=(0, 1, 2))
    d = y - mean
    variance = tf.reduce_mean(d**2, axis=(0, 1, 2))
    h = d / tf.sqrt(variance + 1e-5)
    h = h * params["batch_norm.weight"] + params["batch_norm.bias"]
    n = y.shape[0] * y.shape[1] * y.shape[2]
    new = {"mean": mean, "var": variance * n / (n - 1)}
    return tf.transpose(h, (0, 3, 1, 2)), {
        f"batch_norm.running_{name}": 0.9
        * params[f"batch_norm.running_{name}"]
        + 0.1 * value
        for name, value in new.items()
    }


def embedding(params, ids):
    rows = tf.gather(params["embedding.weight"], ids)
    return tf.reduce_sum(rows, axis=1)


def dense(params, name, x):
    y = tf.matmul(x, params[f"{name}.weight"], transpose_b=True)
    return y + params[f"{name}.bias"]


def heads(params, z):
    return dense(params, "mean", z), tf.exp(dense(params, "spread", z))


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
