"""Faults of the mutation trial that change no number a caller can see.

EQUIVALENT: {(framework, page, line as it stands there, change): reason}. A row
that fits no fault, or one that was killed, fails the run.
"""

# framework :: page :: line :: change :: reason
ROWS = r"""
jax :: attention.py :: stop = jax.lax.stop_gradient(s) :: jax.lax.stop_gradient(s) -> s :: weights do not change with top: its gradients cancel
mxnet :: attention.py :: stop = s.detach() :: s.detach() -> s :: weights do not change with top: its gradients cancel
pytorch :: attention.py :: stop = s.detach() :: s.detach() -> s :: weights do not change with top: its gradients cancel
tf :: attention.py :: stop = tf.stop_gradient(s) :: tf.stop_gradient(s) -> s :: weights do not change with top: its gradients cancel
mxnet :: attention_blocks.py :: step, state, q, k, v, attn_mask, causal, size, parts: int = 0 :: 0 -> 1 :: a caller that asks for no parts takes none
pytorch :: attention_blocks.py :: step, state, q, k, v, attn_mask, causal, size, parts: int = 0 :: 0 -> 1 :: a caller that asks for no parts takes none
mxnet :: attention_blocks.py :: x.wait_to_read() :: x.wait_to_read() -> pass :: the same numbers; memory is given back later
mxnet :: attention_tiled.py :: q, k, v, attn_mask=None, causal=False, scale=None, block_size=128 :: 128 -> 129 :: blocks change the order of a sum, no more
pytorch :: attention_tiled.py :: q, k, v, attn_mask=None, causal=False, scale=None, block_size=128 :: 128 -> 129 :: blocks change the order of a sum, no more
tf :: attention_tiled.py :: q, k, v, attn_mask=None, causal=False, scale=None, block_size=128 :: 128 -> 129 :: blocks change the order of a sum, no more
mxnet :: attention_tiled.py :: y, total = np.zeros_like(q), np.zeros_like(q[..., :1]) :: np.zeros_like(q[..., :1]) -> q[..., :1] :: the first key shrinks the start to 0; without any, y is 0 / total
pytorch :: attention_tiled.py :: y, total = torch.zeros_like(q), torch.zeros_like(q[..., :1]) :: torch.zeros_like(q[..., :1]) -> q[..., :1] :: the first key shrinks the start to 0; without any, y is 0 / total
mxnet :: centered.py :: wide = widen(x) :: widen(x) -> x :: one rounding more in low precision, which the budget allows
pytorch :: centered.py :: wide = widen(x) :: widen(x) -> x :: one rounding more in low precision, which the budget allows
mxnet :: conv.py :: return cast_like(shift / np.sqrt(var + eps), weight) :: cast_like(shift / np.sqrt(var + eps), weight) -> shift / np.sqrt(var + eps) :: one rounding less in low precision
mxnet :: conv.py :: w = widen(weight) :: widen(weight) -> weight :: one rounding more in low precision, which the budget allows
pytorch :: conv.py :: w = widen(weight) :: widen(weight) -> weight :: one rounding more in low precision, which the budget allows
mxnet :: conv.py :: y = widen(y) + np.reshape(widen(bias), (-1, 1, 1)) :: widen(bias) -> bias :: MXNet promotes to the wider dtype
mxnet :: conv.py :: y = widen(y) + np.reshape(widen(bias), (-1, 1, 1)) :: widen(y) -> y :: MXNet promotes to the wider dtype
pytorch :: conv.py :: y = widen(y) + torch.reshape(widen(bias), (-1, 1, 1)) :: widen(bias) -> bias :: PyTorch promotes to the wider dtype
pytorch :: conv.py :: y = widen(y) + torch.reshape(widen(bias), (-1, 1, 1)) :: widen(y) -> y :: PyTorch promotes to the wider dtype
pytorch :: fake_quantize.py :: dscale = torch.zeros_like(ctx.saved_tensors[1]) :: 1 -> 0 :: PyTorch sums a gradient to the shape of its input
mxnet :: fake_quantize.py :: zero_point = along(zero_point, x, axis).astype(x.dtype) :: along(zero_point, x, axis).astype(x.dtype) -> along(zero_point, x, axis) :: MXNet promotes to the wider dtype
pytorch :: fake_quantize.py :: zero_point = along(zero_point, x, axis).to(x.dtype) :: along(zero_point, x, axis).to(x.dtype) -> along(zero_point, x, axis) :: PyTorch promotes to the wider dtype
mxnet :: grid.py :: nothing = np.zeros_like(bounds[0]) :: 0 -> 1 :: both rows of bounds have that shape
pytorch :: grid.py :: nothing = torch.zeros_like(bounds[0]) :: 0 -> 1 :: both rows of bounds have that shape
mxnet :: int8_linear.py :: return self.total(x).astype(x.dtype) * self.out_scale.data() :: self.total(x).astype(x.dtype) -> self.total(x) :: MXNet promotes to the wider dtype
pytorch :: int8_linear.py :: return self.total(x).to(x.dtype) * self.out_scale :: self.total(x).to(x.dtype) -> self.total(x) :: PyTorch promotes to the wider dtype
pytorch :: int8_linear.py :: self.register_buffer("scale", scale.detach().clone()) :: scale.detach() -> scale :: convert runs without gradients
pytorch :: linear.py :: y = y if bias is None else widen(y) + widen(bias) :: widen(bias) -> bias :: PyTorch promotes to the wider dtype
pytorch :: linear.py :: y = y if bias is None else widen(y) + widen(bias) :: widen(y) -> y :: PyTorch promotes to the wider dtype
pytorch :: manual_gradient.py :: return dx, dweight, torch.sum(dy, axis=0) :: torch.sum(dy, axis=0) -> dy :: PyTorch sums a gradient to the shape of its input
mxnet :: observers.py :: if percent == 100: :: 100 -> 101 :: the largest of the sorted numbers is the maximum
pytorch :: observers.py :: if percent == 100: :: 100 -> 101 :: the largest of the sorted numbers is the maximum
mxnet :: pact.py :: code = np.clip(np.around(inside * inv), 0, levels) :: np.clip(np.around(inside * inv), 0, levels) -> np.around(inside * inv) :: inside is clipped too
pytorch :: pact.py :: code = torch.clip(torch.round(inside * inv), 0, levels) :: torch.clip(torch.round(inside * inv), 0, levels) -> torch.round(inside * inv) :: inside is clipped too
pytorch :: pact.py :: dalpha = torch.sum(torch.where(x >= alpha, dy, nothing)) :: torch.sum(torch.where(x >= alpha, dy, nothing)) -> torch.where(x >= alpha, dy, nothing) :: PyTorch sums a gradient to the shape of its input
mxnet :: pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 :: the code is clipped too
mxnet :: pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 / alpha :: the code is clipped too
mxnet :: pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: np.maximum(x, 0 * alpha) -> x :: the code is clipped too
mxnet :: pact.py :: inside = np.minimum(np.maximum(x, 0 * alpha), alpha) :: np.minimum(np.maximum(x, 0 * alpha), alpha) -> np.maximum(x, 0 * alpha) :: the code is clipped too
pytorch :: pact.py :: inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha) :: 0 * alpha -> 0 / alpha :: 0 either way: alpha is positive, or NaN
pytorch :: pact.py :: inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha) :: torch.maximum(x, 0 * alpha) -> x :: the code is clipped too
pytorch :: pact.py :: inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha) :: torch.minimum(torch.maximum(x, 0 * alpha), alpha) -> torch.maximum(x, 0 * alpha) :: the code is clipped too
pytorch :: pact.py :: levels = code_range(*self.options[:2])[1] :: 2 -> 3 :: the third option is None, not narrow
pytorch :: pact.py :: return self.alpha * (1 / code_range(*self.options[:2])[1]) :: 2 -> 3 :: the third option is None, not narrow
mxnet :: pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: alpha > 0 -> alpha >= 0 :: nothing is compiled: a step that is not positive raises before
mxnet :: pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: np.where(alpha > 0, step, step * np.nan) -> step :: nothing is compiled: a step that is not positive raises before
mxnet :: pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: step * np.nan -> np.nan :: nothing is compiled: a step that is not positive raises before
mxnet :: pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: step * np.nan -> step :: nothing is compiled: a step that is not positive raises before
mxnet :: pact.py :: step = np.where(alpha > 0, step, step * np.nan) :: step * np.nan -> step / np.nan :: nothing is compiled: a step that is not positive raises before
pytorch :: pact.py :: step = torch.where(alpha > 0, step, step * torch.nan) :: alpha > 0 -> alpha >= 0 :: a step of 0 gives NaN by itself, 0 times its infinite reciprocal
pytorch :: pact.py :: step = torch.where(alpha > 0, step, step * torch.nan) :: step * torch.nan -> step / torch.nan :: NaN either way: only a compiled step that is not positive gets here
pytorch :: pact.py :: step = torch.where(alpha > 0, step, step * torch.nan) :: step * torch.nan -> torch.nan :: NaN either way: only a compiled step that is not positive gets here
mxnet :: precision.py :: return x if x.dtype == wide else (x * 1.0).astype(wide) :: x * 1.0 -> x :: x times 1 is x; the product is there for its gradient
mxnet :: precision.py :: return x if x.dtype == wide else (x * 1.0).astype(wide) :: x * 1.0 -> x / 1.0 :: x times 1 is x; the product is there for its gradient
mxnet :: rms_norm.py :: y = wide / np.sqrt(mean + eps) * widen(weight) :: widen(weight) -> weight :: MXNet promotes to the wider dtype
pytorch :: rms_norm.py :: y = wide / torch.sqrt(mean + eps) * widen(weight) :: widen(weight) -> weight :: PyTorch promotes to the wider dtype
mxnet :: training.py :: picked = log_p * cast_like(chosen, y) :: cast_like(chosen, y) -> chosen :: MXNet promotes to the wider dtype
pytorch :: training.py :: picked = log_p * cast_like(chosen, y) :: cast_like(chosen, y) -> chosen :: PyTorch promotes to the wider dtype
mxnet :: training.py :: return p - lr * v, (v, state[1]) :: 1 -> 0 :: momentum has one array; the other is not read
pytorch :: training.py :: return p - lr * v, (v, state[1]) :: 1 -> 0 :: momentum has one array; the other is not read
jax :: training.py :: stop = jax.lax.stop_gradient(y) :: jax.lax.stop_gradient(y) -> y :: the loss does not change with top: its gradients cancel
tf :: training.py :: stop = tf.stop_gradient(y) :: tf.stop_gradient(y) -> y :: the loss does not change with top: its gradients cancel
mxnet :: training.py :: stop = y.detach() :: y.detach() -> y :: the loss does not change with top: its gradients cancel
pytorch :: training.py :: stop = y.detach() :: y.detach() -> y :: the loss does not change with top: its gradients cancel
mxnet :: training.py :: yield value.detach() :: value.detach() -> value :: the same number; the graph is freed a step later
pytorch :: training.py :: yield value.detach() :: value.detach() -> value :: the same number; the graph is freed a step later
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: length % p -> length * p :: another factor of the same length
mxnet :: lsq.py :: inv = 1 / np.where(step > 0, step, step * np.nan) :: np.where(step > 0, step, step * np.nan) -> step :: nothing is compiled: a step that is not positive raises before
mxnet :: lsq.py :: inv = 1 / np.where(step > 0, step, step * np.nan) :: step * np.nan -> np.nan :: nothing is compiled: a step that is not positive raises before
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: RADIX + 1 -> 1 :: another factor of the same length
mxnet :: fourier.py :: return few[-1] if few else next(more, length) :: 1 -> 0 :: another factor of the same length
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: 1 -> 0 :: another factor of the same length
mxnet :: lsq.py :: inv = 1 / np.where(step > 0, step, step * np.nan) :: step > 0 -> step >= 0 :: nothing is compiled: a step that is not positive raises before
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: RADIX + 1 -> RADIX :: another factor of the same length
mxnet :: fourier.py :: @functools.lru_cache(maxsize=64) :: 64 -> 65 :: how many bases are kept
mxnet :: lsq.py :: inv = 1 / np.where(step > 0, step, step * np.nan) :: step * np.nan -> step / np.nan :: nothing is compiled: a step that is not positive raises before
mxnet :: lsq.py :: inv = 1 / np.where(step > 0, step, step * np.nan) :: step * np.nan -> step :: nothing is compiled: a step that is not positive raises before
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: RADIX + 1 -> RADIX - 1 :: another factor of the same length
mxnet :: fourier.py :: few = [p for p in range(2, RADIX + 1) if length % p == 0] :: 2 -> 3 :: another factor of the same length
jax :: fake_quantize.py :: inv = 1 / scale :: divides by the scale :: XLA multiplies by the reciprocal on a CPU: docs/deviations.md, scalar_division
"""

EQUIVALENT = {
    tuple(cells): reason
    for *cells, reason in (
        row.split(" :: ") for row in ROWS.strip().split("\n")
    )
}
