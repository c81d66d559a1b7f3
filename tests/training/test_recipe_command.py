"""What a recipe says before it begins, and when it is stopped."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from sketchfast.training.recipe_command import check_ranges, check_writable, resume_command, run_recipe


def test_resume_is_asked_for_once() -> None:
    for more in ([], ["--loop.resume"]):
        command = resume_command("train/x.py", "demo", ["--loop.out", "a b", *more])
        assert command == "python train/x.py demo --loop.out 'a b' --loop.resume"


def test_a_run_folder_that_cannot_be_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(
        NotADirectoryError, match=f"cannot write to {tmp_path}/file/run: {tmp_path}/file is no"
    ):
        check_writable(tmp_path / "file" / "run")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError, match="cannot write to"):
        check_writable(tmp_path / "new")


def test_errors_and_interrupts_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: BaseException):
        def main() -> None:
            raise error

        return main

    with pytest.raises(SystemExit, match="130"):
        run_recipe(raising(KeyboardInterrupt()), "train/x.py", {})
    assert capsys.readouterr().err == "train/x.py: interrupted\n"
    with pytest.raises(SystemExit, match=r"train/x.py: no such thing"):
        run_recipe(raising(ValueError("no such thing")), "train/x.py", {})
    with pytest.raises(SystemExit, match=r"train/x.py: no such type"):
        run_recipe(raising(TypeError("no such type")), "train/x.py", {})
    with pytest.raises(ValueError):
        run_recipe(raising(ValueError("no such thing")), "train/x.py", {"SKETCHFAST_TRACEBACK": "1"})


def test_a_setting_out_of_range_is_named_by_its_flag() -> None:
    recipe = SimpleNamespace(
        data=SimpleNamespace(memory_gib=0.0), optimizer=SimpleNamespace(lr=1e-3), at=(1, 5)
    )
    least = {"data.memory_gib": 0.0, "at": 1}
    check_ranges(recipe, least, above_0=["optimizer.lr"])
    for value in (-1.0, float("nan"), float("inf")):
        recipe.data.memory_gib = value
        with pytest.raises(ValueError, match=rf"--data\.memory-gib: expected at least 0\.0, found {value}"):
            check_ranges(recipe, least)
    for value in (0.0, float("nan"), float("inf")):
        recipe.optimizer.lr = value
        with pytest.raises(ValueError, match=rf"--optimizer\.lr: expected a number above 0, found {value}"):
            check_ranges(recipe, {}, above_0=["optimizer.lr"])
    for values in ((), (5, 0)):
        recipe.at = values
        with pytest.raises(ValueError, match="--at: expected at least 1, found 0"):
            check_ranges(recipe, {"at": 1})
