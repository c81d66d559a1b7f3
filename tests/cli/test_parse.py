"""`sketchfast parse`: files, folders, names of what is written, JSON, errors without a traceback."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from sketchfast.models import DeepSSP, DeepSSPConfig
from sketchfast.models.sketch_parser import Parse, SketchParser
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.checkpoint import save_model
from tests.cli.command import call_command


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    config = DeepSSPConfig("resnet10", "none", width=0.125, dilations=(1,), categories={"cow": 5, "bus": 7})
    return save_model(tmp_path_factory.mktemp("run") / "model", DeepSSP(config, Preprocess(size=49))).parent


call = partial(call_command, "parse")


def test_one_sketch(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "in/a.png", "--model", run_folder, "--mask") == 0
    said = capsys.readouterr().out
    assert (
        "sure" in said
        and "shares are of the coloured area" in said
        and "picture: a-parts.png, mask: a-mask.png" in said
    )
    with Image.open("a-mask.png") as mask:
        assert mask.size == (60, 40) and mask.mode == "L"
    assert call(monkeypatch, "drawings.ndjson:2", "--model", run_folder, "--category", "bus", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["category"] == "bus" and record["score"] is None and record["mask"] is None
    assert [part["name"] for part in record["parts"]][:2] == ["background", "body"]
    assert sum(part["pixels"] for part in record["parts"]) == record["size"][0] * record["size"][1]
    assert record["picture"] == "drawings-2-parts.png" and Path("drawings-2-parts.png").is_file()
    assert call(monkeypatch, "in/a.png", "--model", run_folder, "--out", "named.png", "--mask") == 0
    assert Path("named.png").is_file() and Path("named-mask.png").is_file()


def test_a_folder_keeps_its_shape_and_one_bad_file_stops_nothing(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (sketches / "bad.png").write_bytes(b"nonsense")
    assert call(monkeypatch, "in", "--model", run_folder, "--out", "out", "--json", "--mask") == 1
    captured = capsys.readouterr()
    records = [json.loads(line) for line in captured.out.splitlines()]
    assert [r["picture"] for r in records] == [
        "out/a-jpg-parts.png", "out/a-png-parts.png", "out/blank-parts.png", "out/line-parts.png", "out/more/b-parts.png",
    ]  # fmt: skip
    assert [r["blank"] for r in records] == [False, False, True, False, False]
    assert all(Path(r["picture"]).is_file() and Path(r["mask"]).is_file() for r in records)
    assert "in/bad.png" in captured.err and "1 of 6 sketches" in captured.err
    (sketches / "bad.png").unlink()
    # Written among the sketches, its pictures are not taken for sketches the next time.
    for _ in range(2):
        assert (
            call(monkeypatch, "in", "in/a.png", "--model", run_folder, "--out", "in", "--category", "cow")
            == 0
        )
        captured = capsys.readouterr()
        assert captured.out.count("picture: ") == 6 and "a-png-2-parts.png" in captured.out
        assert "in/blank.png shows no ink" in captured.err


def test_every_drawing_is_parsed_and_hidden_files_are_not(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("drawings.ndjson").rename("in/more/drawings.ndjson")
    (sketches / "more/.b.png").write_bytes((sketches / "more/b.png").read_bytes())
    model = ("--model", run_folder, "--json", "--category", "cow")
    assert call(monkeypatch, "in/more", *model, "--out", "out") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["sketch"] for r in records] == ["in/more/b.png"] + [
        f"in/more/drawings.ndjson:{n}" for n in range(3)
    ]
    assert records[3]["picture"] == "out/drawings-2-parts.png"
    # The same as when it is named alone; a slash makes a folder of any name.
    assert call(monkeypatch, "in/more/drawings.ndjson:2", *model, "--out", "one.png/") == 0
    one = json.loads(capsys.readouterr().out)
    assert one["parts"] == records[3]["parts"] and one["picture"] == "one.png/drawings-2-parts.png"
    assert Path(one["picture"]).read_bytes() == Path(records[3]["picture"]).read_bytes()


def test_what_is_printed_tells_sketches_apart_and_says_when_unsure(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (sketches / "b.png").write_bytes((sketches / "more/b.png").read_bytes())
    inputs = ("in/a.png", "in/b.png", "in/more/b.png")
    real = SketchParser.parse

    def unsure(self: SketchParser, image: object, category: str | None = None) -> Parse:
        return replace(real(self, image, category), score=0.49)  # type: ignore[arg-type]

    monkeypatch.setattr(SketchParser, "parse", unsure)
    assert call(monkeypatch, *inputs, "--model", run_folder, "--out", "out") == 0
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in inputs[1:]) and said.startswith("a.png: ")
    assert said.count("unsure: say --category NAME") == 3 and said.count("shares are of") == 1


def test_errors_are_one_line(
    run_folder: Path, sketches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs").mkdir()
    Path("empty").mkdir()
    model = ("--model", run_folder)
    for arguments, match in (
        (["in/a.png"], "runs/deepssp-demo is not here. Train one with `python train/deepssp.py`"),
        (["in/a.png", "--model", "in"], "in: expected a run folder"),
        (
            ["in/a.png", *model, "--category", "unicorn"],
            "'unicorn' is unknown to this model; it knows cow, bus",
        ),
        (["nowhere.png", *model], "nowhere.png does not exist"),
        (["in", *model, "--out", "x.png"], "--out x.png is one file for 5 sketches"),
        (
            ["drawings.ndjson", *model, "--out", "x.png"],
            "3 sketches: give a folder, or name one drawing: drawings.ndjson:N",
        ),
        (["in/a.png", *model, "--out", "in/a.jpg"], "in/a.jpg is a file that is no .png"),
        (["in/a.png", *model, "--out", "new.jpg"], "new.jpg is the name of a file that is no .png"),
        (["in/a.png", "--model", "none", "--out", "in/line.svg/x.png"], "cannot write to in/line.svg"),
        (["in/a.png", *model, "--out", "in/a.png"], "in/a.png: exists and is not a part picture"),
        (["empty", *model], "empty: no sketch in it"),
        ([*model], "no sketch given"),
    ):
        assert call(monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("sketchfast: ") and match in error and error.count("\n") == 1
