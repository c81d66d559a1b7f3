"""The synthetic world as files reads back as a folder data set."""

import json

import numpy as np
import pytest
from PIL import Image

from sketchfast.data.check import check
from sketchfast.data.synthetic import DEFAULT_UNSEEN, instance
from sketchfast.data.synthetic.write_folder import write_folder


def test_files_are_the_world_and_pass_the_check(tmp_path):
    assert write_folder(tmp_path / "world", 3, 2, 32, seed=5, unseen_only=True) == 5 * len(DEFAULT_UNSEEN)
    report = check("folder", tmp_path / "world", strict=True, progress=False)
    assert report.ok and "synthetic.json" not in str(report.findings)
    made_with = json.loads((tmp_path / "world" / "synthetic.json").read_text())
    assert made_with["seed"] == 5 and (made_with["photos_per_class"], made_with["sketches_per_class"]) == (
        3,
        2,
    )
    category = DEFAULT_UNSEEN[1]
    written = np.asarray(Image.open(tmp_path / "world" / "sketch" / category / "1.png"))
    assert (written == instance(category, 4, 5).sketch(1, size=32)).all()


def test_nothing_of_somebody_else_is_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="mine"):
            write_folder(tmp_path / "mine", 1, 1, 32, overwrite=overwrite)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ValueError, match="size"):
        write_folder(tmp_path / "new", 1, 1, 3)


def test_a_persons_own_pictures_are_not_overwritten(tmp_path):
    own = tmp_path / "own"
    for modality in ("photo", "sketch"):
        (own / modality / "cat").mkdir(parents=True)
        (own / modality / "cat" / "0.png").write_bytes(b"mine")
    for marker in (None, "{}", "not JSON", '["generator"]'):
        if marker is not None:
            (own / "synthetic.json").write_text(marker)
        with pytest.raises(FileExistsError, match=r"synthetic\.json"):
            write_folder(own, 1, 1, 32, overwrite=True)
        assert (own / "photo" / "cat" / "0.png").read_bytes() == b"mine"


def test_its_own_folder_is_overwritten_unless_something_was_added(tmp_path):
    (tmp_path / "empty").mkdir()
    world = tmp_path / "empty"
    for seed in (1, 2):
        write_folder(world, 1, 1, 32, seed=seed, unseen_only=True, overwrite=True)
        assert json.loads((world / "synthetic.json").read_text())["seed"] == seed
    (world / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="more than"):
        write_folder(world, 1, 1, 32, overwrite=True)
    assert (world / "notes.txt").read_text() == "mine"
