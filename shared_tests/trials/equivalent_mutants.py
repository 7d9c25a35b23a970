"""Faults of the mutation trial that change no number a caller can see.

EQUIVALENT: {(framework, page, line as it stands there, change): reason}. A row
that fits no fault, or one that was killed, fails the run. "2 -> 3 at 22" is the
one that begins in column 22 of the line, where others are alike.
"""

# framework :: page :: line :: change :: reason
ROWS = r"""
jax :: attention.py :: detached = jax.lax.stop_gradient(scores) :: jax.lax.stop_gradient(scores) -> scores :: weights do not change with row_max: its gradients cancel
mxnet :: attention.py :: detached = scores.detach() :: scores.detach() -> scores :: weights do not change with row_max: its gradients cancel
pytorch :: attention.py :: detached = scores.detach() :: scores.detach() -> scores :: weights do not change with row_max: its gradients cancel
tf :: attention.py :: detached = tf.stop_gradient(scores) :: tf.stop_gradient(scores) -> scores :: weights do not change with row_max: its gradients cancel
mxnet :: attention_blocks.py :: x.wait_to_read() :: x.wait_to_read() -> pass :: the same numbers; memory is given back later
mxnet :: attention_tiled.py :: q, k, v, attn_mask=None, causal=False, scale=None, block_size=128 :: 128 -> 129 :: blocks change the order of a sum, no more
pytorch :: attention_tiled.py :: q, k, v, attn_mask=None, causal=False, scale=None, block_size=128 :: 128 -> 129 :: blocks change the order of a sum, no more
tf :: attention_tiled.py :: q, k, v, attn_mask=None, causal=False, scale=None, block_size=128 :: 128 -> 129 :: blocks change the order of a sum, no more
mxnet :: attention_tiled.py :: row_sum = np.zeros_like(q[..., :1]) :: np.zeros_like(q[..., :1]) -> q[..., :1] :: the first key shrinks the start to 0; without any, y is 0 / row_sum
pytorch :: attention_tiled.py :: row_sum = torch.zeros_like(q[..., :1]) :: torch.zeros_like(q[..., :1]) -> q[..., :1] :: the first key shrinks the start to 0; without any, y is 0 / row_sum
mxnet :: centered.py :: wide = widen(x) :: widen(x) -> x :: one rounding more in low precision, which the budget allows
pytorch :: centered.py :: wide = widen(x) :: widen(x) -> x :: one rounding more in low precision, which the budget allows
mxnet :: conv.py :: return cast_like(shift / np.sqrt(var + eps), weight) :: cast_like(shift / np.sqrt(var + eps), weight) -> shift / np.sqrt(var + eps) :: one rounding less in low precision
mxnet :: conv.py :: w = widen(weight) :: widen(weight) -> weight :: one rounding more in low precision, which the budget allows
pytorch :: conv.py :: w = widen(weight) :: widen(weight) -> weight :: one rounding more in low precision, which the budget allows
mxnet :: conv.py :: y = widen(y) + np.reshape(widen(bias), (-1, 1, 1)) :: widen(bias) -> bias :: MXNet promotes to the wider dtype
mxnet :: conv.py :: y = widen(y) + np.reshape(widen(bias), (-1, 1, 1)) :: widen(y) -> y :: MXNet promotes to the wider dtype
pytorch :: conv.py :: y = widen(y) + torch.reshape(widen(bias), (-1, 1, 1)) :: widen(bias) -> bias :: PyTorch promotes to the wider dtype
pytorch :: conv.py :: y = widen(y) + torch.reshape(widen(bias), (-1, 1, 1)) :: widen(y) -> y :: PyTorch promotes to the wider dtype
pytorch :: quantization/fake_quantize.py :: dscale = torch.zeros_like(saved[1]) :: 1 -> 0 :: PyTorch sums a gradient to the shape of its input
mxnet :: quantization/fake_quantize.py :: zero_point = along(zero_point, x, axis).astype(x.dtype) :: along(zero_point, x, axis).astype(x.dtype) -> along(zero_point, x, axis) :: MXNet promotes to the wider dtype
pytorch :: quantization/fake_quantize.py :: zero_point = along(zero_point, x, axis).to(x.dtype) :: along(zero_point, x, axis).to(x.dtype) -> along(zero_point, x, axis) :: PyTorch promotes to the wider dtype
mxnet :: quantization/int8_linear.py :: y = cast_like(self.total(x), scale) * scale :: cast_like(self.total(x), scale) -> self.total(x) :: MXNet promotes to the wider dtype
pytorch :: quantization/int8_linear.py :: y = cast_like(self.total(x), scale) * scale :: cast_like(self.total(x), scale) -> self.total(x) :: PyTorch promotes to the wider dtype
pytorch :: quantization/int8_linear.py :: self.register_buffer("scale", scale.detach().clone()) :: scale.detach() -> scale :: convert runs without gradients
pytorch :: linear.py :: y = y if bias is None else widen(y) + widen(bias) :: widen(bias) -> bias :: PyTorch promotes to the wider dtype
pytorch :: linear.py :: y = y if bias is None else widen(y) + widen(bias) :: widen(y) -> y :: PyTorch promotes to the wider dtype
pytorch :: manual_gradient.py :: return dx, dweight, torch.sum(dy, axis=0) :: torch.sum(dy, axis=0) -> dy :: PyTorch sums a gradient to the shape of its input
mxnet :: quantization/observers.py :: if percent == 100: :: 100 -> 101 :: the largest of the sorted numbers is the maximum
pytorch :: quantization/observers.py :: if percent == 100: :: 100 -> 101 :: the largest of the sorted numbers is the maximum
mxnet :: quantization/pact.py :: code = np.clip(np.around(inside * inv), 0, levels) :: np.clip(np.around(inside * inv), 0, levels) -> np.around(inside * inv) :: inside is clipped too
pytorch :: quantization/pact.py :: code = torch.clip(torch.round(inside * inv), 0, levels) :: torch.clip(torch.round(inside * inv), 0, levels) -> torch.round(inside * inv) :: inside is clipped too
pytorch :: quantization/pact.py :: dalpha = torch.sum(torch.where(x >= alpha, dy, zeros)) :: torch.sum(torch.where(x >= alpha, dy, zeros)) -> torch.where(x >= alpha, dy, zeros) :: PyTorch sums a gradient to the shape of its input
mxnet :: quantization/pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 :: the code is clipped too
mxnet :: quantization/pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 / alpha :: the code is clipped too
mxnet :: quantization/pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: np.maximum(x, 0 * alpha) -> x :: the code is clipped too
mxnet :: quantization/pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: np.minimum(np.maximum(x, 0 * alpha), alpha) -> np.maximum(x, 0 * alpha) :: the code is clipped too
pytorch :: quantization/pact.py :: inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 / alpha :: 0 either way: alpha is positive, or NaN
pytorch :: quantization/pact.py :: inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha) :: torch.maximum(x, 0 * alpha) -> x :: the code is clipped too
pytorch :: quantization/pact.py :: inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha) :: torch.minimum(torch.maximum(x, 0 * alpha), alpha) -> torch.maximum(x, 0 * alpha) :: the code is clipped too
mxnet :: quantization/pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: alpha > 0 -> alpha >= 0 :: zeros is compiled: a step that is not positive raises before
mxnet :: quantization/pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: np.where(alpha > 0, step, step * np.nan) -> step :: zeros is compiled: a step that is not positive raises before
mxnet :: quantization/pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: step * np.nan -> np.nan :: zeros is compiled: a step that is not positive raises before
mxnet :: quantization/pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: step * np.nan -> step :: zeros is compiled: a step that is not positive raises before
mxnet :: quantization/pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: step * np.nan -> step / np.nan :: zeros is compiled: a step that is not positive raises before
pytorch :: quantization/pact.py :: step = torch.where(alpha > 0, step, step * torch.nan) :: alpha > 0 -> alpha >= 0 :: a step of 0 gives NaN by itself, 0 times its infinite reciprocal
pytorch :: quantization/pact.py :: step = torch.where(alpha > 0, step, step * torch.nan) :: step * torch.nan -> step / torch.nan :: NaN either way: only a compiled step that is not positive gets here
pytorch :: quantization/pact.py :: step = torch.where(alpha > 0, step, step * torch.nan) :: step * torch.nan -> torch.nan :: NaN either way: only a compiled step that is not positive gets here
mxnet :: precision.py :: return x if x.dtype == wide else (x * 1.0).astype(wide) :: x * 1.0 -> x :: x times 1 is x; the product is there for its gradient
mxnet :: precision.py :: return x if x.dtype == wide else (x * 1.0).astype(wide) :: x * 1.0 -> x / 1.0 :: x times 1 is x; the product is there for its gradient
mxnet :: rms_norm.py :: y = wide / np.sqrt(mean + eps) * widen(weight) :: widen(weight) -> weight :: MXNet promotes to the wider dtype
pytorch :: rms_norm.py :: y = wide / torch.sqrt(mean + eps) * widen(weight) :: widen(weight) -> weight :: PyTorch promotes to the wider dtype
mxnet :: training.py :: picked = log_p * cast_like(chosen, y) :: cast_like(chosen, y) -> chosen :: MXNet promotes to the wider dtype
pytorch :: training.py :: picked = log_p * torch.where(known, cast_like(chosen, y), nan) :: cast_like(chosen, y) -> chosen :: PyTorch promotes to the wider dtype
mxnet :: training.py :: return p - lr * v, (v, state[1]) :: 1 -> 0 :: momentum has one array; the other is not read
pytorch :: training.py :: return p - lr * v, (v, state[1]) :: 1 -> 0 :: momentum has one array; the other is not read
jax :: training.py :: detached = jax.lax.stop_gradient(y) :: jax.lax.stop_gradient(y) -> y :: the loss does not change with row_max: its gradients cancel
tf :: training.py :: detached = tf.stop_gradient(y) :: tf.stop_gradient(y) -> y :: the loss does not change with row_max: its gradients cancel
mxnet :: training.py :: detached = y.detach() :: y.detach() -> y :: the loss does not change with row_max: its gradients cancel
pytorch :: training.py :: detached = y.detach() :: y.detach() -> y :: the loss does not change with row_max: its gradients cancel
mxnet :: training.py :: yield value.detach() :: value.detach() -> value :: the same number; the graph is freed a step later
pytorch :: training.py :: yield value.detach() :: value.detach() -> value :: the same number; the graph is freed a step later
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: length % p -> length * p :: another factor of the same length
mxnet :: quantization/qparams.py :: return 1 / np.where(step > 0, step, step * np.nan) :: np.where(step > 0, step, step * np.nan) -> step :: nothing is compiled: a step that is not positive raises before
mxnet :: quantization/qparams.py :: return 1 / np.where(step > 0, step, step * np.nan) :: step * np.nan -> np.nan :: nothing is compiled: a step that is not positive raises before
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: RADIX + 1 -> 1 :: another factor of the same length
mxnet :: fourier.py :: return few[-1] if few else next(more, length) :: 1 -> 0 :: another factor of the same length
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: 1 -> 0 :: another factor of the same length
mxnet :: quantization/qparams.py :: return 1 / np.where(step > 0, step, step * np.nan) :: step > 0 -> step >= 0 :: nothing is compiled: a step that is not positive raises before
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: RADIX + 1 -> RADIX :: another factor of the same length
mxnet :: fourier.py :: @functools.lru_cache(maxsize=64) :: 64 -> 65 :: how many bases are kept
mxnet :: quantization/qparams.py :: return 1 / np.where(step > 0, step, step * np.nan) :: step * np.nan -> step / np.nan :: nothing is compiled: a step that is not positive raises before
mxnet :: quantization/qparams.py :: return 1 / np.where(step > 0, step, step * np.nan) :: step * np.nan -> step :: nothing is compiled: a step that is not positive raises before
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: RADIX + 1 -> RADIX - 1 :: another factor of the same length
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: 2 -> 3 :: another factor of the same length
jax :: quantization/fake_quantize.py :: inv = 1 / scale :: divides by the scale :: XLA multiplies by the reciprocal on a CPU: docs/deviations.md, scalar_division
tf :: quantization/pact.py :: inside = tf.minimum(tf.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 :: the code is clipped too
tf :: conv.py :: return cast_like(shift / tf.sqrt(var + eps), weight) :: cast_like(shift / tf.sqrt(var + eps), weight) -> shift / tf.sqrt(var + eps) :: one rounding less in low precision
tf :: quantization/pact.py :: inside = tf.minimum(tf.maximum(x, 0 * alpha), alpha) :: tf.minimum(tf.maximum(x, 0 * alpha), alpha) -> tf.maximum(x, 0 * alpha) :: the code is clipped too
tf :: conv.py :: least = weight.shape[2] - 2 * padding :: 2 -> 3 at 21 :: the kernel is square
tf :: quantization/observers.py :: mixed = tf.stack((low, high)) :: tf.stack((low, high)) -> (low, high) :: where stacks them itself
tf :: conv.py :: w = widen(weight) :: widen(weight) -> weight :: one rounding more in low precision, which the budget allows
tf :: conv.py :: y = widen(y) + tf.reshape(widen(bias), (-1, 1, 1)) :: widen(y) -> y :: y is wide already, as its factors are
tf :: quantization/observers.py :: x = tf.cast(rows(tf.stop_gradient(x), axis), bounds.dtype) :: tf.stop_gradient(x) -> x :: what is assigned to a variable has no gradient
tf :: quantization/pact.py :: step = tf.where(alpha > 0, step, step * float("nan")) :: step * float('nan') -> float('nan') :: NaN either way: only a compiled step that is not positive gets here
tf :: attention_tiled.py :: dy = tf.stop_gradient(dy) :: tf.stop_gradient(dy) -> dy :: tf.custom_gradient replaces the gradient of all that is inside
tf :: centered.py :: wide = widen(x) :: widen(x) -> x :: one rounding more in low precision, which the budget allows
tf :: quantization/pact.py :: step = tf.where(alpha > 0, step, step * float("nan")) :: alpha > 0 -> alpha >= 0 :: a step of 0 gives NaN by itself, 0 times its infinite reciprocal
tf :: training.py :: return p - lr * v, (v, state[1]) :: 1 -> 0 :: momentum has one array; the other is not read
tf :: quantization/pact.py :: inside = tf.minimum(tf.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 / alpha :: 0 either way: alpha is positive, or NaN
tf :: quantization/observers.py :: if percent == 100: :: 100 -> 101 :: the largest of the sorted numbers is the maximum
tf :: quantization/pact.py :: inside = tf.minimum(tf.maximum(x, 0 * alpha), alpha) :: tf.maximum(x, 0 * alpha) -> x :: the code is clipped too
tf :: quantization/pact.py :: step = tf.where(alpha > 0, step, step * float("nan")) :: step * float('nan') -> step / float('nan') :: NaN either way: only a compiled step that is not positive gets here
tf :: training.py :: @tf.function(autograph=False) :: False -> True :: nothing in it branches on a tensor
tf :: quantization/observers.py :: rank = tf.cast(tf.math.ceil(percent / 100 * size), tf.int32) :: tf.int32 -> tf.int64 :: an index either way
tf :: bilinear.py :: wx = tf.tensordot(x, weight, [[-1], [0]])  # ... J K :: 0 -> 1 :: x stands on both sides: the same terms, in another order
tf :: attention_tiled.py :: row_sum = tf.zeros_like(q[..., :1]) :: tf.zeros_like(q[..., :1]) -> q[..., :1] :: the first key shrinks the start to 0; without any, y is 0 / row_sum
tf :: quantization/pact.py :: code = tf.clip_by_value(tf.round(inside * inv), 0, levels) :: tf.clip_by_value(tf.round(inside * inv), 0, levels) -> tf.round(inside * inv) :: inside is clipped too
jax :: conv.py :: w = widen(weight) :: widen(weight) -> weight :: one rounding more in low precision, which the budget allows
jax :: rms_norm.py :: y = wide / jnp.sqrt(mean + eps) * widen(weight) :: widen(weight) -> weight :: JAX promotes to the wider dtype
jax :: attention_tiled.py :: row_sum = jnp.zeros_like(q[..., :1]) :: jnp.zeros_like(q[..., :1]) -> q[..., :1] :: the first key shrinks the start to 0; without any, y is 0 / row_sum
jax :: centered.py :: wide = widen(x) :: widen(x) -> x :: one rounding more in low precision, which the budget allows
jax :: quantization/observers.py :: if percent == 100: :: 100 -> 101 :: the largest of the sorted numbers is the maximum
jax :: quantization/pact.py :: step = jnp.where(alpha > 0, step, step * jnp.nan) :: alpha > 0 -> alpha >= 0 :: a step of 0 gives NaN by itself, 0 times its infinite reciprocal
jax :: quantization/pact.py :: code = jnp.clip(jnp.round(inside * inv), 0, levels) :: jnp.clip(jnp.round(inside * inv), 0, levels) -> jnp.round(inside * inv) :: inside is clipped too
jax :: linear.py :: y = y if bias is None else widen(y) + widen(bias) :: widen(bias) -> bias :: JAX promotes to the wider dtype
jax :: quantization/pact.py :: step = jnp.where(alpha > 0, step, step * jnp.nan) :: step * jnp.nan -> jnp.nan :: NaN either way: only a compiled step that is not positive gets here
jax :: quantization/pact.py :: inside = jnp.minimum(jnp.maximum(x, 0 * alpha), alpha) :: jnp.minimum(jnp.maximum(x, 0 * alpha), alpha) -> jnp.maximum(x, 0 * alpha) :: the code is clipped too
jax :: quantization/pact.py :: inside = jnp.minimum(jnp.maximum(x, 0 * alpha), alpha) :: jnp.maximum(x, 0 * alpha) -> x :: the code is clipped too
jax :: conv.py :: y = widen(y) + jnp.reshape(widen(bias), (-1, 1, 1)) :: widen(bias) -> bias :: JAX promotes to the wider dtype
jax :: quantization/pact.py :: inside = jnp.minimum(jnp.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 / alpha :: 0 either way: alpha is positive, or NaN
jax :: linear.py :: y = y if bias is None else widen(y) + widen(bias) :: widen(y) -> y :: JAX promotes to the wider dtype
jax :: training.py :: return p - lr * v, (v, state[1]) :: 1 -> 0 :: momentum has one array; the other is not read
jax :: quantization/observers.py :: x = rows(jax.lax.stop_gradient(x), axis).astype(bounds.dtype) :: jax.lax.stop_gradient(x) -> x :: bounds reach y through a grid alone, whose gradient is 0
jax :: quantization/pact.py :: inside = jnp.minimum(jnp.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 :: the code is clipped too
jax :: quantization/int8_linear.py :: y = cast_like(self.total(x), scale) * scale :: cast_like(self.total(x), scale) -> self.total(x) :: JAX promotes to the wider dtype
jax :: conv.py :: y = widen(y) + jnp.reshape(widen(bias), (-1, 1, 1)) :: widen(y) -> y :: JAX promotes to the wider dtype
jax :: quantization/pact.py :: step = jnp.where(alpha > 0, step, step * jnp.nan) :: step * jnp.nan -> step / jnp.nan :: NaN either way: only a compiled step that is not positive gets here
jax :: attention_tiled.py :: q, k, v, attn_mask=None, causal=False, scale=None, block_size=128 :: 128 -> 129 :: blocks change the order of a sum, no more
jax :: conv.py :: least = weight.shape[2] - 2 * padding :: 2 -> 3 at 21 :: the kernel is square
jax :: quantization/fake_quantize.py :: zero_point = along(zero_point, x, axis).astype(x.dtype) :: along(zero_point, x, axis).astype(x.dtype) -> along(zero_point, x, axis) :: JAX promotes to the wider dtype
pytorch :: conv.py :: least = weight.shape[2] - 2 * padding :: 2 -> 3 at 21 :: the kernel is square
mxnet :: conv.py :: least = weight.shape[2] - 2 * padding :: 2 -> 3 at 21 :: the kernel is square
mxnet :: fourier.py :: more = (p for p in range(2, length) if length % p == 0) :: length % p -> length * p :: another factor of the same length
mxnet :: fourier.py :: inner = [im[..., 1 : (length + 1) // 2]] if length > 2 else [] :: length > 2 -> length >= 2 :: of two, the inner part is empty
mxnet :: quantization/observers.py :: x = rows(x.detach(), axis) :: x.detach() -> x :: what is written into an array has no gradient
jax :: quantization/fake_quantize.py :: return dx, jnp.zeros_like(saved[1]), None :: return (dx, jnp.zeros_like(saved[1]), None) -> return (dx, None, jnp.zeros_like(saved[1])) :: zeros or None: neither has a gradient
mxnet :: quantization/fake_quantize.py :: return dx, dscale, None :: return (dx, dscale, None) -> return (dx, None, dscale) :: zeros or None: neither has a gradient
jax :: quantization/code_linear.py :: y = (total + b.astype(jnp.int32)).astype(x.dtype) * scale  # ... O :: jnp.int32 -> jnp.int64 :: what int32 does not hold is NaN
jax :: quantization/code_linear.py :: x, weight = x.astype(jnp.int32), weight.astype(jnp.int32) :: jnp.int32 -> jnp.int64 at 21 :: what int32 does not hold is NaN
jax :: quantization/code_linear.py :: x, weight = x.astype(jnp.int32), weight.astype(jnp.int32) :: jnp.int32 -> jnp.int64 at 47 :: what int32 does not hold is NaN
jax :: manual_gradient.py :: weight = jnp.asarray(weight) :: jnp.asarray(weight) -> weight :: JAX takes the array out of a parameter itself
jax :: attention_blocks.py :: attn_mask = jnp.broadcast_to(attn_mask, shape)  # ... M :: jnp.broadcast_to(attn_mask, shape) -> attn_mask :: JAX takes the last one for an index beyond the end
jax :: attention_blocks.py :: block = jnp.minimum(m, keys - 1) :: keys - 1 -> keys :: JAX takes the last one for an index beyond the end
jax :: attention_blocks.py :: block = jnp.minimum(m, keys - 1) :: keys - 1 -> keys + 1 :: JAX takes the last one for an index beyond the end
jax :: attention_blocks.py :: allowed = jnp.broadcast_to(m < keys, scores.shape) :: jnp.broadcast_to(m < keys, scores.shape) -> m < keys :: broadcast where it is used
jax :: quantization/prepare.py :: options = dict(rngs=nnx.Rngs(0)) | options :: 0 -> 1 :: the start is replaced
mxnet :: fourier.py :: more = (p for p in range(2, length) if length % p == 0) :: 2 -> 3 :: few has seen to 2
mxnet :: quantization/code_linear.py :: if 0 in x.shape[:-1]: :: 1 -> 0 :: the rule takes an empty batch as well
jax :: attention_blocks.py :: block = jnp.minimum(m, keys - 1) :: 1 -> 0 :: JAX takes the last one for an index beyond the end
jax :: attention_blocks.py :: block = jnp.minimum(m, keys - 1) :: jnp.minimum(m, keys - 1) -> m :: JAX takes the last one for an index beyond the end
jax :: attention_blocks.py :: size = min(size, keys) :: min(size, keys) -> size :: the block is filled up, and what fills it is not seen
jax :: attention_blocks.py :: size = min(size, keys) :: min(size, keys) -> max(size, keys) :: blocks change the order of a sum, no more
jax :: quantization/code_linear.py :: most = jnp.abs(total).astype(b.dtype) + jnp.abs(b) :: jnp.abs(total).astype(b.dtype) -> jnp.abs(total) :: JAX promotes to the wider dtype
jax :: quantization/code_linear.py :: y = (total + b.astype(jnp.int32)).astype(x.dtype) * scale  # ... O :: (total + b.astype(jnp.int32)).astype(x.dtype) -> total + b.astype(jnp.int32) :: JAX promotes to the wider dtype
"""

EQUIVALENT = {
    tuple(cells): reason
    for *cells, reason in (
        row.split(" :: ") for row in ROWS.strip().split("\n")
    )
}
