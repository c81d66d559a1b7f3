"""SVG, ndjson and sketch-rnn npz: round trips through the readers, and npz files that are damaged or hostile."""

import json
import os
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from sketchfast.data import safe_pickle, stroke_files
from sketchfast.data.qmul_strokes import read_coordinates
from sketchfast.data.stroke_files import read_sketch_rnn, write_ndjson, write_sketch_rnn, write_svg
from sketchfast.data.stroke_formats import points_to_strokes, to_stroke3
from sketchfast.runtime.strokes import ndjson_lines, parse_drawing, read_ndjson, read_svg

LINES = [[[1, 2], [3, 2.5], [3, 7]], [[5, 6], [6, 5]]]


def random_drawing(rng: np.random.Generator) -> list[np.ndarray]:
    drawing = [rng.normal(size=(rng.integers(2, 20), 2)) for _ in range(rng.integers(1, 6))]
    return [(stroke * 10.0 ** rng.integers(-4, 6)).astype(np.float32) for stroke in drawing]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b):
        np.testing.assert_array_equal(one, other)


def real_drawings(root: Path) -> list[list[np.ndarray]]:
    chairs = list(read_coordinates(root / "ChairV2" / "ChairV2_Coordinate").values())[::300]
    drawings = [points_to_strokes(rows[:, :2], rows[:, 2]) for rows in chairs]
    for name in ("SPG/airplane_raw.ndjson", "QuickDraw/The Mona Lisa.ndjson"):
        drawings += [parse_drawing(line, name) for line, _ in zip(ndjson_lines(root / name), range(5))]
    return drawings


def test_svg_and_ndjson_give_the_same_numbers_back(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawings = [random_drawing(rng) for _ in range(10)]
    write_ndjson(drawings, tmp_path / "all.ndjson", word="cat")
    for number, drawing in enumerate(drawings):
        write_svg(drawing, tmp_path / "one.svg", 256, 2.5)
        same(read_svg(tmp_path / "one.svg"), drawing)
        same(read_ndjson(tmp_path / "all.ndjson", number), drawing)


def test_real_drawings(tmp_path: Path, data_root: Path) -> None:
    drawings = real_drawings(data_root)
    write_ndjson(drawings, tmp_path / "all.ndjson")
    write_sketch_rnn(tmp_path / "all.npz", {"train": [to_stroke3(drawing) for drawing in drawings]})
    back = read_sketch_rnn(tmp_path / "all.npz")["train"]
    for number, (drawing, rows) in enumerate(zip(drawings, back, strict=True)):
        same(read_ndjson(tmp_path / "all.ndjson", number), drawing)
        np.testing.assert_array_equal(rows, to_stroke3(drawing))
    for drawing in drawings[::5]:
        if min(map(len, drawing)) > 1:
            write_svg(drawing, tmp_path / "one.svg", 256, 2)
            same(read_svg(tmp_path / "one.svg"), drawing)


def test_svg_text(tmp_path: Path) -> None:
    write_svg([*LINES, [[9, 9]]], tmp_path / "one.svg", 10, 0.5)
    text = (tmp_path / "one.svg").read_text()
    assert 'viewBox="0 0 10 10"' in text and 'stroke-width="0.5"' in text
    assert '<path d="M1 2 L3 2.5 L3 7"/>' in text and '<path d="M9 9 L9 9"/>' in text
    same(read_svg(tmp_path / "one.svg")[2:], [np.full((2, 2), 9)])
    write_svg([], tmp_path / "one.svg", 10, 0.5)
    assert "<path" not in (tmp_path / "one.svg").read_text()


def test_ndjson_text(tmp_path: Path) -> None:
    write_ndjson([LINES], tmp_path / "a.ndjson", word="cat", key_ids=["7"])
    record = json.loads((tmp_path / "a.ndjson").read_text())
    assert record == {"word": "cat", "key_id": "7", "drawing": [[[1, 3, 3], [2, 2.5, 7]], [[5, 6], [6, 5]]]}
    write_ndjson([LINES, []], tmp_path / "a.ndjson")
    records = [json.loads(line) for line in (tmp_path / "a.ndjson").read_text().splitlines()]
    assert [record["key_id"] for record in records] == ["0", "1"] and "word" not in records[0]


def test_sketch_rnn_is_what_its_own_code_reads(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    float_rows = [to_stroke3(random_drawing(rng)) for _ in range(4)]
    whole_rows = [to_stroke3([rng.integers(0, 256, (5, 2))]) for _ in range(3)]
    write_sketch_rnn(tmp_path / "a.npz", {"train": float_rows, "valid": whole_rows, "test": []})
    with np.load(tmp_path / "a.npz", allow_pickle=True, encoding="latin1") as file:
        assert [len(file[name]) for name in ("train", "valid", "test")] == [4, 3, 0]
        assert file["train"][0].dtype == np.float32 and file["valid"][0].dtype == np.int16
        same(list(file["valid"]), whole_rows)
    back = read_sketch_rnn(tmp_path / "a.npz")
    same(back["train"], float_rows)
    same(back["valid"], whole_rows)
    assert back["test"] == [] and back["valid"][0].dtype == np.float32
    # Drawings of one length are stacked by a plain np.savez; written by old numpy the pickle is of protocol 2.
    np.savez(tmp_path / "b.npz", train=np.stack(whole_rows), test=np.asfortranarray(np.stack(whole_rows)))
    same(read_sketch_rnn(tmp_path / "b.npz")["train"], whole_rows)
    same(read_sketch_rnn(tmp_path / "b.npz")["test"], whole_rows)


class Call:
    """Pickles into a call of `function`."""

    def __reduce__(self):
        return os.system, ("touch was_here",)


def npz(path: Path, member: bytes, name: str = "train.npy") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, member)
    return path


def npy(array: np.ndarray, content: bytes | None = None) -> bytes:
    buffer = BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    if content is None:
        return buffer.getvalue()
    start = buffer.getvalue().index(b"\n") + 1
    return buffer.getvalue()[:start] + content


def objects(*items: object) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def test_hostile_npz_is_refused_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = to_stroke3(LINES)
    for member in (
        npy(objects(Call())),
        npy(objects(rows, Call())),
        npy(objects(rows), pickle.dumps(Call())),
        npy(objects(rows), pickle.dumps([Call()], 0)),
    ):
        with pytest.raises(
            safe_pickle.ForbiddenGlobal, match=r"a\.npz, train is refused: it names the global posix\.system"
        ):
            read_sketch_rnn(npz(Path("a.npz"), member))
    assert not Path("was_here").exists()


def test_damaged_npz_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = to_stroke3(LINES)
    header = npy(objects(rows))
    for member, match in (
        (header[:40], "a.npz, train: not a readable npy array"),
        (header[:10] + b"(" * 50 + header[60:], "a.npz, train: not a readable npy array"),
        (header[:10] + b" \n x\ny" + header[17:], "a.npz, train: not a readable npy array"),
        (b"\x93NUMPY\x03\x00" + header[8:], "version"),
        (header[:-20], "a.npz, train is not a readable pickle"),
        (npy(objects(rows, rows), pickle.dumps(objects(rows))), r"expected an array of drawings \[N\], found shape \(1,\)"),
        (npy(objects(rows), pickle.dumps([rows])), "found list"),
        (npy(np.zeros((2, 4, 2))), r"found numbers of shape \(2, 4, 2\), float64"),
        (npy(np.ones((2, 4, 3)))[:-8], r"an array of shape \(2, 4, 3\), float64 cannot have 184 bytes"),
        (npy(np.zeros(3, [("a", "O")])), "found numbers of shape"),
        (npy(objects(rows, "cat")), r"a.npz, train 1: expected an array of numbers \(T, 3\), found str"),
        (npy(objects(rows, rows[:, :2])), r"train 1: expected an array of numbers \(T, 3\), found shape \(5, 2\)"),
        (npy(objects(rows, rows * (1, np.nan, 1))), "train 1, point 0: coordinates must be finite"),
        (npy(objects(rows * (1, 1, 0))), "train 0: the pen never lifts"),
        (npy(objects(rows[:0])), "train 0: nothing is drawn"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            read_sketch_rnn(npz(Path("a.npz"), member))
    Path("a.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"a\.npz: not a readable npz"):
        read_sketch_rnn("a.npz")
    with pytest.raises(ValueError, match="holds no arrays"):
        read_sketch_rnn(npz(Path("a.npz"), b"", "readme.txt"))
    content = bytearray(npz(Path("a.npz"), header).read_bytes())
    content[100] ^= 255
    Path("a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz"):
        read_sketch_rnn("a.npz")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        read_sketch_rnn("nowhere.npz")
    monkeypatch.setattr(stroke_files, "MAX_ARRAY_BYTES", 100)
    with pytest.raises(ValueError, match="more than the limit of 100"):
        read_sketch_rnn(npz(Path("a.npz"), header))


def test_what_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    nan = [[[0, np.nan]]]
    for call, match in (
        (lambda: write_svg(nan, tmp_path / "a.svg", 256, 2), "a.svg, stroke 0: .* with NaN or infinite"),
        (lambda: write_svg(LINES, tmp_path / "a.svg", 0, 2), "canvas must be above 0"),
        (lambda: write_svg(LINES, tmp_path / "a.svg", 9, np.inf), "thickness must be above 0"),
        (lambda: write_ndjson([LINES, nan], tmp_path / "a.ndjson"), "a.ndjson, drawing 1, stroke 0"),
        (lambda: write_ndjson([LINES] * 2, tmp_path / "a.ndjson", key_ids=["1", "1"]), "2 different names"),
        (lambda: write_sketch_rnn(tmp_path / "a.npz", {"train": [np.zeros((2, 3))]}), "train 0: the pen never"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            call()
    assert not list(tmp_path.iterdir())
