"""SketchParser: any image in, a mask at its own size out, with only the labels its category has."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from sketchfast.data.part_augment import prepare
from sketchfast.data.part_tables import PARTS
from sketchfast.models import DeepSSP, DeepSSPConfig, SketchParser
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.checkpoint import save_model

CATEGORIES = {name: len(PARTS[name]) + 1 for name in ("bird", "cow", "bus")}


@pytest.fixture(scope="module")
def model() -> DeepSSP:
    torch.manual_seed(5)
    config = DeepSSPConfig("resnet10", "none", width=0.125, dilations=(1, 2), categories=CATEGORIES)
    model = DeepSSP(config, Preprocess(size=49)).eval()
    for branch in model.nets[0][0].branches:
        for conv in branch.classifier.convs:
            nn.init.normal_(conv.weight, std=1.0)  # or one label would win everywhere
    return model


def drawing(seed: int, height: int, width: int) -> np.ndarray:
    """A page with a few black bars."""
    rng = np.random.default_rng(seed)
    page = np.full((height, width), 255, np.uint8)
    for _ in range(4):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        page[y : y + 3, : x + 1] = 0
        page[:, x : x + 3] = np.minimum(page[:, x : x + 3], rng.integers(0, 256, (height, 1), np.uint8))
    page[0, 0], page[-1, -1] = 0, 255
    return page


@pytest.mark.filterwarnings("ignore:image shows no ink")  # one pixel is all ground
@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (2, 3), (49, 49), (40, 77), (300, 211)])
def test_masks_have_the_images_size(model: DeepSSP, seed: int, shape: tuple[int, int]) -> None:
    page = drawing(seed, *shape)
    for name in CATEGORIES:
        found = SketchParser(model).parse(page, name)
        assert found.mask.shape == shape and found.mask.dtype == np.uint8
        assert set(np.unique(found.mask).tolist()) <= set(found.part_names)
        assert found.part_names == model.labels_of(name) and found.part_names[0] == "background"
        assert found.pixels == {label: int((found.mask == label).sum()) for label in found.part_names}
        assert sum(found.pixels.values()) == page.size
        assert found.category == name and found.score is None


@pytest.mark.parametrize("homogeneous", [True, False])
def test_the_mask_is_the_argmax_of_resized_logits(model: DeepSSP, seed: int, homogeneous: bool) -> None:
    page = drawing(seed, 120, 200)
    model.config.homogeneous = homogeneous
    try:
        found = SketchParser(model).parse(page, "bird", logits=True)
        image = prepare(found.sketch, 49, homogeneous=homogeneous, threshold=128)
    finally:
        model.config.homogeneous = True
    values = torch.from_numpy(model.preprocess.normalize(np.repeat(image[:, :, None], 3, axis=2)))
    with torch.inference_mode():
        fused = model(values[None], "flying")[-1]
    small = F.interpolate(fused, size=(49, 49), mode="bilinear", align_corners=True)
    assert found.logits is not None
    used = list(found.part_names)
    np.testing.assert_allclose(found.logits[used], small[0, used], rtol=1e-5, atol=1e-4)
    large = F.interpolate(small[:, used].double(), size=(120, 200), mode="bilinear", antialias=True)[0]
    expected = np.array(used)[large.argmax(dim=0)]
    two = large.topk(2, dim=0).values
    certain = (two[0] - two[1] > 1e-3).numpy()
    assert len(np.unique(found.mask)) > 1
    assert certain.mean() > 0.9 and (found.mask == expected)[certain].all()


def test_files_and_arrays_of_every_kind_agree(model: DeepSSP, seed: int, tmp_path: Path) -> None:
    page = drawing(seed, 60, 80)
    rgb = np.repeat(page[:, :, None], 3, axis=2)
    opaque = np.dstack([rgb, np.full_like(page, 255)])
    inked = np.dstack([np.zeros_like(rgb), 255 - page])  # black ink on a transparent ground
    Image.fromarray(page).save(tmp_path / "page.png")
    parser = SketchParser(model)
    expected = parser.parse(page, "cow")
    for image in (rgb, opaque, inked, 255 - page if page.mean() > 140 else page, tmp_path / "page.png"):
        found = parser.parse(image, "cow")
        assert np.array_equal(found.sketch, expected.sketch)
        assert np.array_equal(found.mask, expected.mask)
    (tmp_path / "page.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0 L50 80"/></svg>'
    )
    assert parser.parse(tmp_path / "page.svg", "cow").mask.shape == (256, 256)


def test_the_category_is_given_or_classified_or_guessed(model: DeepSSP, seed: int, tmp_path: Path) -> None:
    page = drawing(seed, 50, 50)
    guessed = SketchParser(model).parse(page)
    assert guessed.category in CATEGORIES
    assert guessed.score is not None and 1 / 3 - 1e-6 <= guessed.score <= 1
    seen: list[np.ndarray] = []

    def classifier(sketch: np.ndarray) -> tuple[str, float]:
        seen.append(sketch)
        return "bus", 0.75

    found = SketchParser(model, classifier).parse(page)
    assert (found.category, found.score) == ("bus", 0.75)
    assert seen[0].shape == page.shape and seen[0].dtype == np.uint8
    assert SketchParser(model, lambda _: "cow").parse(page).score is None
    assert SketchParser(model, classifier).parse(page, "cow").category == "cow" and len(seen) == 1
    for call in (
        lambda: SketchParser(model).parse(page, "unicorn"),
        lambda: SketchParser(model, lambda _: "unicorn").parse(page),
    ):
        with pytest.raises(ValueError, match="'unicorn' is unknown to this model; it knows bird, cow, bus"):
            call()
    save_model(tmp_path / "run", model)
    again = SketchParser(tmp_path / "run")
    assert again.categories == list(CATEGORIES)
    assert np.array_equal(again.parse(page, "cow").mask, SketchParser(model).parse(page, "cow").mask)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_page_without_ink_is_background_with_a_warning(model: DeepSSP, level: int) -> None:
    for category in (None, "bird"):
        with pytest.warns(UserWarning, match="image shows no ink"):
            found = SketchParser(model).parse(np.full((7, 9), level, np.uint8), category)
        assert found.blank and not found.mask.any() and found.mask.shape == (7, 9)
        assert found.category == category and found.pixels[0] == 63
    assert len(found.part_names) == 6


def test_images_that_are_none(model: DeepSSP, tmp_path: Path) -> None:
    parser = SketchParser(model)
    for image, match in (
        (np.zeros((4, 4), np.float32), "uint8, got float32"),
        (np.zeros((4, 4), bool), "uint8, got bool"),
        ([[0]], "uint8, got list"),
    ):
        with pytest.raises(TypeError, match=match):
            parser.parse(image, "cow")  # type: ignore[arg-type]
    for shape in ((0, 4), (4, 0, 3), (4,), (4, 4, 2), (1, 4, 4, 3)):
        with pytest.raises(ValueError, match="image must have the shape"):
            parser.parse(np.zeros(shape, np.uint8), "cow")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        parser.parse(tmp_path / "nowhere.png")
