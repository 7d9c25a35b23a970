"""What the frameworks themselves have for rounding and quantizing.

calls(framework) gives {library: [Call]}; a Call's run takes a Vector
and gives NumPy arrays. Upstream gradients are ones. "XLA" in the name
of a function is tf.function(jit_compile=True), "jit" is jax.jit.
"""

import importlib
import warnings
from importlib.metadata import version

import numpy as np

from shared_tests.builtins.ledger import (
    ORDINARY,
    TO_CLIP,
    TO_ROUND,
    Call,
    codes,
    scaled,
    unclipped,
)

# vectors whose quantizer a symmetric function can express
SYMMETRIC = tuple(
    n for n in ORDINARY if n not in ("ties_odd_zero", "random")
)
# vectors on which a step gradient is exact: a power of two, no 1e-45
LEARNED = tuple(
    n
    for n in ORDINARY
    if n not in ("half_steps", "subnormals", "random")
)
EVERY = (*ORDINARY, "range")
# to JAX a subnormal scale is 0, which the page refuses
NORMAL = tuple(n for n in ORDINARY if n != "subnormal_step")


def only_value(f):
    return lambda v: {"value": np.asarray(f(v))}


def rounding(name, run):
    return Call(name, "rounding", run, TO_ROUND)


def clip(name, run):
    return Call(name, "clip", run, TO_CLIP)


def to_codes(name, f):
    return Call(name, "codes", only_value(f))


def clipped(u, v):
    """Codes of rounded numbers; floats, as some of them may be NaN."""
    code = np.asarray(u) + np.float32(v.zero_point)
    return code.clip(v.qmin, v.qmax)


def page(framework, vectors=ORDINARY):
    """The page of this repo, measured like the others."""
    adapter = importlib.import_module(f"{framework}_impl.adapter")

    def run(v):
        config = dict(bits=8, signed=v.qmin < 0)
        built = adapter.build("fake_quantize", config, {}, "float32")
        given = dict(
            x=v.x,
            scale=np.asarray(v.scale),
            zero_point=np.asarray(v.zero_point, np.int32),
        )
        got = adapter.run(built, given, dict(y=np.ones_like(v.x)))
        return {"value": got["out.y"], "gradient": got["grad.x"]}

    name = f"{framework}_impl.fake_quantize"
    return Call(name, "fake", run, vectors)


# PyTorch
def pytorch():
    import torch

    return {f"torch {torch.__version__.split('+')[0]}": torch_calls()}


def torch_calls():
    import torch

    affine = torch.fake_quantize_per_tensor_affine
    channel = torch.fake_quantize_per_channel_affine
    return [
        page("pytorch"),
        rounding("torch.round", torch_value(torch.round)),
        to_codes("torch.round(x / scale)", torch_division),
        clip("torch.clamp", torch_clip(torch.clamp)),
        Call(
            "torch.fake_quantize_per_tensor_affine",
            "fake",
            torch_fake(
                lambda x, v: affine(
                    x, float(v.scale), v.zero_point, v.qmin, v.qmax
                )
            ),
        ),
        Call(
            "torch.fake_quantize_per_channel_affine",
            "fake",
            torch_fake(
                lambda x, v: channel(
                    x[None],
                    torch.tensor([v.scale]),
                    torch.tensor([v.zero_point], dtype=torch.int32),
                    0,
                    v.qmin,
                    v.qmax,
                )[0]
            ),
        ),
        Call(
            "torch._fake_quantize_learnable_per_tensor_affine",
            "learned",
            torch_learned,
            LEARNED,
        ),
        to_codes("torch.quantize_per_tensor", torch_integers),
    ]


def torch_value(f):
    import torch

    return only_value(lambda v: f(torch.from_numpy(scaled(v))))


def torch_division(v):
    import torch

    u = torch.from_numpy(v.x) / torch.tensor(v.scale)
    return clipped(torch.round(u), v)


def torch_clip(f):
    import torch

    def run(v):
        x = torch.from_numpy(unclipped(v)).requires_grad_()
        (dx,) = torch.autograd.grad(f(x, v.qmin, v.qmax).sum(), x)
        return {"gradient": dx.numpy()}

    return run


def torch_fake(f):
    import torch

    def run(v):
        x = torch.from_numpy(v.x).requires_grad_()
        y = f(x, v)
        (dx,) = torch.autograd.grad(y.sum(), x)
        return {"value": y.detach().numpy(), "gradient": dx.numpy()}

    return run


def torch_learned(v):
    """One call an element: the step gradient is a sum."""
    import torch

    learnable = torch._fake_quantize_learnable_per_tensor_affine
    zero_point = torch.tensor([float(v.zero_point)])
    found = []
    for number in v.x:
        x = torch.tensor([number]).requires_grad_()
        step = torch.tensor([v.scale]).requires_grad_()
        y = learnable(x, step, zero_point, v.qmin, v.qmax, 1.0)
        found.append([y.detach(), *torch.autograd.grad(y, (x, step))])
    arrays = np.array([[a.item() for a in row] for row in found], "f4")
    return dict(zip(("value", "gradient", "step gradient"), arrays.T))


def torch_integers(v):
    """Without the warning that it will be removed."""
    import torch

    kind = torch.qint8 if v.qmin else torch.quint8
    x, step = torch.from_numpy(v.x), float(v.scale)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = torch.quantize_per_tensor(x, step, v.zero_point, kind)
    return made.int_repr()


# JAX
def jax():
    return {f"jax {version('jax')}": jax_calls()}


def jax_calls():
    import jax
    import jax.numpy as jnp

    return [
        page("jax", NORMAL),
        rounding("jnp.round", jax_value(jnp.round)),
        rounding("jax.lax.round", jax_value(jax.lax.round)),
        clip("jnp.clip", jax_clip(jnp.clip)),
        clip(
            "jax.lax.clamp",
            jax_clip(lambda x, low, high: jax.lax.clamp(low, x, high)),
        ),
        *(to_codes(*pair) for pair in jax_rounded(jax.jit).items()),
    ]


def jax_value(f):
    import jax.numpy as jnp

    return only_value(lambda v: f(jnp.asarray(scaled(v))))


def jax_clip(f):
    import jax
    import jax.numpy as jnp

    def run(v):
        low, high = np.float32(v.qmin), np.float32(v.qmax)
        total = jax.grad(lambda x: f(x, low, high).sum())
        return {
            "gradient": np.asarray(total(jnp.asarray(unclipped(v))))
        }

    return run


def jax_rounded(jit):
    """x / scale and x * inv, eager and compiled."""
    import jax.numpy as jnp

    def eager(v):
        return clipped(jnp.round(jnp.asarray(v.x) / v.scale), v)

    def constant(v):
        f = jit(lambda x: jnp.round(x / v.scale))
        return clipped(f(v.x), v)

    def argument(v):
        f = jit(lambda x, scale: jnp.round(x / scale))
        return clipped(f(v.x, v.scale), v)

    def multiplied(v):
        f = jit(lambda x, inv: jnp.round(x * inv))
        return clipped(f(v.x, np.float32(1) / v.scale), v)

    return {
        "jnp.round(x / scale)": eager,
        "jnp.round(x / scale), jit, scale constant": constant,
        "jnp.round(x / scale), jit, scale an argument": argument,
        "jnp.round(x * inv), jit": multiplied,
    }


# TensorFlow
def tf():
    return {
        f"tensorflow {tf_version()}": tf_calls(),
        f"keras {version('keras')} on tensorflow": keras_calls(),
    }


def tf_version():
    import tensorflow as tf

    return tf.__version__


def tf_calls():
    import tensorflow as tf

    fakes = {
        f"tf.quantization.{f.__name__}{mode}": (f.__name__, compiled)
        for f in (
            tf.quantization.fake_quant_with_min_max_args,
            tf.quantization.fake_quant_with_min_max_vars,
            tf.quantization.fake_quant_with_min_max_vars_per_channel,
        )
        for mode, compiled in (("", False), (", XLA", True))
    }
    return [
        page("tf"),
        rounding("tf.round", tf_value(tf.round)),
        clip("tf.clip_by_value", tf_clip(tf.clip_by_value)),
        *(
            to_codes(f"tf.round(x / scale){mode}", tf_division(how))
            for mode, how in tf_modes().items()
        ),
        *(
            Call(name, "fake", tf_fake(*how), EVERY)
            for name, how in fakes.items()
        ),
        Call(
            "tf.quantization.quantize_and_dequantize_v2",
            "fake",
            tf_both(tf_round_trip),
            SYMMETRIC,
        ),
    ]


def tf_modes():
    import tensorflow as tf

    return {
        "": lambda f: f,
        ", tf.function": tf.function,
        ", XLA": tf.function(jit_compile=True),
    }


def tf_value(f):
    import tensorflow as tf

    return only_value(lambda v: f(tf.constant(scaled(v))))


def tf_division(how):
    """The scale is a constant of the compiled function."""
    import tensorflow as tf

    def run(v):
        u = how(lambda x: tf.round(x / v.scale))(tf.constant(v.x))
        return clipped(u, v)

    return run


def tf_clip(f):
    import tensorflow as tf

    def run(v):
        x = tf.constant(unclipped(v))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x, float(v.qmin), float(v.qmax))
        return {"gradient": tape.gradient(y, x).numpy()}

    return run


def limits(v):
    """The smallest and the largest value."""
    if v.limits:
        return v.limits
    low, high = v.qmin - v.zero_point, v.qmax - v.zero_point
    return np.float32(low) * v.scale, np.float32(high) * v.scale


def tf_fake(name, compiled):
    import tensorflow as tf

    f = getattr(tf.quantization, name)

    def call(x, v):
        low, high = limits(v)
        if name.endswith("args"):
            return f(x, float(low), float(high))
        if name.endswith("vars"):
            return f(x, low, high)
        return f(x[:, None], [low], [high])[:, 0]

    return tf_both(call, compiled)


def tf_both(call, compiled=False):
    import tensorflow as tf

    def run(v):
        def both(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = call(x, v)
            return y, tape.gradient(y, x)

        if compiled:
            both = tf.function(both, jit_compile=True)
        y, dx = both(tf.constant(v.x))
        return {"value": y.numpy(), "gradient": dx.numpy()}

    return run


def tf_round_trip(x, v):
    import tensorflow as tf

    return tf.quantization.quantize_and_dequantize_v2(
        x, *limits(v), range_given=True, round_mode="HALF_TO_EVEN"
    )


def keras_calls():
    import keras

    assert keras.backend.backend() == "tensorflow"
    fake = keras.quantizers.fake_quant_with_min_max_vars
    return [
        Call(
            "keras.quantizers.fake_quant_with_min_max_vars",
            "fake",
            tf_both(lambda x, v: fake(x, *limits(v))),
            EVERY,
        ),
        Call(
            "keras.quantizers.abs_max_quantize",
            "codes",
            only_value(keras_integers),
            SYMMETRIC,
            narrow=True,
        ),
    ]


def keras_integers(v):
    """The largest value, 127 steps, goes along; it says the scale."""
    import keras

    top = np.float32(127) * v.scale
    x = np.append(v.x.clip(-top, top), top)
    code, _ = keras.quantizers.abs_max_quantize(x, axis=0)
    return code.numpy()[:-1]


# MXNet
def mxnet():
    import mxnet as mx

    mx.npx.set_np()
    return {f"mxnet {mx.__version__}": mxnet_calls()}


def mxnet_calls():
    import mxnet as mx

    new, old = mx.np, mx.nd
    ste = old.contrib.round_ste
    return [
        page("mxnet"),
        rounding("mx.np.round", mx_value(new, new.round)),
        rounding("mx.np.around", mx_value(new, new.around)),
        rounding("mx.np.rint", mx_value(new, new.rint)),
        rounding("mx.nd.round", mx_value(old, old.round)),
        Call(
            "mx.nd.contrib.round_ste",
            "rounding_ste",
            mx_ste(ste),
            TO_ROUND,
        ),
        clip("mx.np.clip", mx_clip(new, new.clip)),
        clip("mx.nd.clip", mx_clip(old, old.clip)),
        to_codes("mx.np.around(x / scale)", mx_division),
        *mx_quantizers("quantize", mx_older, 127),
        *mx_quantizers("quantize_v2", mx_newer, 127.5),
    ]


def mx_value(module, f):
    return only_value(lambda v: f(module.array(scaled(v))).asnumpy())


def mx_both(x, f):
    from mxnet import autograd

    x.attach_grad()
    with autograd.record():
        y = f(x)
    y.backward()
    return {"value": y.asnumpy(), "gradient": x.grad.asnumpy()}


def mx_ste(f):
    import mxnet as mx

    return lambda v: mx_both(mx.nd.array(scaled(v)), f)


def mx_clip(module, f):
    def run(v):
        x = module.array(unclipped(v))
        return mx_both(x, lambda x: f(x, v.qmin, v.qmax))

    return run


def mx_division(v):
    import mxnet as mx

    u = mx.np.array(v.x) / mx.np.array(v.scale)
    return clipped(mx.np.around(u).asnumpy(), v)


def mx_quantizers(name, quantize, steps):
    """To codes, and back; so many steps from 0 to the end."""
    import mxnet as mx

    def both(v):
        top = float(np.float32(steps) * v.scale)
        return quantize(mx.nd.array(v.x), top)

    def there(v):
        return both(v)[0].asnumpy()

    def and_back(v):
        return mx.nd.contrib.dequantize(*both(v)).asnumpy()

    name = f"mx.nd.contrib.{name}"
    back = f"{name}, then dequantize"
    return [
        Call(name, "codes", only_value(there), SYMMETRIC),
        Call(back, "round trip", only_value(and_back), SYMMETRIC),
    ]


def mx_older(x, top):
    import mxnet as mx

    ends = mx.nd.array([-top]), mx.nd.array([top])
    return mx.nd.contrib.quantize(x, *ends, out_type="int8")


def mx_newer(x, top):
    import mxnet as mx

    return mx.nd.contrib.quantize_v2(
        x,
        out_type="int8",
        min_calib_range=-top,
        max_calib_range=top,
    )


# NumPy, ONNX
def tools():
    import onnx
    import onnxruntime

    return {
        f"numpy {np.__version__}": [
            to_codes("np.round(x / scale)", np_codes)
        ],
        f"onnxruntime {onnxruntime.__version__}": onnx_calls(run_ort),
        f"onnx.reference {onnx.__version__}": onnx_calls(run_reference),
    }


def np_codes(v):
    return clipped(np.round(v.x / v.scale), v)


def onnx_calls(run):
    def integers(v):
        return run("QuantizeLinear", v.x, v)

    def back(v):
        kind = np.int8 if v.qmin else np.uint8
        return run("DequantizeLinear", codes(v).astype(kind), v)

    return [
        to_codes("QuantizeLinear", integers),
        Call("DequantizeLinear", "values", only_value(back)),
    ]


def onnx_model(operator, x, v):
    """One operator of opset 21; its scale and zero point are inputs."""
    from onnx import helper

    kind = np.int8 if v.qmin else np.uint8
    feeds = dict(
        x=x, scale=v.scale, zero_point=np.array(v.zero_point, kind)
    )
    feeds = {n: np.asarray(a) for n, a in feeds.items()}

    def described(n, a):
        element = helper.np_dtype_to_tensor_dtype(a.dtype)
        return helper.make_tensor_value_info(n, element, a.shape)

    made = np.empty_like(x, kind if x.dtype == v.x.dtype else v.x.dtype)
    node = helper.make_node(operator, list(feeds), ["y"])
    inputs = [described(n, a) for n, a in feeds.items()]
    graph = helper.make_graph(
        [node], "g", inputs, [described("y", made)]
    )
    opset = helper.make_opsetid("", 21)
    model = helper.make_model(
        graph, opset_imports=[opset], ir_version=10
    )
    return model, feeds


def run_ort(operator, x, v):
    import onnxruntime

    model, feeds = onnx_model(operator, x, v)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)[0]


def run_reference(operator, x, v):
    from onnx.reference import ReferenceEvaluator

    model, feeds = onnx_model(operator, x, v)
    return ReferenceEvaluator(model).run(None, feeds)[0]


CALLS = dict(pytorch=pytorch, jax=jax, tf=tf, mxnet=mxnet, tools=tools)


def calls(framework):
    return CALLS[framework]()
