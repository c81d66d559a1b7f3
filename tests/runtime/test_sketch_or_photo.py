"""A photo handed over as a sketch is found; whatever is drawn passes."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sketchfast.data import synthetic
from sketchfast.runtime.pictures import read_photo
from sketchfast.runtime.sketch_or_photo import MOST_TONES, read_query, tone_share
from sketchfast.runtime.sketches import read_sketch


def sketch_of(number: int, seed: int, size: int = 256) -> np.ndarray:
    category = synthetic.CATEGORIES[number % len(synthetic.CATEGORIES)]
    return synthetic.instance(category, index=number, seed=seed).sketch(number % 3, size=size)


def on_paper(sketch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A camera's view of it: coloured paper, light from one side, pencil or pen, noise, JPEG."""
    height, width = sketch.shape[:2]
    grey = Image.fromarray(sketch).convert("L").filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1)))
    ink = 1 - np.asarray(grey).astype(np.float32) / 255
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 - rng.uniform(0, 0.3) * (np.cos(angle) * x + np.sin(angle) * y + 1) / 2
    paper = rng.uniform(190, 250, 3)
    page = paper * light[..., None] * (1 - rng.uniform(0.4, 0.9) * ink[..., None])
    page += rng.normal(0, 3, page.shape)
    file = BytesIO()
    Image.fromarray(np.clip(page, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file))


def refused(images) -> float:
    return float(np.mean([tone_share(image) > MOST_TONES for image in images]))


def test_drawings_pass_in_every_polarity_and_size_and_photos_do_not(seed):
    numbers = range(0, 42, 6)
    sketches = [sketch_of(i, seed) for i in numbers]
    assert refused(sketches) == refused([255 - sketch for sketch in sketches]) == 0
    assert refused([sketch_of(i, seed, 96) for i in numbers]) == 0
    assert refused([np.repeat(np.repeat(sketch, 3, 0), 3, 1) for sketch in sketches[:4]]) == 0
    coloured = [np.where(sketch < 128, np.uint8([200, 30, 160]), sketch) for sketch in sketches]
    assert refused(coloured) == 0, "a coloured pen"
    photos = [
        synthetic.instance(synthetic.CATEGORIES[i], index=i, seed=seed).photo(size=256) for i in numbers
    ]
    assert refused(photos) > 0.5


def test_drawings_on_coloured_or_shaded_paper_pass(seed):
    rng = np.random.default_rng(seed)
    assert refused([on_paper(sketch_of(i, seed), rng) for i in range(0, 42, 6)]) < 0.5


def test_areas_of_grey_or_colour_are_what_is_counted():
    page = np.full((200, 200, 3), 240, np.uint8)
    assert tone_share(page) == 0
    page[50:150, 50:150] = 0
    assert tone_share(page) == 0, "a silhouette is a drawing"
    page[50:150, 50:150] = 120
    assert 0.1 < tone_share(page) < 0.25, "the middle of it, far from anything lighter, may be paper"
    page[50:150, 50:150] = (200, 240, 30)
    assert tone_share(page) == pytest.approx(0.25, abs=0.02)
    page[50:150, 50:150] = 255
    assert tone_share(page) == 0
    for shape in ((1, 1), (1, 900), (3, 2), (700, 2)):
        assert tone_share(np.zeros((*shape, 3), np.uint8)) == 0


def test_the_message_names_the_file_and_the_way_on(tmp_path):
    photo = synthetic.instance("cat", index=1, seed=3).photo(size=128)
    Image.fromarray(photo).save(tmp_path / "cat.jpg")
    share = f"{tone_share(read_photo(tmp_path / 'cat.jpg')):.0%}"
    with pytest.raises(
        ValueError, match=rf"cat\.jpg looks like a photo.*{share}.*--allow-photo.*allow_photo=True"
    ):
        read_query(tmp_path / "cat.jpg")
    taken = read_query(tmp_path / "cat.jpg", allow_photo=True)
    assert np.array_equal(taken.image, read_sketch(tmp_path / "cat.jpg").image)


def test_strokes_are_sketches_and_other_errors_stay(tmp_path):
    (tmp_path / "d.ndjson").write_text('{"word": "cat", "drawing": [[[0, 255, 10], [0, 255, 200]]]}\n' * 2)
    assert read_query(tmp_path / "d.ndjson").image.shape == (256, 256, 3)
    assert read_query(f"{tmp_path / 'd.ndjson'}:1").image.min() == 0
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"notes\.png is not a"):
        read_query(tmp_path / "notes.png")
    with pytest.raises(IsADirectoryError):
        read_query(tmp_path)
    with pytest.raises(FileNotFoundError, match="gone"):
        read_query(tmp_path / "gone.png")
    Image.new("RGB", (40, 40), "white").save(tmp_path / "blank.png")
    with pytest.raises(ValueError, match=r"blank\.png is blank"):
        read_query(tmp_path / "blank.png")


def test_real_sketches_pass_and_real_photos_do_not(data_root, seed):
    rng = np.random.default_rng(seed)

    def some(pattern: str, count: int) -> list[Path]:
        files = sorted(data_root.glob(pattern))
        return [files[i] for i in rng.choice(len(files), min(count, len(files)), replace=False)]

    sketches = some("Sketchy/256x256/sketch/*/*/*.png", 30) + some("SketchParse/aligned/image/*.png", 10)
    drawings = [read_sketch(path).image for path in some("QuickDraw/*.ndjson", 10)]
    assert refused(map(read_photo, sketches)) == refused(drawings) == 0
    assert refused(map(read_photo, some("Sketchy/256x256/photo/*/*/*.jpg", 30))) > 0.8
