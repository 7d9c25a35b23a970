"""PyTorch: each layer traced and exported, and trained by a usual loop.

torch.jit.trace, torch.jit.script: deprecated since torch 2.13
torch.export: with any batch
"""

import warnings

import pytest
import torch

import pytorch_impl
from pytorch_impl.transformer import position
from shared_tests.layers.setups import HEADS, NAMES, SETUPS, drawn

ENVIRONMENTS = ("pytorch",)

TILED = HEADS | dict(attention=pytorch_impl.attention_tiled)
EVERY = [*SETUPS, ("MultiHeadAttention", TILED, (4, 5, 12))]
EVERY_SETUP = pytest.mark.parametrize(
    "layer, config, shape", EVERY, ids=[*NAMES, "attention_tiled"]
)
pytestmark = pytest.mark.filterwarnings("ignore")


def draw(*shape, seed=0):
    return torch.from_numpy(drawn(shape, seed=seed))


def started(layer, config, shape):
    """Quantizers have seen x, and no longer move."""
    torch.manual_seed(0)
    made, x = getattr(pytorch_impl, layer)(**config), draw(*shape)
    if hasattr(made, "start"):
        made.start(x)
    pytorch_impl.set_mode(made, "observe")(x)
    return pytorch_impl.set_mode(made, "frozen").eval(), x


@EVERY_SETUP
def test_traced(layer, config, shape):
    """Bit for bit, also where the profiling executor has fused, and
    with another batch."""
    made, x = started(layer, config, shape)
    traced = torch.jit.trace(made, (x,))
    other = draw(7, *shape[1:], seed=1)
    for given in (x, x, x, other):
        assert torch.equal(traced(given), made(given))


def test_sizes_while_tracing_are_arrays():
    """torch 2.13.0: x.shape[1] is one of int64 then, and so what is
    computed from it has float32; the page makes Python's integers of
    sizes, else a traced TransformerClassifier is another one."""
    sizes = []

    def look(x):
        sizes.append(x.shape[1])
        return x

    torch.jit.trace(look, (torch.ones(4, 12),), check_trace=False)
    (width,) = sizes
    assert isinstance(width, torch.Tensor)
    assert position(6, int(width)) == position(6, 12)
    assert position(6, width) != position(6, 12)


def test_a_trace_has_its_number_of_tokens():
    made, x = started(*SETUPS[-1])
    traced = torch.jit.trace(made, (x,))
    with pytest.raises(RuntimeError, match="must match the size"):
        traced(draw(4, 9, 5))


@EVERY_SETUP
def test_no_layer_can_be_scripted(layer, config, shape):
    """TorchScript takes no **sizes, as check_input does, and no !r in a
    message; of layers with two Linear it says something else."""
    made, _ = started(layer, config, shape)
    words = "variable number of arguments|JoinedStr|redefine method"
    words += "|keyword-arg expansion"
    with pytest.raises(Exception, match=words):
        torch.jit.script(made)


@pytest.mark.filterwarnings("default")
def test_both_are_deprecated():
    made, x = started(*SETUPS[0])
    for make in (lambda: torch.jit.trace(made, (x,)), scripted):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            make()
        texts = [str(w.message) for w in seen]
        assert any("is deprecated" in text for text in texts)


def scripted():
    torch.jit.script(torch.nn.ReLU())


@EVERY_SETUP
def test_exported_with_any_batch(layer, config, shape):
    made, x = started(layer, config, shape)
    batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(made, (x,), dynamic_shapes=batch)
    for given in (x, draw(7, *shape[1:], seed=1)):
        assert torch.equal(program.module()(given), made(given))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("learns", [True, False])
def test_attention_tiled_compiled_whole(backend, learns):
    q, k, v = (draw(1, 2, 300, 8, seed=i) for i in range(3))
    for a in (q, k, v):
        a.requires_grad_(learns)
    torch.compiler.reset()
    fast = torch.compile(
        pytorch_impl.attention_tiled, fullgraph=True, backend=backend
    )
    y = fast(q, k, v)
    assert y.shape == (1, 2, 300, 8) and y.requires_grad == learns
    if backend == "aot_eager":
        assert torch.equal(y, pytorch_impl.attention_tiled(q, k, v))


@pytest.mark.parametrize(
    "layer, config, shape",
    [s for s in SETUPS if s[0] in ("MLP", "QATLinear", SETUPS[-1][0])],
)
def test_a_usual_loop(layer, config, shape):
    """DataLoader, optimizer, scheduler, train and eval: the loss of what
    it has not seen falls, and eval changes nothing."""
    torch.manual_seed(0)
    made, x = (
        getattr(pytorch_impl, layer)(**config),
        draw(64, *shape[1:]),
    )
    pytorch_impl.set_mode(made, "observe")(x)
    pytorch_impl.set_mode(made, "quantize")
    classes = made(x).shape[-1]
    target = (x.flatten(1)[:, :classes]).argmax(1)
    data = torch.utils.data.TensorDataset(x, target)
    train, rest = torch.utils.data.random_split(data, [48, 16])
    loader = torch.utils.data.DataLoader(train, 8, shuffle=True)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
    loss = torch.nn.CrossEntropyLoss()

    def test():
        made.eval()
        pytorch_impl.set_mode(made, "frozen")
        with torch.no_grad():
            every = [(made(a[None]), b[None]) for a, b in rest]
            return float(sum(loss(*pair) for pair in every))

    before = test()
    for _ in range(20):
        made.train()
        pytorch_impl.set_mode(made, "quantize")
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss(made(inputs), labels).backward()
            optimizer.step()
        schedule.step()
    after = test()
    assert after < before and test() == after
