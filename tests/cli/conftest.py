"""Sketches of several kinds in a folder, for commands that take many."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def sketches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    page = np.full((40, 60), 255, np.uint8)
    page[10:12, 5:50], page[10:35, 20:22] = 0, 0
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "more/b.png"):
        Image.fromarray(page).save(folder / name)
    Image.fromarray(np.full_like(page, 255)).save(folder / "blank.png")
    line = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0 L50 80 L90 10"/></svg>'
    (folder / "line.svg").write_text(line)
    drawing = '{"drawing": [[[0, 100, 200], [0, 200, 0]]]}\n'
    (tmp_path / "drawings.ndjson").write_text(drawing * 3)
    return folder
