"""Faults of the mutation trial that change no number a caller can see.

EQUIVALENT: {(page, line as it stands there, change): reason}. A row that
fits no fault of any framework, or one that was killed, fails the run.
"""

EQUIVALENT = {
    (
        "grid.py",
        "nothing = torch.zeros_like(bounds[0])",
        "0 -> 1",
    ): "both rows of bounds have that shape",
    (
        "fake_quantize.py",
        "dscale = torch.zeros_like(ctx.saved_tensors[1])",
        "1 -> 0",
    ): "PyTorch sums a gradient to the shape of its input",
    (
        "manual_gradient.py",
        "return dx, dweight, torch.sum(dy, axis=0)",
        "torch.sum(dy, axis=0) -> dy",
    ): "PyTorch sums a gradient to the shape of its input",
    (
        "pact.py",
        "dalpha = torch.sum(torch.where(x >= alpha, dy, nothing))",
        "torch.sum(torch.where(x >= alpha, dy, nothing)) -> torch.where(x >= alpha, dy, nothing)",
    ): "PyTorch sums a gradient to the shape of its input",
    (
        "conv.py",
        "y = widen(y) + torch.reshape(widen(bias), (-1, 1, 1))",
        "widen(y) -> y",
    ): "PyTorch promotes to the wider dtype",
    (
        "conv.py",
        "y = widen(y) + torch.reshape(widen(bias), (-1, 1, 1))",
        "widen(bias) -> bias",
    ): "PyTorch promotes to the wider dtype",
    (
        "linear.py",
        "y = y if bias is None else widen(y) + widen(bias)",
        "widen(y) -> y",
    ): "PyTorch promotes to the wider dtype",
    (
        "linear.py",
        "y = y if bias is None else widen(y) + widen(bias)",
        "widen(bias) -> bias",
    ): "PyTorch promotes to the wider dtype",
    (
        "rms_norm.py",
        "y = wide / torch.sqrt(mean + eps) * widen(weight)",
        "widen(weight) -> weight",
    ): "PyTorch promotes to the wider dtype",
    (
        "training.py",
        "picked = log_p * cast_like(chosen, y)",
        "cast_like(chosen, y) -> chosen",
    ): "PyTorch promotes to the wider dtype",
    (
        "centered.py",
        "wide = widen(x)",
        "widen(x) -> x",
    ): "one rounding more in low precision, which the budget allows",
    (
        "conv.py",
        "w = widen(weight)",
        "widen(weight) -> weight",
    ): "one rounding more in low precision, which the budget allows",
    (
        "fake_quantize.py",
        "zero_point = along(zero_point, x, axis).to(x.dtype)",
        "along(zero_point, x, axis).to(x.dtype) -> along(zero_point, x, axis)",
    ): "PyTorch promotes to the wider dtype",
    (
        "pact.py",
        "step = torch.where(alpha > 0, step, step * torch.nan)",
        "step * torch.nan -> torch.nan",
    ): "NaN either way: only a compiled step that is not positive gets here",
    (
        "pact.py",
        "step = torch.where(alpha > 0, step, step * torch.nan)",
        "step * torch.nan -> step / torch.nan",
    ): "NaN either way: only a compiled step that is not positive gets here",
    (
        "pact.py",
        "step = torch.where(alpha > 0, step, step * torch.nan)",
        "alpha > 0 -> alpha >= 0",
    ): "a step of 0 gives NaN by itself, 0 times its infinite reciprocal",
    (
        "attention.py",
        "stop = s.detach()",
        "s.detach() -> s",
    ): "weights do not change with top: its gradients cancel",
    (
        "training.py",
        "stop = y.detach()",
        "y.detach() -> y",
    ): "the loss does not change with top: its gradients cancel",
    (
        "training.py",
        "yield value.detach()",
        "value.detach() -> value",
    ): "the same number; the graph is freed a step later",
    (
        "attention_tiled.py",
        "q, k, v, attn_mask=None, causal=False, scale=None, block_size=128",
        "128 -> 129",
    ): "blocks change the order of a sum, no more",
    (
        "attention_blocks.py",
        "step, state, q, k, v, attn_mask, causal, size, parts: int = 0",
        "0 -> 1",
    ): "a caller that asks for no parts takes none",
    (
        "attention_tiled.py",
        "y, total = torch.zeros_like(q), torch.zeros_like(q[..., :1])",
        "torch.zeros_like(q[..., :1]) -> q[..., :1]",
    ): "the first key shrinks the start to 0; without any, y is 0 / total",
    (
        "int8_linear.py",
        'self.register_buffer("scale", scale.detach().clone())',
        "scale.detach() -> scale",
    ): "convert runs without gradients",
    (
        "int8_linear.py",
        "return self.total(x).to(x.dtype) * self.out_scale",
        "self.total(x).to(x.dtype) -> self.total(x)",
    ): "PyTorch promotes to the wider dtype",
    (
        "pact.py",
        "inside = torch.minimum(torch.maximum(x, 0 * alpha), alpha)",
        "0 * alpha -> 0 / alpha",
    ): "0 either way: alpha is positive, or NaN",
    (
        "training.py",
        "return p - lr * v, (v, state[1])",
        "1 -> 0",
    ): "momentum has one array; the other is not read",
    (
        "pact.py",
        "return self.alpha * (1 / code_range(*self.options[:2])[1])",
        "2 -> 3",
    ): "the third option is None, not narrow",
    (
        "pact.py",
        "levels = code_range(*self.options[:2])[1]",
        "2 -> 3",
    ): "the third option is None, not narrow",
    (
        "attention.py",
        "stop = tf.stop_gradient(s)",
        "tf.stop_gradient(s) -> s",
    ): "weights do not change with top: its gradients cancel",
    (
        "training.py",
        "stop = tf.stop_gradient(y)",
        "tf.stop_gradient(y) -> y",
    ): "the loss does not change with top: its gradients cancel",
    (
        "attention.py",
        "stop = jax.lax.stop_gradient(s)",
        "jax.lax.stop_gradient(s) -> s",
    ): "weights do not change with top: its gradients cancel",
    (
        "training.py",
        "stop = jax.lax.stop_gradient(y)",
        "jax.lax.stop_gradient(y) -> y",
    ): "the loss does not change with top: its gradients cancel",
}
