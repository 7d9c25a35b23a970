"""A sample of the matrix of exports, with what PyTorch's environment has.

The whole of it is `make export`.
"""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import pytorch_impl
from pytorch_impl import adapter, export
from pytorch_impl.quantization.quantizers import make_quantizer
from shared_tests.exports import author
from shared_tests.exports.artefacts import Artefact
from shared_tests.files import ROOT

ENVIRONMENTS = ("pytorch",)

pytestmark = pytest.mark.filterwarnings("ignore")
SAMPLE = {
    "onnx": "MLP-basic HalfSpectrum-odd_length attention-masked"
    " QATLinear-4_bits Int8Linear-4_bits",
    "torch_export": "StandardizedConv2d-basic quantize-tie"
    " attention-fully_masked_row QATLinear-lsq",
    "torchscript": "MLP-basic",
}
ENGINE = {
    "onnx": "onnxruntime",
    "torch_export": "torch_export",
    "torchscript": "torchscript",
}


def written(name, layer, case, folder):
    artefact = Artefact(layer, case, "float32")
    path = f"{artefact.name}.{author.SUFFIX[name]}"
    make = export.FORMATS[name]
    given = "pytorch", adapter, make, artefact, folder / path
    row = {"format": name, "path": path, **artefact._asdict()}
    return row | dict(
        zip(("dynamic", "fixed", "inputs"), author.write(*given))
    )


@pytest.mark.parametrize("name", SAMPLE)
def test_run_in_a_process_without_our_pages(tmp_path, name):
    """With other sizes than those of the example."""
    sample = [tuple(one.split("-")) for one in SAMPLE[name].split()]
    jobs = [written(name, *one, tmp_path) for one in sample]
    assert not [job for job in jobs if job["fixed"]]
    path = tmp_path / "jobs"
    path.write_text("\n".join(map(json.dumps, jobs)))
    module = "shared_tests.exports.engine"
    command = [
        sys.executable,
        "-m",
        module,
        ENGINE[name],
        tmp_path,
        path,
    ]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) >= len(jobs)
    assert not [row for row in rows if row["verdict"] != "pass"]
    assert {(r["layer"], r["case"]) for r in rows} == set(sample)


class Every(nn.Module):
    def __init__(self, *quantizers):
        super().__init__()
        self.quantizers = nn.ModuleList(quantizers)

    def forward(self, x):
        return torch.stack(
            [quantizer(x) for quantizer in self.quantizers]
        )


def test_quantizers_in_onnx_have_the_same_codes(tmp_path):
    """Bit for bit, at half steps, beyond the range and at NaN too, so
    every code is the same; one file of all kinds."""
    torch.manual_seed(0)
    x = torch.randn(64, 6)
    kinds = [
        make_quantizer("absmax", 8),
        make_quantizer("absmax", 4, True, 1, (64, 6)),
        make_quantizer("moving_average", 8, signed=False),
        make_quantizer("min_max", 3),
        make_quantizer("moving_average", 16),
        make_quantizer("lsq", 4, True, 1, (64, 6)),
        pytorch_impl.PACT(bits=2),
        pytorch_impl.PACT(bits=8),
        pytorch_impl.LSQPlus(bits=4, axis=1, num_channels=6),
        pytorch_impl.LSQPlus(bits=8, signed=False),
    ]
    for one in kinds:
        one.start(x)
    model = Every(*kinds)
    scale = kinds[0].qparams()[0]
    halves = (torch.arange(-130, 132) + 0.5) * scale
    sides = [torch.nextafter(halves, halves + s) for s in (-1, 0, 1)]
    hard = torch.cat(
        [*sides, torch.tensor([torch.nan, torch.inf, -torch.inf])]
    )
    hard = torch.cat([hard, torch.zeros(-len(hard) % 6)]).reshape(-1, 6)
    given = torch.cat([x, hard])
    path = tmp_path / "model.onnx"
    export.to_onnx(model, {"x": x}, path)
    session = onnxruntime.InferenceSession(path)
    (y,) = session.run(["y"], {"x": given.numpy()})
    want = model(given).detach().numpy()
    for i, kind in enumerate(kinds):
        same = np.array_equal(y[i], want[i], equal_nan=True)
        assert same, f"{i} {type(kind).__name__}"


@pytest.mark.parametrize("name", ["torchscript", "torch_export"])
def test_what_cannot_be_written_leaves_no_file(tmp_path, name):
    """TorchScript saves no gradient written by hand; torch.export keeps
    the number of blocks that a loop of Python goes through."""
    q = torch.ones(2, 3, 5, 4)
    inputs = dict(q=q, k=q, v=q)
    dynamic = {n: {2: "N"} for n in inputs}
    make = export.FORMATS[name]
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(NotImplementedError, match=r"^torch 2\.13"):
        make(pytorch_impl.attention_tiled, inputs, path, dynamic)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_export_freezes_a_copy(tmp_path):
    layer = pytorch_impl.QATLinear(7, 3)
    x = torch.randn(5, 7)
    layer(x)
    before = {n: a.clone() for n, a in layer.state_dict().items()}
    export.to_torch_export(layer, {"x": 9 * x}, tmp_path / "layer.pt2")
    assert layer.training and layer.mode == "quantize"
    after = layer.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before)
