"""What the matrix of exports is held against: what is known to fail.

A row of KNOWN says which rows of the matrix do not pass, and why. All of
them have to be there, and to say so in these words: one that passes
after all ends the run with an error, as one does that fails and is not
named here. So a limit of an exporter or an engine is noticed when it is
gone. A cell is green only where something ran and passed.
"""

from fnmatch import fnmatchcase
from math import inf
from typing import NamedTuple

# verdicts of a row: what came, and after KNOWN what it means
PASS, FAIL, REFUSED = "pass", "fail", "refused"
FAILS, NOT_OFFERED = "fails", "not offered"


class Known(NamedTuple):
    """The fields but the last four are patterns such as *Linear."""

    framework: str
    format: str
    engine: str
    layer: str
    precision: str
    state: str  # FAILS or NOT_OFFERED
    words: str  # of which, "a | b", the row has one in its detail
    reason: str  # whose limit, with the version
    case: str = "*"
    # may pass where no number needs what is missing
    lucky: bool = False
    most: float = inf  # ratio; what is further off fails otherwise


ANY = "*"
INFERENCE = (
    "Exception from src/inference/src/cpp/"  # OpenVINO says no more
)
MIXED = (
    "bound to different types | expected bfloat16 | Numpy_type 256"
    " | No Op registered"
)
LITE = (
    "neither a custom op nor a flex op | Invalid data-type for array"
    " | Unsupported TensorFlow type | Could not translate MLIR"
    " | for -: 'NoneType'"
)
# budgets of float64 in one of float32: 2^-24 / 2^-53
FLOAT32 = 2.0**29
OPENVINO = "OpenVINO 2026.4.1 computes float64 in float32 on the CPU"
FUSED = (
    "OpenVINO 2026.4.1 makes one operator of a pair of a quantizer, which"
    " rounds otherwise; the codes are the same"
)
RULE = (
    "torch 2.13.0 saves no traced autograd.Function, whose gradient is"
    " written by hand"
)
TOKENS = "a trace of torch 2.13.0 keeps its number of tokens"
EINSUM = "ONNX's Einsum and, before opset 22, Conv have no bfloat16"
NO_BFLOAT16 = "MXNet 1.9.1 has no bfloat16 in Python"
RULED = (
    "WeightedSum ManualLinear attention_tiled fake_quantize PACT LSQ"
    " LSQPlus pact lsq QATLinear QATMultiHeadAttention"
)
GEMM = "Linear LinearReLU MLP TiedMLP ManualLinear TextClassifier"
PRODUCTS = f"{GEMM} TensorReduction WeightedSum MultiHeadAttention"
BFLOAT16 = f"{GEMM} ScaledReLU TensorReduction WeightedSum" + (
    " MultiHeadAttention StandardizedConv2d"
)
KNOWN = [
    # engines; of two rows the first counts
    Known(
        "tf",
        "onnx",
        ANY,
        "attention_tiled",
        ANY,
        FAILS,
        f"No Op registered for PartitionedCall | {INFERENCE}",
        "tf2onnx 1.17.0 leaves the call of a function in its loop, which"
        " is no operator of ONNX",
    ),
    Known(
        "jax",
        "onnx",
        ANY,
        "EmbeddingBag TextClassifier",
        "float64",
        FAILS,
        f"bound to different types | same dtypes | {INFERENCE}",
        "jax2onnx 0.17.1 mixes float32 and float64 in one operator",
    ),
    Known(
        "tf",
        "onnx",
        "openvino",
        "WeightedSum",
        "float64 float32 float16",
        FAILS,
        "allowed error",
        "OpenVINO 2026.4.1 gives memory that nobody wrote, other numbers"
        " in each run, for what tf2onnx 1.17.0 writes",
    ),
    Known(
        "jax",
        "onnx",
        ANY,
        "attention_tiled",
        ANY,
        NOT_OFFERED,
        "comparison 'M'",
        "jax 0.10.2 compares no number of keys that may have any size",
    ),
    Known(
        "jax",
        "onnx",
        "openvino",
        "TransformerClassifier",
        "float64",
        FAILS,
        "allowed",
        "OpenVINO 2026.4.1 computes other numbers",
    ),
    Known(
        ANY,
        "onnx",
        "openvino",
        ANY,
        "float64",
        NOT_OFFERED,
        "allowed",
        OPENVINO,
        lucky=True,
        most=FLOAT32,
    ),
    Known(
        ANY,
        "onnx",
        "onnxruntime",
        "*tandardized*",
        "float64",
        NOT_OFFERED,
        "implementation for Conv(",
        "onnxruntime 1.31.1 has no Conv of float64 on the CPU",
    ),
    # PyTorch
    Known(
        "pytorch",
        "torchscript",
        ANY,
        RULED,
        ANY,
        FAILS,
        "Could not export Python function call",
        RULE,
    ),
    Known(
        "pytorch",
        "torchscript",
        ANY,
        "TransformerClassifier",
        ANY,
        FAILS,
        "failed in the TorchScript interpreter",
        TOKENS,
    ),
    Known(
        "pytorch",
        "onnx",
        "onnxruntime",
        f"{PRODUCTS} StandardizedConv2d",
        "bfloat16",
        NOT_OFFERED,
        "Type 'tensor(bfloat16)'",
        EINSUM,
    ),
    Known(
        "pytorch",
        "onnx",
        "onnxruntime",
        "ScaledReLU",
        "bfloat16",
        NOT_OFFERED,
        "implementation for Expand(13)",
        "onnxruntime 1.31.1 has no Expand of bfloat16",
    ),
    Known(
        "pytorch",
        "onnx",
        "onnxruntime",
        "RMSNorm",
        "float64",
        FAILS,
        "allowed error",
        "torch 2.13.0 writes eps, a Python number, as float32",
        lucky=True,
    ),
    Known(
        "pytorch",
        "onnx",
        ANY,
        "WeightedSum",
        "float16",
        FAILS,
        "dtype float32",
        "torch 2.13.0 leaves its sum of float16 in float32",
    ),
    Known(
        "pytorch",
        "onnx",
        "openvino",
        "WeightedSum",
        "bfloat16",
        FAILS,
        "dtype float32",
        "torch 2.13.0 leaves its sum of bfloat16 in float32",
    ),
    Known(
        "pytorch",
        "onnx",
        "onnxruntime",
        "QATLinear",
        "float64",
        FAILS,
        "allowed error",
        "torch 2.13.0 writes the number of codes, of Python, as float32",
    ),
    Known(
        "pytorch",
        "onnx",
        "openvino",
        "LSQ",
        "float32",
        FAILS,
        "allowed error",
        FUSED,
        case="channels",
    ),
    Known(
        "pytorch",
        "onnx",
        "openvino",
        "LSQPlus",
        "float32",
        FAILS,
        "allowed error",
        FUSED,
        lucky=True,
    ),
    # JAX
    Known(
        "jax",
        "onnx",
        ANY,
        GEMM,
        "float16",
        FAILS,
        f"bound to different types | {INFERENCE}",
        "jax2onnx 0.17.1 gives Gemm float16 and float32 at once",
    ),
    Known(
        "jax",
        "onnx",
        "onnxruntime",
        BFLOAT16,
        "bfloat16",
        NOT_OFFERED,
        "an implementation for | is invalid",
        "onnxruntime 1.31.1 has no operators of"
        " bfloat16, and ONNX's Einsum has none",
    ),
    Known(
        "jax",
        "onnx",
        ANY,
        "Int8Linear",
        ANY,
        FAILS,
        f"bound to different types | {INFERENCE}",
        "jax2onnx 0.17.1 gives Gemm int8, which ONNX does not have",
    ),
    # TensorFlow
    Known(
        "tf",
        "onnx",
        ANY,
        "pact",
        "float32",
        FAILS,
        "got nan",
        "tf2onnx 1.17.0 writes a choice c of one number as c x + (1 - c) y,"
        " and here y is NaN",
    ),
    Known(
        "tf",
        "onnx",
        ANY,
        ANY,
        "bfloat16",
        FAILS,
        f"{MIXED} | {INFERENCE}",
        "tf2onnx 1.17.0 gives some of the numbers in bfloat16 another type",
    ),
    Known(
        "tf",
        "litert",
        ANY,
        ANY,
        "float64 bfloat16",
        NOT_OFFERED,
        LITE,
        "the operators of LiteRT (tensorflow 2.21.0) have no float64, and"
        " its interpreter (ai-edge-litert) gives no bfloat16 to NumPy",
    ),
    Known(
        "tf",
        "litert",
        ANY,
        f"{PRODUCTS} ScaledReLU",
        "float16",
        NOT_OFFERED,
        "neither a custom op nor a flex op",
        "LiteRT (tensorflow 2.21.0) has no MatMul and no LessEqual of"
        " float16",
    ),
    Known(
        "tf",
        "litert",
        ANY,
        "QATLinear QATMultiHeadAttention",
        "float32",
        NOT_OFFERED,
        "'tf.MatMul' op is neither a custom op nor a flex op",
        "the page adds up its codes in float64, of which LiteRT"
        " (tensorflow 2.21.0) has no MatMul",
    ),
    Known(
        "tf",
        "litert",
        ANY,
        "Int8Linear",
        "float32",
        NOT_OFFERED,
        "'tfl.fully_connected' op operand #0 must be",
        "LiteRT (tensorflow 2.21.0) has no product of int8 without a scale",
    ),
    # MXNet
    Known(
        "mxnet",
        ANY,
        ANY,
        ANY,
        "bfloat16",
        NOT_OFFERED,
        NO_BFLOAT16,
        NO_BFLOAT16,
    ),
    Known(
        "mxnet",
        "symbol",
        ANY,
        "EmbeddingBag TextClassifier",
        ANY,
        NOT_OFFERED,
        "has the size of the axis",
        "what MXNet 1.9.1 records has the number of bags",
    ),
    Known(
        "mxnet",
        "symbol",
        ANY,
        "attention_tiled",
        ANY,
        NOT_OFFERED,
        "has the size of the axis",
        "what MXNet 1.9.1 records has the number of blocks of keys",
        case="grouped_causal",
    ),
]
FIELDS = ("framework", "format", "engine", "layer", "precision", "case")


def covers(known, row):
    return all(
        any(fnmatchcase(row[f], p) for p in getattr(known, f).split())
        for f in FIELDS
    )


def judged(rows, table=None):
    """(rows with "state" and "reason", what is wrong in words, the rows
    of the table that nothing needed).

    state: pass, fail, fails or not offered, the last two as KNOWN says
    """
    table = KNOWN if table is None else table
    found, wrong, used = [], [], dict.fromkeys(range(len(table)), 0)
    for row in rows:
        match = next(
            (i for i, k in enumerate(table) if covers(k, row)), None
        )
        known = None if match is None else table[match]
        state, reason = row["verdict"], row["detail"]
        if known and state != PASS:
            near = (row["ratio"] or 0) <= known.most
            said = any(
                w in row["detail"] for w in known.words.split(" | ")
            )
            if said and near:
                used[match] += 1
                state, reason = known.state, known.reason
            else:
                wrong.append(f"{name(row)} fails otherwise: {reason}")
        elif known and not known.lucky:
            wrong.append(
                f"{name(row)} works now, and is known not to: take it"
                f" out of KNOWN ({known.reason})"
            )
        elif state != PASS:
            wrong.append(f"{name(row)} fails: {reason}")
        state = FAIL if state == REFUSED else state
        found.append(row | {"state": state, "reason": reason})
    return found, wrong, [table[i] for i, n in used.items() if not n]


def name(row):
    """A row in a few words."""
    return (
        "{framework} {format} by {engine}, {layer}-{case} in {precision}"
        " ({size})".format(**row)
    )


def cell(rows):
    """(state, worst ratio, what is known beside it) of some rows.

    fail before all, then pass, where one did; none where there is none
    """
    states = {row["state"] for row in rows}
    ratios = [r["ratio"] for r in rows if r["state"] == PASS]
    beside = sorted(
        {
            r["reason"]
            for r in rows
            if r["state"] in (FAILS, NOT_OFFERED)
        }
    )
    for state in (FAIL, PASS, FAILS, NOT_OFFERED):
        if state in states:
            peak = max(ratios, default=None) if state == PASS else None
            return state, peak, beside
    return "none", None, []
