"""The synthetic world as files reads back as a folder data set."""

import numpy as np
import pytest
from PIL import Image

from sketchfast.data.check import check
from sketchfast.data.synthetic import DEFAULT_UNSEEN, instance
from sketchfast.data.synthetic.write_folder import write_folder


def test_files_are_the_world_and_pass_the_check(tmp_path):
    assert write_folder(tmp_path / "world", 3, 2, 32, seed=5, unseen_only=True) == 5 * len(DEFAULT_UNSEEN)
    assert check("folder", tmp_path / "world", progress=False).ok
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
