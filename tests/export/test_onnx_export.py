"""Export of retrieval encoders: what comes out equals the model, and what is damaged is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import sketchfast
from sketchfast.export import onnx as onnx_export
from sketchfast.export.parity import ExportParityError
from sketchfast.runtime.manifest import ManifestError
from sketchfast.runtime.preprocess import Preprocess

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


class TinyRetrievalModel(nn.Module):
    """The smallest thing with the interface that export asks for."""

    def __init__(self, bits: int = 0) -> None:
        super().__init__()
        self.preprocess, self.class_names = Preprocess(size=24), ["cat", "ice cream"]
        self.sketch = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.photo = nn.Sequential(
            nn.Conv2d(3, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.itq_projection = torch.randn(32, bits) if bits else None

    def encode_sketch(self, x: torch.Tensor) -> torch.Tensor:
        return self.sketch(x)

    def encode_photo(self, x: torch.Tensor) -> torch.Tensor:
        return self.photo(x)

    def code_values(self, embedding: torch.Tensor) -> torch.Tensor:
        return (embedding - 0.1) @ self.itq_projection


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """One export with codes, shared by the tests that only read it."""
    torch.manual_seed(11)
    model = TinyRetrievalModel(bits=16).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folder = tmp_path_factory.mktemp("export") / "model"
    result = sketchfast.export(model, "onnx", folder, dims={"batch": (1, 3, 6)})
    assert model.training, "export must leave the model in the mode it was in"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    return model, result


def test_embedding_and_code_equal_the_model_at_every_batch(exported, seed):
    model, result = exported
    assert result.parity is not None and result.parity.passed
    assert {case.batch for case in result.parity.cases} >= {1, 3, 6}
    encoders = result.load()
    model.eval()
    for batch in (1, 2, 5, 6, 13):  # 13: more than the largest verified batch, run in chunks
        images = np.random.default_rng(seed).standard_normal((batch, 3, 24, 24)).astype(np.float32)
        with torch.no_grad():
            sketch, photo = (
                model.encode_sketch(torch.from_numpy(images)),
                model.encode_photo(torch.from_numpy(images)),
            )
            values = model.code_values(sketch).double().numpy()
        assert np.abs(encoders.encode_sketch(images) - sketch.numpy()).max() <= 1e-5
        assert np.abs(encoders.encode_photo(images) - photo.numpy()).max() <= 1e-5
        bits = np.unpackbits(encoders.encode_sketch(images, "code"), axis=1, bitorder="little").astype(bool)
        clear = np.abs(values) > 1e-4
        assert clear.mean() > 0.9
        assert (bits == (values > 0))[clear].all()


def test_files_go_through_the_preprocessing_of_training(exported, tmp_path):
    from PIL import Image

    model, result = exported
    picture = np.full((60, 90, 3), 255, np.uint8)
    picture[20:40, 30:33] = 0
    Image.fromarray(picture).save(tmp_path / "sketch.png")
    want = model.eval().encode_sketch(torch.from_numpy(model.preprocess(picture)[None])).detach().numpy()
    got = result.load().encode_files([tmp_path / "sketch.png"], "sketch")
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert result.load().encode_files([], "photo", output="code").shape == (0, 2)


def test_a_process_that_runs_an_export_imports_no_torch(exported):
    _, result = exported
    program = (
        "import sys, numpy, sketchfast; e = sketchfast.load(sys.argv[1]);"
        "print(e.encode_sketch(numpy.zeros((2, 3, 24, 24), 'float32')).shape, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(result.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "(2, 32) False"


def test_the_manifest_tells_what_a_user_of_the_files_must_know(exported):
    _, result = exported
    manifest = json.loads((result.path / "manifest.json").read_text())
    assert manifest["verified"] is True
    assert (manifest["dim"], manifest["bits"], manifest["opset"]) == (32, 16, 20)
    assert set(manifest["files"]) >= {
        "sketch_encoder.onnx",
        "photo_encoder.onnx",
        "golden.npz",
        "parity.json",
    }
    assert result.load().class_names == ["cat", "ice cream"]
    assert not [entry for entry in manifest["versions"].values() if "/" in entry]


@pytest.mark.parametrize("name", ["sketch_encoder.onnx", "preprocess.json", "labels.json", "manifest.json"])
def test_an_edited_or_truncated_file_is_named(exported, tmp_path, name):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(exported[1].path, folder)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ManifestError, match=name):
        sketchfast.load(folder)
    (folder / name).unlink()
    with pytest.raises((ManifestError, FileNotFoundError), match=name):
        sketchfast.load(folder)


def test_a_graph_that_computes_something_else_is_rejected_and_kept_aside(tmp_path, monkeypatch):
    model = TinyRetrievalModel()
    honest = onnx_export.EncoderGraph.forward
    monkeypatch.setattr(
        onnx_export.EncoderGraph,
        "forward",
        lambda self, image: tuple(value + 1e-3 for value in honest(self, image)),
    )
    with pytest.raises(ExportParityError, match="rejected"):
        sketchfast.export(model, "onnx", tmp_path / "out", dims={"batch": (1, 2, 3)})
    assert not (tmp_path / "out").exists()
    parity = json.loads((tmp_path / "out.rejected" / "parity.json").read_text())
    assert not parity["passed"]


def test_failure_leaves_an_earlier_export_as_it_was(exported, tmp_path, monkeypatch):
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(exported[1].path, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_export.np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space left"):
        sketchfast.export(TinyRetrievalModel(), "onnx", folder, dims={"batch": (1, 2, 2)}, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"format": "trt"}, NotImplementedError, "onnx.*works now"),
        ({"format": "tflite"}, ValueError, "format"),
        ({"precision": "int8"}, NotImplementedError, "precision.*fp32"),
        ({"precision": "fp8"}, ValueError, "precision"),
        ({"opset": 9}, ValueError, "opset"),
        ({"dims": {"batch": (4, 2, 8)}}, ValueError, "dims"),
        ({"dims": {"height": (1, 2, 8)}}, ValueError, "dims"),
        ({"outputs": ("code",)}, ValueError, "outputs"),
        ({"outputs": ("embedding", "code")}, ValueError, "ITQ"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words, tmp_path):
    with pytest.raises(error, match=words):
        sketchfast.export(TinyRetrievalModel(), **{"output": tmp_path / "x", **arguments})
    assert not list(tmp_path.iterdir())


def test_other_models_and_existing_folders_are_refused(tmp_path):
    with pytest.raises(TypeError, match="encode_sketch"):
        sketchfast.export(nn.Linear(2, 2), "onnx", tmp_path / "x")
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="there"):
        sketchfast.export(TinyRetrievalModel(), "onnx", tmp_path / "there")
    (tmp_path / "there" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not an export"):
        sketchfast.export(TinyRetrievalModel(), "onnx", tmp_path / "there", overwrite=True)
    assert (tmp_path / "there" / "thesis.txt").exists()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        sketchfast.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="batch"):
        sketchfast.export(
            TinyRetrievalModel(), "onnx", tmp_path / "y", dims={"batch": (1, 1, 1)}
        ).load().encode_sketch(np.zeros((1, 3, 25, 25), np.float32))


@pytest.mark.parametrize("damage", [{"dim": None}, {"dims": None}, {"files": 3}, {"encoders": {}}])
def test_a_manifest_of_another_shape_is_named(exported, tmp_path, damage):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(exported[1].path, folder)
    manifest = json.loads((folder / "manifest.json").read_text()) | damage
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=next(iter(damage))):
        sketchfast.load(folder)
