"""Index and query: the answer is the brute-force answer, and damage or misuse is named."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sketchfast.retrieval.index import GalleryIndex, build_index
from sketchfast.retrieval.result_picture import write_result_picture

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SIZE, COUNT = 8, 23


@pytest.fixture(scope="module")
def export_folder(tmp_path_factory):
    """An export whose encoders are known exactly: the embedding is the image itself, the code its signs."""
    from onnx import TensorProto, helper, numpy_helper

    from sketchfast.runtime import manifest as manifests
    from sketchfast.runtime.preprocess import Preprocess

    folder = tmp_path_factory.mktemp("export")
    dim = 3 * SIZE * SIZE
    weights = numpy_helper.from_array(np.float32([1, 2, 4, 8, 16, 32, 64, 128]), "weights")
    shape = numpy_helper.from_array(np.int64([-1, dim // 8, 8]), "shape")
    axis, zero = (
        numpy_helper.from_array(np.int64([2]), "axis"),
        numpy_helper.from_array(np.float32(0), "zero"),
    )
    nodes = [
        helper.make_node("Flatten", ["image"], ["embedding"], axis=1),
        helper.make_node("Greater", ["embedding", "zero"], ["positive"]),
        helper.make_node("Cast", ["positive"], ["bits"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["bits", "shape"], ["grouped"]),
        helper.make_node("Mul", ["grouped", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axis"], ["bytes"], keepdims=0),
        helper.make_node("Cast", ["bytes"], ["code"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "identity",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", dim]),
            helper.make_tensor_value_info("code", TensorProto.UINT8, ["batch", dim // 8]),
        ],
        [weights, shape, axis, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    preprocess = Preprocess(size=SIZE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).to_dict()
    for modality in ("sketch", "photo"):
        onnx.save(model, str(folder / f"{modality}_encoder.onnx"))
    (folder / "preprocess.json").write_text(json.dumps(preprocess))
    (folder / "labels.json").write_text("[]")
    names = ["sketch_encoder.onnx", "photo_encoder.onnx", "preprocess.json", "labels.json"]
    manifest = {
        "format": manifests.FORMAT,
        "format_version": manifests.FORMAT_VERSION,
        "kind": "retrieval",
        "dims": {"batch": [1, 4, 8]},
        "encoders": {
            modality: {"file": f"{modality}_encoder.onnx", "outputs": ["embedding", "code"]}
            for modality in ("sketch", "photo")
        },
        "dim": dim,
        "bits": dim,
        "preprocess": preprocess,
        "files": manifests.describe_files(folder, names),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def gallery(tmp_path, seed):
    """Photos in nested folders, one name with a blank."""
    photos = tmp_path / "photos"
    rng = np.random.default_rng(seed)
    for i in range(COUNT):
        path = photos / ("ice cream" if i % 2 else "cat") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    sketch = np.full((40, 40, 3), 255, np.uint8)
    sketch[5:35, 10:13] = 0
    sketch[12:15, 4:30] = 0
    Image.fromarray(sketch).save(tmp_path / "sketch.png")
    return tmp_path


def test_homogeneous_export_thins_the_query_and_no_photo(export_folder, gallery):
    """What training did to sketches happens to the query, by the preprocessing that travels with the export."""
    from sketchfast.runtime import manifest as manifests
    from sketchfast.runtime.load import load
    from sketchfast.runtime.preprocess import Preprocess

    export = gallery / "export"
    shutil.copytree(export_folder, export)
    manifest = json.loads((export / "manifest.json").read_text())
    manifest["preprocess"]["homogeneous"] = True
    (export / "preprocess.json").write_text(json.dumps(manifest["preprocess"]))
    manifest["files"] |= manifests.describe_files(export, ["preprocess.json"])
    (export / "manifest.json").write_text(json.dumps(manifest))
    index = build_index(export, gallery / "photos", gallery / "idx", progress=False)
    spec = index.encoders.preprocess
    assert spec == Preprocess(size=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3, homogeneous=True)
    vectors = np.stack([spec(np.asarray(Image.open(path)), sketch=False).ravel() for path in index.paths])
    sketch = np.asarray(Image.open(gallery / "sketch.png"))
    query, plain = (spec(sketch, sketch=thin).ravel() for thin in (True, False))
    assert not np.array_equal(query, plain)
    cosine = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    answer = index.search(gallery / "sketch.png", k=COUNT)
    assert [hit.score for hit in answer.hits] == pytest.approx(np.sort(cosine)[::-1].tolist(), abs=1e-5)
    encoders = load(export)
    rows = {m: encoders.encode_files([gallery / "sketch.png"], m) for m in ("sketch", "photo")}
    assert np.allclose(rows["sketch"][0], query) and np.allclose(rows["photo"][0], plain)


def test_answers_are_those_of_brute_force(export_folder, gallery):
    index = build_index(export_folder, gallery / "photos", gallery / "idx", batch_size=5, progress=False)
    preprocess = index.encoders.preprocess
    paths = sorted((gallery / "photos").rglob("*.png"))
    assert index.paths == [str(path) for path in paths]
    vectors = np.stack([preprocess(np.asarray(Image.open(path))).ravel() for path in paths]).astype(
        np.float64
    )
    query = preprocess(np.asarray(Image.open(gallery / "sketch.png"))).ravel().astype(np.float64)
    cosine = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    hamming = ((vectors > 0) != (query > 0)).sum(1)

    answer = index.search(gallery / "sketch.png", k=COUNT)
    assert [hit.path for hit in answer.hits] == [str(paths[i]) for i in np.argsort(-cosine)]
    np.testing.assert_allclose([hit.score for hit in answer.hits], np.sort(cosine)[::-1], atol=1e-5)
    answer = index.search(gallery / "sketch.png", k=COUNT, by="code")
    order = np.lexsort((np.arange(COUNT), hamming))
    assert [(hit.path, hit.score) for hit in answer.hits] == [(str(paths[i]), hamming[i]) for i in order]


def test_reopened_index_needs_neither_the_export_nor_the_photos(export_folder, gallery):
    exported = gallery / "export"
    shutil.copytree(export_folder, exported)
    before = build_index(exported, gallery / "photos", gallery / "idx", progress=False).search(
        gallery / "sketch.png", 5
    )
    shutil.rmtree(exported)
    shutil.rmtree(gallery / "photos" / "cat")
    answer = GalleryIndex.open(gallery / "idx").search(gallery / "sketch.png", 5)
    assert answer.hits == before.hits
    write_result_picture(answer, gallery / "results.png", title="a title")
    assert Image.open(gallery / "results.png").size[0] > 600


def test_command_line_from_photos_to_picture(export_folder, gallery):
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "sketchfast", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=gallery).stdout

    assert f"indexed {COUNT} photos" in run("index", str(export_folder), "photos", "--out", "idx")
    lines = run("query", "idx", "sketch.png", "--k", "3").splitlines()
    assert lines[1].split()[0] == "1" and lines[1].endswith(".png")
    assert (gallery / "sketch-results.png").stat().st_size > 1000
    assert (
        len(json.loads(run("query", "idx", "sketch.png", "--by", "code", "--k", "4", "--json"))["hits"]) == 4
    )


def test_unreadable_photo_is_named_or_left_out(export_folder, gallery):
    (gallery / "photos" / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        build_index(export_folder, gallery / "photos", gallery / "idx", progress=False)
    assert not (gallery / "idx").exists()
    index = build_index(
        export_folder, gallery / "photos", gallery / "idx", skip_unreadable=True, progress=False
    )
    assert len(index) == COUNT and "broken.jpg" in index.description["skipped"][0]


def test_misuse_is_named(export_folder, gallery):
    index = build_index(export_folder, gallery / "photos", gallery / "idx", progress=False)
    sketch = gallery / "sketch.png"
    for k in (0, COUNT + 1, 2.5):
        with pytest.raises(ValueError, match=f"k: expected a whole number from 1 to {COUNT}"):
            index.search(sketch, k)
    with pytest.raises(ValueError, match="by"):
        index.search(sketch, 1, by="dot")
    Image.new("RGB", (30, 30), "white").save(gallery / "blank.png")
    with pytest.raises(ValueError, match=r"blank\.png"):
        index.search(gallery / "blank.png", 1)
    with pytest.raises(FileExistsError, match="idx"):
        build_index(export_folder, gallery / "photos", gallery / "idx", progress=False)
    with pytest.raises(FileExistsError, match="not an index"):
        build_index(export_folder, gallery / "photos", gallery / "photos", overwrite=True, progress=False)
    (gallery / "empty").mkdir()
    with pytest.raises(ValueError, match="no picture"):
        build_index(export_folder, gallery / "empty", gallery / "idx2", progress=False)
    with pytest.raises(FileNotFoundError, match="index"):
        GalleryIndex.open(gallery / "empty")


@pytest.mark.parametrize("name", ["embeddings.npy", "codes.npy", "paths.json", "encoder/sketch_encoder.onnx"])
def test_damage_is_found_on_opening(export_folder, gallery, name):
    build_index(export_folder, gallery / "photos", gallery / "idx", progress=False)
    path = gallery / "idx" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # the encoder is a hard link: altering it in place would alter the export it came from
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=path.name):
        GalleryIndex.open(gallery / "idx")


def test_a_query_replaces_nothing_but_its_own_pictures(export_folder, gallery):
    index = build_index(export_folder, gallery / "photos", gallery / "idx", progress=False)
    answer = index.search(gallery / "sketch.png", 2)
    before = (gallery / "sketch.png").read_bytes()
    with pytest.raises(FileExistsError, match=r"sketch\.png"):
        write_result_picture(answer, gallery / "sketch.png")
    assert (gallery / "sketch.png").read_bytes() == before
    with pytest.raises(ValueError, match=r"\.png"):
        write_result_picture(answer, gallery / "results.jpg")
    for _ in range(2):
        write_result_picture(answer, gallery / "results.png")


def test_linked_folders_count_and_broken_links_are_named(export_folder, gallery):
    (gallery / "linked").mkdir()
    (gallery / "linked" / "all").symlink_to(gallery / "photos")
    (gallery / "photos" / "loop").symlink_to(gallery / "linked")
    assert len(build_index(export_folder, gallery / "linked", gallery / "idx", progress=False)) == COUNT
    (gallery / "linked" / "gone.jpg").symlink_to(gallery / "nowhere.jpg")
    with pytest.raises(ValueError, match=r"gone\.jpg"):
        build_index(export_folder, gallery / "linked", gallery / "idx2", progress=False)
    with pytest.raises(ValueError, match="batch_size"):
        build_index(export_folder, gallery / "photos", gallery / "idx3", batch_size=0, progress=False)
