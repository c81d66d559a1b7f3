"""`sketchfast draw`: every kind of file, folders, several drawings of a photo, errors without a traceback."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sketchfast.data.stroke_formats import from_stroke3
from sketchfast.models import PhotoToSketch, PhotoToSketchConfig
from sketchfast.runtime.strokes import Strokes, read_ndjson, read_svg
from sketchfast.training.checkpoint import save_model
from tests.cli.command import call_command

call = partial(call_command, "draw")


def tiny_generator() -> PhotoToSketch:
    config = PhotoToSketchConfig(
        "resnet10", "none", stem="small", width=0.125, size=48, latent=4, hidden=16, attention_dim=8,
        mixtures=2, max_points=20, offset_scale=0.1,
    )  # fmt: skip
    model = PhotoToSketch(config, ["chair"]).eval()
    end_drawings(model, -3.0)
    return model


def end_drawings(model: PhotoToSketch, logit: float) -> None:
    with torch.no_grad():
        model.decoder.output.bias[2] = logit


@pytest.fixture(scope="module")
def generator() -> PhotoToSketch:
    torch.manual_seed(1)
    return tiny_generator()


@pytest.fixture(scope="module")
def run_folder(generator: PhotoToSketch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("run") / "generator" / "model", generator).parents[1]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "more/b.webp"):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / name)
    return folder


def same_but_for_place(a: Strokes, b: Strokes) -> None:
    """Up to a shift and one scale, which differ between files."""
    assert [len(stroke) for stroke in a] == [max(len(stroke), 1) for stroke in b]
    one, other = np.concatenate(a), np.concatenate(b)
    one, other = ((points - points.min(0)) / np.ptp(points, axis=0).max() for points in (one, other))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_one_photo_to_every_kind_of_file(
    generator: PhotoToSketch,
    run_folder: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = generator.sketch(
        "in/a.png", generator=torch.Generator().manual_seed(7), temperature=0.5
    ).strokes(0)
    options = ("in/a.png", "--model", run_folder, "--seed", "7", "--temperature", "0.5")
    for name in ("a.npy", "a.ndjson", "a.svg", "new/a.png"):
        assert call(monkeypatch, *options, "--out", name) == 0
    said = capsys.readouterr().out.splitlines()
    points = sum(map(len, expected))
    assert said[0] == f"in/a.png: {len(expected)} strokes, {points} points -> a.npy"
    assert said[1:3] == [f"a: {len(expected)} strokes, {points} points", "a.ndjson: 1 drawing"]
    for one, other in zip(from_stroke3(np.load("a.npy")), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)  # the model's own canvas units
    drawn = read_ndjson("a.ndjson")
    same_but_for_place(drawn, expected)
    assert '"word":"chair","key_id":"a"' in Path("a.ndjson").read_text()
    assert np.ptp(np.concatenate(drawn), axis=0).max() == pytest.approx(256 * 14 / 16, abs=0.02)
    svg = read_svg("a.svg")
    same_but_for_place([stroke[:1] if len(one) == 1 else stroke for stroke, one in zip(svg, drawn)], drawn)
    with Image.open("new/a.png") as picture:
        assert picture.mode == "L" and picture.size == (512, 512)
        ink = np.argwhere(np.array(picture) < 128)
    assert 400 < np.ptp(ink, axis=0).max() < 512


def test_animations(
    run_folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sketchfast.drawing_commands._SIDE", 96)
    for name in ("a.gif", "a.png", "a.webp"):
        arguments = ("in/a.png", "--model", run_folder, "--out", "still.png", "--overwrite", "--greedy")
        assert call(monkeypatch, *arguments, "--animation", name) == 0
        assert capsys.readouterr().out.endswith(f"-> still.png, {name}\n")
        still = np.array(Image.open("still.png")).astype(int)
        with Image.open(name) as animation:
            assert animation.n_frames > 10 and animation.size == (96, 96) and animation.info["loop"] == 0
            animation.seek(animation.n_frames - 1)
            assert abs(np.array(animation.convert("L")).astype(int) - still).max() <= 8


def test_several_photos_and_one_bad_file_stops_nothing(
    run_folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sketchfast.drawing_commands._SIDE", 96)
    (photos / "bad.jpg").write_bytes(b"nonsense")
    options = ("in", "--model", run_folder, "--count", "2", "--out")
    assert call(monkeypatch, *options, "out", "--animation", "moving") == 1
    captured = capsys.readouterr()
    names = {"a-jpg", "a-png", "more/b"}
    for folder, extension in (("out", ".svg"), ("moving", ".gif")):
        written = {str(path.relative_to(folder)) for path in Path(folder).rglob("*.*")}
        assert written == {f"{name}-{k}{extension}" for name in names for k in (1, 2)}
    assert "in/bad.jpg is not a" in captured.err and "1 of 4 photos could not be drawn" in captured.err
    assert len(captured.out.splitlines()) == 6
    (photos / "bad.jpg").unlink()
    assert call(monkeypatch, *options, "all.ndjson") == 0
    assert capsys.readouterr().out.endswith("all.ndjson: 6 drawings\n")
    # A photo's drawings do not depend on those drawn with it, only on the photos before it.
    drawings = [read_ndjson("all.ndjson", index) for index in range(6)]
    assert any(a.shape != b.shape or (a != b).any() for a, b in zip(drawings[0], drawings[1]))
    assert call(monkeypatch, "in/a.jpg", *options[1:], "one.svg") == 0
    for k in (1, 2):
        for one, other in zip(read_svg(f"one-{k}.svg"), drawings[k - 1], strict=True):
            np.testing.assert_allclose(one[: len(other)], other, atol=0.02)


def test_where_the_generator_is(
    generator: PhotoToSketch,
    run_folder: Path,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A whole run, with several seeds or shares or none, a network of it, and the default; joint training's before others."""
    asked = []

    def load(path: Path, device: str) -> nn.Module:
        asked.append(path)
        return generator

    monkeypatch.setattr("sketchfast.models.load_run", load)
    greedy = ("in/a.png", "--greedy", "--out", "a.npy", "--overwrite")
    demo, other = Path("runs/more-photos-demo"), nn.Linear(1, 1)
    save_model(demo / "model", other)  # F of the whole run
    assert call(monkeypatch, *greedy) == 2
    said = "with a PhotoToSketch; found Linear in runs/more-photos-demo/model"
    assert said in capsys.readouterr().err
    expected = []
    # Each is found before those above it.
    for place in ("seed-10/full", "seed-2/no-joint", "seed-2/share-0.2/full", "seed-2/share-1/no-joint",
                  "seed-2/share-1/generator", "seed-2/generator", "seed-2/full", "generator", "full"):  # fmt: skip
        if place == "seed-2/share-0.2/full":
            (demo / "seed-2/no-joint/model/metadata.json").unlink()
        save_model(demo / place / "model", generator)
        save_model(demo / place / "checkpoints/last", other)  # all networks together, and newer
        assert call(monkeypatch, *greedy) == 0
        expected.append(demo / place / "model")
    for folder in (run_folder, run_folder / "generator", run_folder / "generator" / "model"):
        assert call(monkeypatch, *greedy, "--model", folder) == 0
        expected.append(run_folder / "generator" / "model")
    assert asked == expected


def test_a_drawing_of_no_points_is_a_blank_page(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_generator()
    end_drawings(model, 1e4)
    run = save_model(tmp_path / "blank" / "model", model).parent
    for name in ("a.svg", "a.png", "a.npy", "a.ndjson"):
        assert call(monkeypatch, "in/a.png", "--model", run, "--out", name) == 0
        captured = capsys.readouterr()
        assert "blank: it ended before the first point" in captured.out
    # Readers of ndjson take a drawing without strokes for a fault.
    assert "a.ndjson is not written: every drawing is blank" in captured.err and not Path("a.ndjson").exists()
    assert call(monkeypatch, "in/a.png", "--model", run, "--out", "b.png", "--animation", "b.gif") == 0
    assert np.load("a.npy").shape == (0, 3) and "<path" not in Path("a.svg").read_text()
    assert (np.array(Image.open("a.png")) == 255).all()


def test_errors_are_one_line(
    run_folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("there.svg").write_text("mine")
    model = ("--model", run_folder)
    for arguments, match in (
        (["in/a.png", "--out", "a.svg"], "runs/more-photos-demo is not here. Train one with `python train/more_photos.py`"),
        (["in/a.png", "--out", "a.svg", "--model", "in"], "in: expected a run folder of train/more_photos.py"),
        (["nowhere.png", "--out", "a.svg", *model], "nowhere.png does not exist"),
        (["in/a.png", "--out", "a.svg", "--model", "nowhere"], "--model nowhere does not exist"),
        (["in/a.png", "--out", "a.svg", *model, "--seed", str(2**63)], "--seed must be 0 or more and below"),
        (["in", "--out", "a.svg", *model], "--out a.svg is one file for 3 photos: give a folder or .ndjson"),
        (["in", "--out", "o", "--animation", "a.gif", *model], "--animation a.gif is one file for 3 photos"),
        (["in/a.png", "--out", "a.bmp", *model], "--out a.bmp: expected a folder, or a file named .svg, .png, .npy or .ndjson"),
        (["in/a.png", "--out", "a.svg", "--animation", "a.mp4", *model], "or a file named .gif, .png, .apng, .webp"),
        (["in/a.png", "--out", "b.png", "--animation", "b.png", *model], "b.png is the name of two files to write"),
        (["in/a.png", "--out", "in/a.png", "--overwrite", *model], "in/a.png is one of the photos"),
        (["in/a.png", "--out", "there.svg", *model], "there.svg exists already; choose another name, or allow it"),
        (["in/a.png", "--out", "a.svg", "--count", "0", *model], "--count must be at least 1, got 0"),
        (["in/a.png", "--out", "a.svg", "--temperature", "0", *model], "--temperature must be above 0, got 0"),
        (["in/a.png", "--out", "a.svg", "--greedy", "--count", "2", *model], "--count must be 1, got 2"),
    ):  # fmt: skip
        assert call(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("sketchfast: ") and match in error and error.count("\n") == 1, error
    assert Path("there.svg").read_text() == "mine" and not list(Path().glob("a.*"))
