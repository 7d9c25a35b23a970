"""The layers of flax.nnx and Keras with the weights of torch's.

Each function takes torch's module and a JAX array x, in torch's layout,
and returns what the layer makes of it, in torch's layout. Kernels of
both libraries are (in, out), those of convolutions have their channels
last. Imports wait until a function is called: make_ports reads the names.
"""

import numpy as np


def array(tensor):
    return tensor.detach().numpy()


def put(variables, *tensors):
    """Assign to nnx parameters or Keras variables."""
    import jax.numpy as jnp

    for variable, value in zip(variables, tensors):
        value = np.asarray(value)
        if hasattr(variable, "assign"):
            variable.assign(value)
        else:
            variable.value = jnp.asarray(value)


def rngs():
    from flax import nnx

    return nnx.Rngs(0)


def last(x):
    import jax.numpy as jnp

    return jnp.moveaxis(x, 1, -1)


def first(x):
    import jax.numpy as jnp

    return jnp.moveaxis(x, -1, 1)


def called(layer, x, *more, training=None):
    """(what a built Keras layer returns, its states after that)"""
    options = {} if training is None else dict(training=training)
    return layer.stateless_call(
        [v.value for v in layer.trainable_variables],
        [v.value for v in layer.non_trainable_variables],
        *(x, *more),
        **options,
    )


# --- norms


def nnx_layer_norm(module, x, **options):
    from flax import nnx

    options = {"epsilon": module.eps, **options}
    layer = nnx.LayerNorm(x.shape[-1], rngs=rngs(), **options)
    put(
        (layer.scale, layer.bias),
        *(array(module.weight), array(module.bias)),
    )
    return layer(x)


def nnx_layer_norm_default(module, x):
    return nnx_layer_norm(module, x, epsilon=1e-6)


def nnx_layer_norm_slow(module, x):
    return nnx_layer_norm(module, x, use_fast_variance=False)


def keras_layer_norm(module, x, **options):
    import keras

    options = {"epsilon": module.eps, **options}
    layer = keras.layers.LayerNormalization(**options)
    layer.build(x.shape)
    put(
        (layer.gamma, layer.beta),
        *(array(module.weight), array(module.bias)),
    )
    return called(layer, x)[0]


def keras_layer_norm_default(module, x):
    return keras_layer_norm(module, x, epsilon=1e-3)


def nnx_rms_norm(module, x):
    from flax import nnx

    layer = nnx.RMSNorm(x.shape[-1], epsilon=module.eps, rngs=rngs())
    put((layer.scale,), array(module.weight))
    return layer(x)


def nnx_group_norm(module, x):
    from flax import nnx

    layer = nnx.GroupNorm(
        x.shape[1],
        num_groups=module.num_groups,
        epsilon=module.eps,
        rngs=rngs(),
    )
    put(
        (layer.scale, layer.bias),
        *(array(module.weight), array(module.bias)),
    )
    return first(layer(last(x)))


def nnx_batch_norm(module, x, **options):
    import jax.numpy as jnp
    from flax import nnx

    norm = module.norm
    layer = nnx.BatchNorm(
        x.shape[2],
        epsilon=norm.eps,
        momentum=1 - norm.momentum,
        use_running_average=False,
        rngs=rngs(),
        **options,
    )
    put(
        (layer.scale, layer.bias, layer.mean, layer.var),
        *(array(norm.weight), array(norm.bias)),
        *(array(norm.running_mean), array(norm.running_var)),
    )
    y = jnp.stack([first(layer(last(part))) for part in x])
    return dict(y=y, mean=layer.mean.value, var=layer.var.value)


def nnx_batch_norm_slow(module, x):
    return nnx_batch_norm(module, x, use_fast_variance=False)


def keras_batch_norm(module, x):
    import jax.numpy as jnp
    import keras

    norm = module.norm
    layer = keras.layers.BatchNormalization(
        axis=1, epsilon=norm.eps, momentum=1 - norm.momentum
    )
    layer.build(x.shape[1:])
    put((layer.gamma, layer.beta), array(norm.weight), array(norm.bias))
    states = [array(norm.running_mean), array(norm.running_var)]
    states = [jnp.asarray(state) for state in states]
    weights = [v.value for v in layer.trainable_variables]
    parts = []
    for part in x:
        y, states = layer.stateless_call(
            weights, states, part, training=True
        )
        parts.append(y)
    return dict(y=jnp.stack(parts), mean=states[0], var=states[1])


# --- attention


def projections(module):
    """[(kernel (E, H, D), bias (H, D))] of query, key, value, and the
    output's kernel (H, D, E) and bias."""
    layer = module.layer
    width, heads = layer.embed_dim, layer.num_heads
    shape = 3, heads, width // heads
    weight = array(layer.in_proj_weight).reshape(*shape, width)
    bias = array(layer.in_proj_bias).reshape(shape)
    out = array(layer.out_proj.weight)
    out = out.reshape(width, *shape[1:]).transpose(1, 2, 0)
    three = [(w.transpose(2, 0, 1), b) for w, b in zip(weight, bias)]
    return three, (out, array(layer.out_proj.bias))


def nnx_attention(module, x):
    from flax import nnx

    heads, width = module.layer.num_heads, module.layer.embed_dim
    layer = nnx.MultiHeadAttention(
        heads, width, decode=False, rngs=rngs()
    )
    three, out = projections(module)
    for part, values in zip(
        (layer.query, layer.key, layer.value), three
    ):
        put((part.kernel, part.bias), *values)
    put((layer.out.kernel, layer.out.bias), *out)
    return layer(x)


def keras_attention(module, x):
    import keras

    heads, width = module.layer.num_heads, module.layer.embed_dim
    layer = keras.layers.MultiHeadAttention(heads, width // heads)
    layer.build(x.shape, x.shape)
    three, out = projections(module)
    for name, values in zip(("query", "key", "value"), three):
        part = getattr(layer, f"_{name}_dense")
        put((part.kernel, part.bias), *values)
    part = layer._output_dense
    put((part.kernel, part.bias), *out)
    return called(layer, x, x)[0]


# --- recurrent layers


def recurrent_weights(module):
    """Two weights and two biases, 0 where there are none."""
    layer = module.layer
    weights = [array(layer.weight_ih_l0), array(layer.weight_hh_l0)]
    if not layer.bias:
        none = np.zeros(len(weights[0]), np.float32)
        return [*weights, none, none]
    return [*weights, array(layer.bias_ih_l0), array(layer.bias_hh_l0)]


def nnx_scan(cell, x):
    from flax import nnx

    return nnx.RNN(cell, rngs=rngs())(x)


def nnx_lstm(module, x):
    """nnx has one dense layer for each gate, in torch's order i f g o."""
    from flax import nnx

    size = module.layer.hidden_size
    cell = nnx.OptimizedLSTMCell(x.shape[-1], size, rngs=rngs())
    wi, wh, bi, bh = recurrent_weights(module)
    put((cell.dense_i.kernel, cell.dense_h.kernel), wi.T, wh.T)
    put((cell.dense_h.bias,), bi + bh)
    return nnx_scan(cell, x)


def nnx_gru(module, x):
    """Gates r z n. torch adds a bias to the recurrent part of n, inside
    the product with r: nnx has none there, and it is lost."""
    from flax import nnx

    size = module.layer.hidden_size
    cell = nnx.GRUCell(x.shape[-1], size, rngs=rngs())
    wi, wh, bi, bh = recurrent_weights(module)
    bias = bi.copy()
    bias[: 2 * size] += bh[: 2 * size]
    put((cell.dense_i.kernel, cell.dense_i.bias), wi.T, bias)
    put((cell.dense_h.kernel,), wh.T)
    return nnx_scan(cell, x)


def keras_lstm(module, x):
    import keras

    size = module.layer.hidden_size
    layer = keras.layers.LSTM(size, return_sequences=True)
    layer.build(x.shape)
    wi, wh, bi, bh = recurrent_weights(module)
    cell = layer.cell
    put(
        (cell.kernel, cell.recurrent_kernel, cell.bias),
        *(wi.T, wh.T, bi + bh),
    )
    return called(layer, x)[0]


def keras_gru(module, x):
    """Keras orders the gates z r n."""
    import keras

    size = module.layer.hidden_size
    layer = keras.layers.GRU(
        size, return_sequences=True, reset_after=True
    )
    layer.build(x.shape)

    def ordered(value):
        r, z, n = np.split(value, 3)
        return np.concatenate([z, r, n])

    wi, wh, bi, bh = map(ordered, recurrent_weights(module))
    cell = layer.cell
    put(
        (cell.kernel, cell.recurrent_kernel, cell.bias),
        *(wi.T, wh.T, np.stack([bi, bh])),
    )
    return called(layer, x)[0]


# --- convolutions


def kernel(module):
    return array(module.weight).transpose(2, 3, 1, 0)


def nnx_convolution(module, x):
    from flax import nnx

    layer = nnx.Conv(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        strides=module.stride,
        padding="SAME",
        rngs=rngs(),
    )
    put((layer.kernel, layer.bias), kernel(module), array(module.bias))
    return first(layer(last(x)))


def keras_convolution(module, x):
    import keras

    layer = keras.layers.Conv2D(
        module.out_channels,
        module.kernel_size,
        strides=module.stride,
        padding="same",
    )
    layer.build(last(x).shape)
    put((layer.kernel, layer.bias), kernel(module), array(module.bias))
    return first(called(layer, last(x))[0])


def nnx_transposed(module, x):
    """transpose_kernel: torch's weight is that of the convolution whose
    gradient it computes."""
    from flax import nnx

    layer = nnx.ConvTranspose(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        strides=module.stride,
        padding="VALID",
        transpose_kernel=True,
        rngs=rngs(),
    )
    put((layer.kernel, layer.bias), kernel(module), array(module.bias))
    return first(layer(last(x)))


def keras_transposed(module, x):
    import keras

    layer = keras.layers.Conv2DTranspose(
        module.out_channels, module.kernel_size, strides=module.stride
    )
    layer.build(last(x).shape)
    put((layer.kernel, layer.bias), kernel(module), array(module.bias))
    return first(called(layer, last(x))[0])
