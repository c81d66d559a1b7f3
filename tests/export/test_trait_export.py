"""A network that weighs the dimensions for each query leaves torch: weights, gallery and answers are the network's own."""

import copy
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import sketchfast
from sketchfast.data import synthetic
from sketchfast.export.encoder_graph import encoders_of
from sketchfast.models import VTD, TraitConfig, TraitNetwork, TraitSearch, VTDConfig, WordDescriber
from sketchfast.models.backbones import Backbone
from sketchfast.retrieval.answers import distance_of
from sketchfast.retrieval.index import GalleryIndex, build_index
from sketchfast.retrieval.result_picture import write_result_picture
from sketchfast.runtime.manifest import ManifestError
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.runtime.sketches import read_sketch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

K, M, SAMPLES, PHOTOS = 6, 8, 4, 17
SMALL = {
    "backbone": "resnet18",
    "weights": "none",
    "stem": "small",
    "width": 0.125,
    "descriptor_dim": M,
    "samples": SAMPLES,
}


def drawing(number: int, seed: int = 3, size: int = 96) -> np.ndarray:
    """uint8 [size, size, 3], a sketch of the synthetic world."""
    categories = synthetic.CATEGORIES
    return synthetic.instance(categories[number % len(categories)], index=number, seed=seed).sketch(
        0, size=size
    )


def spread_traits(traits: TraitNetwork) -> None:
    """As after training, sketches differ in their descriptors. 1 and 4 tie: equal logits, whatever the arithmetic's rounding."""
    pages = torch.from_numpy(np.stack([traits.preprocess(drawing(i), sketch=True) for i in range(40)]))
    with torch.no_grad():
        traits.train()(pages)
        traits.eval()
        spread = traits.encoder(pages) @ traits.logits.weight.T
        traits.logits.weight /= spread.std(dim=0, keepdim=True).T
        traits.logits.bias.copy_(-(spread / spread.std(dim=0)).mean(dim=0))
        others = [i for i in range(K) if i not in (1, 4)]
        best = (traits.encoder(pages) @ traits.logits.weight.T + traits.logits.bias)[:, others].amax(dim=1)
        traits.logits.weight[[1, 4]] = 0
        traits.logits.bias[[1, 4]] = best.median()


def tiny_backbone(num_features: int) -> Backbone:
    """In place of a ResNet, whose tracing takes seconds."""
    channels = num_features // 4
    trunk = nn.Sequential(nn.Conv2d(3, channels, 5, 2), nn.ReLU())
    return Backbone(trunk, nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), channels, num_features)


@pytest.fixture(scope="module")
def model() -> VTD:
    torch.manual_seed(5)
    traits = TraitNetwork(TraitConfig(descriptors=K, dim=M, channels=(8,) * 5))
    spread_traits(traits)
    # Features of any length, whose distances a re-normalised gallery would not give.
    model = VTD(VTDConfig(**SMALL, unit_features=False), ["cat"], Preprocess(size=24), traits)
    model.backbone = tiny_backbone(model.backbone.num_features)
    return model.eval()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return sketchfast.export(
        model, "onnx", tmp_path_factory.mktemp("export") / "vtd", dims={"batch": (1, 3, 6)}, opset=18
    )


@pytest.fixture
def world(tmp_path, seed):
    """A folder of photos and one with a few sketches, other ones in each run."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "sketches").mkdir()
    for i in range(PHOTOS):
        category = synthetic.CATEGORIES[i % len(synthetic.CATEGORIES)]
        photo = synthetic.instance(category, index=i, seed=seed).photo(size=40)
        Image.fromarray(photo).save(tmp_path / "photos" / f"{i:02}.png")
    for i in range(4):
        Image.fromarray(drawing(i * 5, seed)).save(tmp_path / "sketches" / f"{i}.png")
    return tmp_path


def brute_force(model: VTD, sketch, paths) -> np.ndarray:
    """Distances by the definition, one photo and one sample after another, in float64: [N]."""
    net = copy.deepcopy(model).double()
    drawn = read_sketch(sketch).image

    def prepared(preprocess, image, is_sketch):
        return torch.from_numpy(preprocess(image, sketch=is_sketch)[None]).double()

    with torch.no_grad():
        weights = net.trait_weights(prepared(net.describer.preprocess, drawn, True))[0].numpy()
        query = net.features(prepared(net.preprocess, drawn, True))[0].numpy()
        photos = [
            net.features(prepared(net.preprocess, np.asarray(Image.open(path)), False))[0].numpy()
            for path in paths
        ]
    return np.array([min((((w * (query - photo)) ** 2).sum()) for w in weights) for photo in photos])


def assert_is_brute_force(model, sketch, answer) -> None:
    distances = brute_force(model, sketch, [hit.path for hit in answer.hits])
    np.testing.assert_allclose([hit.score for hit in answer.hits], distances, rtol=1e-4)
    assert (np.diff([hit.score for hit in answer.hits]) >= 0).all()
    assert len({hit.path for hit in answer.hits}) == len(answer.hits)
    assert answer.unit.name == "weighted squared distance"


def test_weights_are_the_networks_and_the_first_of_equal_descriptors_counts(model, exported, seed):
    encoders = exported.load()
    assert (encoders.distance, encoders.samples) == ("weighted", SAMPLES)
    pages = np.stack([model.describer.preprocess(drawing(i, seed), sketch=True) for i in range(13)])
    net = copy.deepcopy(model).double()
    with torch.no_grad():
        logits = net.describer.logits(net.describer.encoder(torch.from_numpy(pages).double())).numpy()
        table = net.weights(net.describer.dictionary).numpy()
    # 1 and 4 are equal, and 1 comes first; a descriptor that wins by a rounding error may differ
    others = np.sort(np.delete(logits, 4, axis=1), axis=1)
    clear = others[:, -1] - others[:, -2] > 1e-4
    best = logits.argmax(axis=1)
    best[best == 4] = 1
    found = encoders.encode("trait", pages, ("weights",))["weights"]
    assert found.shape == (13, SAMPLES, model.test_noise.shape[1])
    np.testing.assert_allclose(found[clear], table[best[clear]], atol=1e-5)
    for batch in (1, 2, 5):  # a query's weights do not depend on what is in its batch
        some = encoders.encode("trait", pages[:batch], ("weights",))["weights"]
        np.testing.assert_allclose(some, found[:batch], atol=1e-6)
    assert encoders.encode("trait", pages[:0], ("weights",))["weights"].shape == (0, *found.shape[1:])
    spread = [model.describer.preprocess(drawing(i), sketch=True) for i in range(40)]
    assigned = model.describer.assign(torch.from_numpy(np.stack(spread)))
    assert (assigned == 1).any() and not (assigned == 4).any() and len(assigned.unique()) > 2


def test_golden_parity_and_manifest_cover_the_weights(model, exported):
    assert {case.encoder for case in exported.parity.cases} == {"sketch", "photo", "trait"}
    with np.load(exported.path / "golden.npz") as golden:
        want = model.trait_weights(torch.from_numpy(golden["trait_image"])).detach().numpy()
        np.testing.assert_allclose(golden["trait_weights"], want, atol=1e-5)
        again = exported.load().encode("trait", golden["trait_image"], ("weights",))["weights"]
        np.testing.assert_allclose(again, golden["trait_weights"], atol=1e-4)
    manifest = exported.manifest
    assert manifest["distance"]["embedding"] == "weighted" and manifest["verified"]
    assert manifest["trait_preprocess"] == model.describer.preprocess.to_dict() != manifest["preprocess"]
    graph = onnx.load(str(exported.path / "trait_encoder.onnx")).graph
    used = {node.op_type for node in graph.node}
    assert {"ArgMax", "Gather"} <= used and not used & {"ScatterND", "OneHot", "RandomNormalLike", "TopK"}


def test_index_answers_by_the_brute_force_of_the_network(model, exported, world):
    index = build_index(exported.path, world / "photos", world / "idx", batch_size=5, progress=False)
    assert np.ptp(np.linalg.norm(index.embeddings, axis=1)) > 1e-3, "features keep their length"
    search = TraitSearch(model)
    assert search.index(world / "photos", batch_size=4) == PHOTOS
    for sketch in sorted((world / "sketches").iterdir()):
        answer, ours = index.search(sketch, PHOTOS), search.query(sketch, PHOTOS)
        assert_is_brute_force(model, sketch, answer)
        assert_is_brute_force(model, sketch, ours)
        scores = {hit.path: hit.score for hit in ours.hits}
        np.testing.assert_allclose(
            [scores[hit.path] for hit in answer.hits], [h.score for h in answer.hits], rtol=1e-4
        )
        assert [hit.path for hit in index.search(sketch, 3).hits] == [hit.path for hit in answer.hits[:3]]


def test_command_line_says_what_its_scores_are(exported, world, monkeypatch, capsys):
    from sketchfast.cli import main

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["sketchfast", *arguments])
        main()
        return capsys.readouterr().out

    monkeypatch.chdir(world)
    assert f"indexed {PHOTOS} photos" in run("index", str(exported.path), "photos", "--out", "idx")
    lines = run("query", "idx", "sketches/0.png", "--k", "3").splitlines()
    assert lines[0] == "rank  weighted squared distance  photo"
    assert lines[1].split()[0] == "1" and float(lines[1].split()[1]) <= float(lines[3].split()[1])
    found = json.loads(run("query", "idx", "sketches/0.png", "--json"))
    assert found["unit"] == "weighted squared distance" and len(found["hits"]) == 12
    with pytest.raises(SystemExit):
        run("query", "idx", "photos/03.png")
    assert "looks like a photo" in capsys.readouterr().err
    assert len(json.loads(run("query", "idx", "photos/03.png", "--allow-photo", "--json"))["hits"]) == 12


def test_an_index_is_searched_without_torch(exported, world):
    build_index(exported.path, world / "photos", world / "idx", progress=False)
    program = (
        "import sys; from sketchfast.retrieval.index import GalleryIndex;"
        "a = GalleryIndex.open(sys.argv[1]).search(sys.argv[2], 2); print(len(a.hits), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(world / "idx"), str(world / "sketches" / "1.png")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2 False\n"
    answer = GalleryIndex.open(world / "idx").search(world / "sketches" / "1.png", 2)
    write_result_picture(answer, world / "results.png", title="a title")


def test_word_vectors_need_a_name_and_are_searched_with_one(world, seed):
    torch.manual_seed(seed)
    words = WordDescriber(["cat", "teapot"], torch.randn(2, M))
    model = VTD(VTDConfig(**SMALL), ["cat"], Preprocess(size=24), words).eval()
    with pytest.raises(ValueError, match="name of the sketch's category"):
        sketchfast.export(model, "onnx", world / "out")
    assert not (world / "out").exists()
    search = TraitSearch(model)
    search.index(world / "photos")
    sketch = world / "sketches" / "0.png"
    with pytest.raises(ValueError, match="category"):
        search.query(sketch, 1)
    with pytest.raises(ValueError, match="teacup"):
        search.query(sketch, 1, category="teacup")
    answer = search.query(sketch, PHOTOS, category="teapot")
    prepared = [model.preprocess(np.asarray(Image.open(hit.path)), sketch=False) for hit in answer.hits]
    net = copy.deepcopy(model).double()
    with torch.no_grad():
        query = net.features(
            torch.from_numpy(model.preprocess(read_sketch(sketch).image, sketch=True)[None]).double()
        )
        photos = net.features(torch.from_numpy(np.stack(prepared)).double())
        weights = net.weights(words.vectors[1:].double())[0]
        want = ((weights[:, None] * (query - photos)) ** 2).sum(dim=2).min(dim=0).values
    np.testing.assert_allclose([hit.score for hit in answer.hits], want.numpy(), rtol=1e-4)


def test_what_needs_no_weights_keeps_its_measure():
    outputs = ("embedding",)
    plain = VTD(VTDConfig(**{**SMALL, "descriptor_dim": 0}), ["cat"], Preprocess(size=24))
    assert distance_of(plain) == "cosine" and set(encoders_of(plain, outputs)) == {"sketch", "photo"}
    longer = VTD(
        VTDConfig(**{**SMALL, "descriptor_dim": 0}, unit_features=False), ["cat"], Preprocess(size=24)
    )
    assert distance_of(longer) == "euclidean" and set(encoders_of(longer, outputs)) == {"sketch", "photo"}
    without = VTD(VTDConfig(**SMALL), ["cat"], Preprocess(size=24))
    with pytest.raises(ValueError, match="holds no describer"):
        encoders_of(without, outputs)
    with pytest.raises(ValueError, match="describer"):
        TraitSearch(without)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": None}, "samples"),
        ({"distance": {"embedding": "cosine"}}, "distance"),
        ({"trait_preprocess": {"size": 1}}, "trait_preprocess"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(exported, tmp_path, change, words):
    shutil.copytree(exported.path, tmp_path / "copy")
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text()) | change
    (tmp_path / "copy" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=words):
        sketchfast.load(tmp_path / "copy")


def test_misuse_is_named(model, exported, world):
    sketch = world / "sketches" / "0.png"
    search = TraitSearch(model)
    with pytest.raises(RuntimeError, match="index"):
        search.query(sketch)
    search.index(world / "photos")
    for k in (0, PHOTOS + 1, 2.5, "3", True):
        with pytest.raises(ValueError, match=f"k: expected a whole number from 1 to {PHOTOS}"):
            search.query(sketch, k)
    with pytest.raises(ValueError, match="category"):
        search.query(sketch, 1, category="cat")
    with pytest.raises(ValueError, match="VTD"):
        TraitSearch(torch.nn.Linear(2, 2))
    encoders = exported.load()
    with pytest.raises(ValueError, match="weights"):
        encoders.encode("trait", np.zeros((1, 3, 64, 64), np.float32))
    with pytest.raises(ValueError, match="64"):
        encoders.encode("trait", np.zeros((1, 3, 24, 24), np.float32), ("weights",))
