"""The port of torch_layer.py in MXNet."""

from mxnet import np, npx


def norm(params, x):
    mean = np.mean(x, axis=-1, keepdims=True)
    variance = np.mean((x - mean) ** 2, axis=-1, keepdims=True)
    h = (x - mean) / np.sqrt(variance + 1e-5)
    return h * params["norm.weight"] + params["norm.bias"]


def lstm(params, series):
    """PyTorch's order of the gates is i, f, g, o."""
    w_x, w_h, b_x, b_h = (
        params[f"lstm.{name}_l0"]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h = c = np.zeros((series.shape[0], w_h.shape[1]))
    states = []
    for step in range(series.shape[1]):
        gates = np.dot(series[:, step], w_x.T) + b_x
        gates = gates + np.dot(h, w_h.T) + b_h
        i, f, g, o = np.split(gates, 4, axis=-1)
        c = npx.sigmoid(f) * c + npx.sigmoid(i) * np.tanh(g)
        h = npx.sigmoid(o) * np.tanh(c)
        states.append(h)
    states = np.stack(states, axis=1)
    last, cell = (np.expand_dims(a, 0) for a in (h, c))
    return {"states": states, "last": last, "cell": cell}


def conv(params, image):
    """(normalised, the two statistics that training changes)."""
    y = npx.convolution(
        image,
        params["conv.weight"],
        params["conv.bias"],
        kernel=(3, 3),
        pad=(1, 1),
        num_filter=params["conv.bias"].shape[0],
    )
    mean = np.mean(y, axis=(0, 2, 3), keepdims=True)
    d = y - mean
    variance = np.mean(d**2, axis=(0, 2, 3), keepdims=True)
    h = d / np.sqrt(variance + 1e-5)
    h = h * np.reshape(params["batch_norm.weight"], (1, -1, 1, 1))
    h = h + np.reshape(params["batch_norm.bias"], (1, -1, 1, 1))
    n = y.size // y.shape[1]
    new = {"mean": mean, "var": variance * n / (n - 1)}
    return h, {
        f"batch_norm.running_{name}": 0.9
        * params[f"batch_norm.running_{name}"]
        + 0.1 * np.reshape(value, (-1,))
        for name, value in new.items()
    }


def embedding(params, ids):
    table = params["embedding.weight"]
    rows = npx.embedding(
        ids, table, input_dim=table.shape[0], output_dim=table.shape[1]
    )
    return np.sum(rows, axis=1)


def heads(params, z):
    mean = np.dot(z, params["mean.weight"].T) + params["mean.bias"]
    spread = (
        np.dot(z, params["spread.weight"].T) + params["spread.bias"]
    )
    return mean, np.exp(spread)


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
