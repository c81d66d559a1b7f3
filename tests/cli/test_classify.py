"""`sketchfast classify`, and `sketchfast parse --classifier`: text, JSON, pictures, folders, errors without a traceback."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from sketchfast.data.part_tables import PARTS
from sketchfast.models import DeepSSP, DeepSSPConfig, LandmarkNet, LandmarkNetConfig
from sketchfast.models.sketch_classifier import SketchClassifier
from sketchfast.runtime.landmark_picture import score_text
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.checkpoint import save_model
from tests.cli.command import call_command

NAMES = ["cow", "bird", "fir tree"]
call = partial(call_command, "classify")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    config = LandmarkNetConfig("resnet10", "none", stem="small", width=0.125, landmarks=(8,), num_classes=3)
    model = LandmarkNet(config, NAMES, Preprocess(size=48))
    nn.init.normal_(model.offset_layers[0].bias, std=0.5)
    return save_model(tmp_path_factory.mktemp("run") / "model", model).parent


def test_one_sketch(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = SketchClassifier(run_folder).classify("in/a.png")
    assert call(monkeypatch, "in/a.png", "--model", run_folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"a.png: {expected.names[0]} {score_text(expected.scores[0])}"
    assert [line.split()[0] for line in lines[1:3]] == ["2", "3"]
    assert expected.names[1] in lines[1] and lines[-1] == "  picture: a-landmarks.png"
    with Image.open("a-landmarks.png") as picture:
        assert min(picture.size) > 300

    assert call(monkeypatch, "in/a.png", "--model", run_folder, "--json", "--top", "2", "--out", "x.png") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["sketch"] == "in/a.png" and record["picture"] == "x.png" and Path("x.png").is_file()
    assert record["names"] == expected.names[:2] and record["scores"] == pytest.approx(expected.scores[:2])
    assert record["size"] == [40, 60] and not record["blank"] and record["guessed"] is None
    assert record["landmarks"] == expected.landmarks.round(2).tolist()
    assert record["moved"] == expected.moved.round(2).tolist() != record["landmarks"]


def test_many_sketches_and_one_bad_file_stops_nothing(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (sketches / "bad.png").write_bytes(b"nonsense")
    arguments = ("in", "drawings.ndjson", "--model", run_folder, "--out", "out")
    assert call(monkeypatch, *arguments, "--json") == 1
    captured = capsys.readouterr()
    records = [json.loads(line) for line in captured.out.splitlines()]
    assert [r["picture"] for r in records] == [
        f"out/{name}-landmarks.png"
        for name in ("a-jpg", "a-png", "blank", "line", "more/b", "drawings-0", "drawings-1", "drawings-2")
    ]
    assert all(Path(r["picture"]).is_file() for r in records)
    assert [r["blank"] for r in records] == [False, False, True] + 5 * [False]
    assert records[2]["names"] == records[2]["scores"] == records[2]["landmarks"] == []
    assert "in/bad.png" in captured.err and "1 of 9 sketches could not be classified" in captured.err
    (sketches / "bad.png").unlink()
    assert call(monkeypatch, *arguments) == 0
    captured = capsys.readouterr()
    assert "blank.png: blank" in captured.out and captured.out.count("picture: out/") == 8
    assert "in/blank.png shows no ink: it has no name" in captured.err
    # Written among the sketches, its pictures are not taken for sketches the next time.
    for _ in range(2):
        assert call(monkeypatch, "in", "--model", run_folder, "--out", "in") == 0
        assert capsys.readouterr().out.count("picture: ") == 5


def test_the_parser_takes_its_category_from_it(
    run_folder: Path,
    sketches: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def parser(*names: str) -> Path:
        categories = {name: len(PARTS[name]) + 1 for name in names}
        config = DeepSSPConfig("resnet10", "none", width=0.125, dilations=(1,), categories=categories)
        return save_model(tmp_path / names[0] / "model", DeepSSP(config, Preprocess(size=49))).parent

    parse = partial(call_command, "parse", monkeypatch, "in/a.png", "--classifier", run_folder)
    assert parse("--model", parser("bird", "bus"), "--json") == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert (record["category"], record["score"]) == ("bird", 1.0)
    assert captured.err == "sketchfast: the classifier does not know bus: no sketch will be taken for one\n"
    assert parse("--model", parser("bus")) == 2
    assert "knows none of bus; it knows cow, bird, fir tree" in capsys.readouterr().err
    assert parse("--category", "bus") == 2
    assert "give one of them" in capsys.readouterr().err


def test_errors_are_one_line(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs").mkdir()
    model = ("--model", run_folder)
    for arguments, match in (
        (["in/a.png"], "runs/landmark-demo is not here. Train one with `python train/landmark.py`"),
        (["in/a.png", "--model", "in"], "in: expected a run folder"),
        (["in/a.png", *model, "--top", "0"], "--top must be at least 1, got 0"),
        (["nowhere.png", *model], "nowhere.png does not exist"),
        (["in", *model, "--out", "x.png"], "--out x.png is one file for 5 sketches"),
        (["in/a.png", *model, "--out", "in/a.png"], "in/a.png: exists and is not a landmark picture"),
    ):
        assert call(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("sketchfast: ") and match in error and error.count("\n") == 1
