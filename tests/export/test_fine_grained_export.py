"""The fine-grained retrieval network leaves torch: `sketchfast index` and `query` on a run answer as the network does."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import sketchfast
from sketchfast.data import synthetic
from sketchfast.models import (
    FineGrainedConfig,
    FineGrainedNet,
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    fine_grained,
)
from sketchfast.models.backbones import Backbone
from sketchfast.retrieval.answers import distance_of
from sketchfast.runtime.sketches import read_sketch
from sketchfast.training import save_model
from tests.cli.command import call_command

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

PHOTOS = 9


def tiny_backbone(_: object) -> tuple[Backbone, None]:
    """In place of a ResNet, whose tracing takes seconds."""
    trunk = nn.Sequential(nn.Conv2d(3, 24, 5, 4), nn.ReLU())
    return Backbone(trunk, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 24, 24), None


@pytest.fixture
def world(tmp_path: Path, seed: int) -> Path:
    (tmp_path / "photos").mkdir()
    for i in range(PHOTOS):
        photo = synthetic.instance("chair", index=i, seed=seed).photo(size=48)
        Image.fromarray(photo).save(tmp_path / "photos" / f"{i}.png")
    Image.fromarray(synthetic.instance("chair", index=4, seed=seed).sketch(0, size=80)).save(
        tmp_path / "sketch.png"
    )
    torch.manual_seed(seed)
    return tmp_path


def features(model: FineGrainedNet, world: Path) -> tuple[np.ndarray, np.ndarray]:
    """float64 of the sketch [d] and of the photos in the order of their names [PHOTOS, d]."""
    net = copy.deepcopy(model).double()
    pages = [net.preprocess(read_sketch(world / "sketch.png").image, sketch=True)]
    photos = sorted((world / "photos").iterdir())
    pages += [net.preprocess(np.asarray(Image.open(path)), sketch=False) for path in photos]
    with torch.no_grad():
        found = net(torch.from_numpy(np.stack(pages)).double()).numpy()
    return found[0], found[1:]


def test_index_and_query_of_a_run(world: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(world)
    monkeypatch.setattr(fine_grained, "build_backbone", tiny_backbone)
    model = FineGrainedNet(FineGrainedConfig("resnet10", "none", size=48, scaled_attention=True), ["chair"])
    nn.init.normal_(model.attend.weight, std=2.0)  # differs from position to position, as after training
    save_model(world / "run" / "model", model)
    assert call_command("index", monkeypatch, "run", "photos", "--out", "idx") == 0
    assert f"indexed {PHOTOS} photos" in capsys.readouterr().out
    assert call_command("query", monkeypatch, "idx", "sketch.png", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["unit"] == "cosine similarity"
    query, photos = features(model, world)
    cosine = {f"{i}.png": float(query @ photo) for i, photo in enumerate(photos)}
    found = {Path(hit["path"]).name: hit["score"] for hit in answer["hits"]}
    assert found == pytest.approx(cosine, abs=1e-4) and len(found) == PHOTOS
    # Features of unit length: nearest by cosine is nearest by the distance that was trained.
    distances = [np.linalg.norm(query - photos[int(name[0])]) for name in found]
    assert (np.diff(distances) > -1e-3).all()


def test_features_of_any_length_are_ranked_by_distance() -> None:
    small = {"backbone": "resnet10", "weights": "none", "stem": "small", "width": 0.125, "size": 32}
    assert distance_of(FineGrainedNet(FineGrainedConfig(**small))) == "cosine"
    assert distance_of(FineGrainedNet(FineGrainedConfig(**small, unit_features=False))) == "euclidean"


def test_a_run_that_holds_no_retrieval_network(tmp_path: Path) -> None:
    save_model(tmp_path / "run" / "model", PatchDiscriminator(PatchDiscriminatorConfig(width=2, size=32)))
    with pytest.raises(TypeError, match="PatchDiscriminator has no encode_sketch, encode_photo"):
        sketchfast.export(tmp_path / "run", "onnx", tmp_path / "out")
