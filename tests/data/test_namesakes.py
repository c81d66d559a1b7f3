"""Class folders whose names differ only in spelling are refused, not merged."""

from pathlib import Path

import pytest
from PIL import Image

from sketchfast.data import load_zero_shot
from sketchfast.data.check import check


@pytest.mark.parametrize("modality", ["sketch", "photo"])
def test_namesakes_in_one_modality_are_named(tmp_path: Path, modality: str) -> None:
    for side in ("sketch", "photo"):
        for name in ("cat", "ice cream", "dog"):
            (tmp_path / side / name).mkdir(parents=True)
            Image.effect_noise((16, 16), 90).save(tmp_path / side / name / "0.png")
            Image.effect_noise((16, 16), 90).save(tmp_path / side / name / "1.png")
    assert check("folder", tmp_path, progress=False).ok
    load_zero_shot("folder", tmp_path)
    (tmp_path / modality / "ice_cream").mkdir()
    Image.effect_noise((16, 16), 90).save(tmp_path / modality / "ice_cream" / "2.png")
    report = check("folder", tmp_path, progress=False)
    assert not report.ok
    found = [finding for finding in report.of("error") if finding.kind == "classes with one name"]
    assert len(found) == 1 and sorted(found[0].items) == ["ice cream", "ice_cream"]
    with pytest.raises(ValueError, match=r"'ice.cream'.*'ice.cream'.*differ only"):
        load_zero_shot("folder", tmp_path)
