"""What a run of more photos found: numbers of tables and charts, pictures in the right places, files and reports."""

import html
import json
import math

import numpy as np
import pytest
import torch

from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.metrics.certainty import certainty_levels
from sketchfast.metrics.classification import evaluate_classification
from sketchfast.metrics.generation import FID, GenerationScores, drawings_of
from sketchfast.metrics.instance_retrieval import InstanceSearch, evaluate_instances
from sketchfast.models.sketch_samples import SketchSamples
from sketchfast.training import write_report
from sketchfast.training.drawing_pictures import SIDE, attention_picture, fitted, stages_of, stroke_picture
from sketchfast.training.drawing_sections import beside_rows, certainty_rows, step_rows, temperature_rows
from sketchfast.training.more_photos_results import (
    Components,
    Drawn,
    Judged,
    Likelihood,
    MorePhotosResults,
    Retrieved,
    ShownDrawings,
    Timed,
)

HOSTILE = "<img src=x onerror=alert(1)>\"'"
PHOTOS, SKETCHES = 5, 8


class Squares(ImageSet):
    """A grey square whose level is the item's number."""

    def __init__(self, count: int, modality: str):
        super().__init__([HOSTILE], [0] * count, [f"{HOSTILE}{modality}{i}" for i in range(count)], modality)

    def load(self, i: int) -> np.ndarray:
        return np.full((30, 20, 3), 10 * i, np.uint8)


def pairs() -> PairedSet:
    """Photo 4 was not drawn."""
    return PairedSet(Squares(SKETCHES, "sketch"), Squares(PHOTOS, "photo"), np.arange(SKETCHES) % 4)


def found(ranks: list[int], of: PairedSet) -> InstanceSearch:
    """Distances in which the own photo of each sketch has this place."""
    distances = np.empty((len(of), PHOTOS), np.float32)
    for row, (rank, own) in enumerate(zip(ranks, of.photo_of)):
        others = np.setdiff1d(np.arange(PHOTOS), own)
        distances[row, np.insert(others, rank - 1, own)] = np.arange(PHOTOS)
    scores = evaluate_instances([distances], of, (1, 3))
    assert scores.ranks.tolist() == ranks
    return InstanceSearch(scores, np.zeros((1, 1)), np.zeros((1, 1)), [distances])


def drawn(seed: int, generator: str, ranks: list[int], fid: float) -> Drawn:
    own = drawings_of(pairs().photos, np.full((PHOTOS, 8, 8), 100 + seed, np.uint8))
    scores = np.eye(4)[[0, 0, 1, 1, 2]]  # the photos are of class 0; ties count against it
    named = evaluate_classification(scores, [0] * PHOTOS, ["a", "b", "c", "d"], at=(1, 3))
    return Drawn(seed, generator, own, GenerationScores(named, found(ranks, own).scores, fid, (5, 9, 30)))


def samples(lengths: list[int], attention: bool = True) -> SketchSamples:
    """Drawings along a line to the right, 0.1 a step, that lift after their second point."""
    steps = max(lengths)
    offsets = torch.zeros(len(lengths), steps, 2)
    offsets[..., 0] = 0.1
    pen = torch.zeros(len(lengths), steps, dtype=torch.int64)
    pen[:, 1] = 1
    for row, length in enumerate(lengths):
        offsets[row, length:], pen[row, length:] = 0, 2
    looked = torch.full((len(lengths), steps, 2, 2), 0.25) if attention else None
    return SketchSamples(offsets, pen, torch.tensor(lengths), offsets, torch.zeros(1), looked)


def results(seeds=(0, 1)) -> MorePhotosResults:
    test = pairs()
    places = {
        "supervised": [1, 1, 2, 5, 4, 1, 3, 2],
        "full": [1, 1, 1, 2, 4, 1, 3, 1],
        "vanilla-ssl": [5, 1, 2, 5, 4, 1, 3, 2],
    }
    made_by = {"full": "ours-g-full", "vanilla-ssl": "ours-g"}
    retrieved = [
        Retrieved(seed, method, found([min(5, r + seed) for r in ranks], test), 1.0, made_by.get(method))
        for seed in seeds
        for method, ranks in places.items()
    ]
    retrieved += [Retrieved(s, m, found([3] * 8, test), 0.5) for s in seeds for m in ("supervised", "full")]
    generators = [drawn(s, "ours-g", [2, 2, 1, 5, 3], 4.0 + s) for s in seeds]
    generators += [drawn(s, "ours-g-full", [1, 2, 1, 1, 3], 2.0 + s) for s in seeds]
    judged = [
        Judged(
            s,
            "full",
            certainty_levels([0.15, 0.2, 0.85, 0.9, 0.5], [5, 4, 1, 1, 3], PHOTOS),
            generators[0].drawings,
        )
        for s in seeds
    ]
    pictures = {t: np.full((2, 8, 8), 50, np.uint8) for t in (1.0, 0.2, 0.5, 0.8)}
    return MorePhotosResults(
        "made up", test, seeds,
        found=retrieved, drawn=generators, judged=judged,
        timed=[Timed(s, "full", 0.5, 50.0) for s in seeds],
        likelihoods=[Likelihood(0, HOSTILE, [2.0, 1.0, 0.5])],
        components={"full": Components(), "vanilla-ssl": Components(False, False, True, False),
                    "no-teacher": Components(teacher=False)},
        shown=[ShownDrawings("ours-g-full", [0, 4], samples([7, 3]), pictures),
               ShownDrawings("decoder alone", (), None, pictures, np.zeros((1, 8, 8), np.uint8))],
    )  # fmt: skip


def test_what_is_kept() -> None:
    kept = json.loads(json.dumps(results().to_dict()))
    assert len(kept["rows"]) == 10 and len(kept["generation"]) == 4
    full = kept["means"][1]
    assert full["method"] == "full"  # 5 of 8 first with seed 0, none with seed 1
    assert full["accuracy"]["1"] == pytest.approx(5 / 16)
    assert full["gain"]["1"][0] == pytest.approx(2 / 16)
    assert kept["generation_means"]["ours-g-full"]["fid"] == pytest.approx([2.5, math.sqrt(0.5)])
    assert kept["generation_means"]["ours-g"]["retrieval@1"] == pytest.approx([0.2, 0.0])
    assert kept["generation_means"]["ours-g"]["recognition@1"] == pytest.approx([0.4, 0.0])
    assert kept["components"] == {
        "full": {"weighting": True, "teacher": True, "attention": True, "joint": True},
        "vanilla-ssl": {"weighting": False, "teacher": False, "attention": True, "joint": False},
    }
    assert kept["certainty"][0]["counts"] == [0, 1, 1, 0, 0, 1, 0, 0, 1, 1]
    assert kept["rasterization"][1]["share"] == 0.01
    assert kept["likelihoods"] == [{"seed": 0, "decoder": HOSTILE, "epochs": [2.0, 1.0, 0.5]}]


def test_what_is_printed() -> None:
    printed = str(results())
    for line in (
        "seed 0",
        "full, 50% of the labelled photos: Acc@1 0.000  Acc@3 1.000",
        "supervised, 100% of the labelled photos: Acc@1 0.188  Acc@3 0.688",
        "sketches of ours-g: recognition@1 40.0% ± 0.0  recognition@3 40.0% ± 0.0  retrieval@1 20.0% ± 0.0  "
        "retrieval@3 80.0% ± 0.0  fid 4.5 ± 0.71",
        "held-out negative log-likelihood, nats a point: 2.000 before training, 0.500 after 2 epochs",
        "full, rasterization: 1.00% of joint training (1.00 s of 100.0 s)",
        "Spearman +",
        "5 generated and 9 real sketches for 30 dimensions",
    ):
        assert line in printed, line


def test_tables() -> None:
    sections = {section.title: section for section in results().sections({})}
    generation = sections["Generated sketches"]
    assert generation.columns == [
        "generator", "Recognition @1", "Recognition @3", "Retrieval @1", "Retrieval @3", FID,
    ]  # fmt: skip
    assert generation.rows[1][0] == "ours-g-full"
    assert generation.rows[1][1:4] == ["40.0% ± 0.0", "40.0% ± 0.0", "60.0% ± 0.0"]
    assert generation.rows[1][4:] == ["100.0% ± 0.0", "2.5 ± 0.71"]
    assert generation.rows[2] == ["chance", "25.0%", "75.0%", "20.0%", "60.0%", None]
    assert list(generation.highlight) == [1]  # what the full method learnt from
    ablation = sections["What each part adds"]
    assert ablation.columns[:7] == ["method", "IW", "TR", "AT", "JT", "Acc@1", "Acc@3"]
    assert [row[:5] for row in ablation.rows] == [["full", *"✓✓✓✓"], ["vanilla-ssl", *"✗✗✓✗"]]
    assert ablation.rows[0][5] == "31.2% ± 44.2" and ablation.rows[0][8] == "60.0% ± 0.0"
    table = sections["Retrieval of test photos: methods side by side"]
    assert table.columns[3:] == ["Acc@1 of each seed", "Acc@1, difference to supervised"]
    assert table.rows[0] == ["supervised", "18.8% ± 26.5", "68.8% ± 8.8", "37.5, 0.0", None]
    assert table.rows[1][3] == "62.5, 0.0" and table.rows[1][4].startswith("+12.5% [")
    assert table.rows[-1] == ["chance", "20.0%", "60.0%", None, None] and list(table.highlight) == [1]
    headline = sections["Retrieval of test photos: full, mean of the seeds"].numbers
    assert headline[0] == ("Acc@1", "31.2%", "chance 20.0%")
    assert headline[2][:2] == ("supervised, Acc@1", "18.8%") and headline[2][2].startswith("full: +12.5%")
    assert ("full, rasterization", "1.00%", "1.00 s of 100.0 s") in sections["Time"].numbers


def test_charts() -> None:
    sections = {section.title: section for section in results().sections({})}
    average, counts = sections["Is the discriminator certain of the good sketches?"].charts
    assert list(average.curves[0].x) == pytest.approx(np.arange(10) / 10 + 0.05)
    expected = [math.nan, 0.0, 0.25, *[math.nan] * 2, 0.5, *[math.nan] * 2, 1.0, 1.0]
    assert list(average.curves[0].y) == pytest.approx(expected, nan_ok=True)
    assert list(counts.curves[0].y) == pytest.approx([0, 0.2, 0.2, 0, 0, 0.2, 0, 0, 0.2, 0.2])
    assert average.curves[-1].y == [0.5, 0.5]
    first, third = sections["With fewer labelled photos"].charts
    assert (first.title, third.title) == ("Acc@1", "Acc@3")
    lines = {curve.name: curve for curve in first.curves if not curve.faint}
    assert set(lines) == {"supervised", "full"}  # what one share is known of is left out
    assert lines["full"].x == [50, 100] and lines["full"].y == pytest.approx([0, 5 / 16])
    fell = sections["Negative log-likelihood of held-out strokes"]
    assert fell.charts[0].curves[0].x == [0, 1, 2] and "from 2 to 0.5" in fell.note


def test_one_seed_and_only_some_results() -> None:
    one = results(seeds=(0,))
    titles = [section.title for section in one.sections({})]
    assert not any("mean of the seeds" in title for title in titles)
    assert one.generation["ours-g"]["fid"].number() == "4"
    alone = MorePhotosResults(
        "strokes", None, [0], likelihoods=[Likelihood(0, "chairs", [3.0, 2.5])], shown=[one.shown[1]]
    )
    told = [section.title for section in alone.sections({})]
    assert told == [
        "Data",
        "decoder alone: samples at 4 temperatures",
        "Negative log-likelihood of held-out strokes",
    ]
    json.dumps(alone.to_dict())
    assert "2.500 after 1 epochs" in str(alone)
    other = MorePhotosResults("x", pairs(), [0], found=[Retrieved(0, "sn-triplet", found([1] * 8, pairs()))])
    assert other.main_method == "sn-triplet" and other.main_generator is None
    assert len(other.sections({})) >= 4 and "sn-triplet" in str(other)
    drawings = MorePhotosResults("x", pairs(), [0], drawn=[drawn(0, "pix2pix", [1, 2, 3, 4, 5], 1.0)])
    assert [s.title for s in drawings.sections({})] == [
        "Data", "Generated sketches", "Photos, real sketches and generated ones",
    ]  # fmt: skip


def test_pictures_beside_one_another() -> None:
    test = pairs()
    one, other = drawn(0, "a", [5, 4, 3, 2, 1], 1.0), drawn(7, "b", [1, 1, 1, 1, 1], 1.0)
    section = beside_rows(
        test, {"a": one.drawings, "b": other.drawings}, {"a": one.scores.retrieval, "b": None}, "a"
    )
    assert section.columns == ["photo", "real sketch", "a", "b"]
    first, *_, last = section.rows  # best place first
    assert first.captions == ["", "nobody drew it", "place 1 of 5", ""]
    assert last.captions == ["", "", "place 5 of 5", ""]
    assert last.images[0][0, 0, 0] == 0 and first.images[0][0, 0, 0] == 40
    real = section.rows[3].images[1]  # the first sketch of photo 1, with the margin and size of drawings
    assert real.shape == (8, 8, 3) and real[4, 4, 0] == 10
    assert last.images[2].shape == (8, 8, 3) and last.images[3][0, 0, 0] == 107
    with pytest.raises(ValueError, match="main must be one of the generators"):
        beside_rows(test, {"a": one.drawings}, {}, "c")
    stranger = drawings_of(test.photos.subset([0, 1]), np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(ValueError, match="those of 'c' are of other photos"):
        beside_rows(test, {"c": stranger}, {}, "c")


def test_stages_share_the_points() -> None:
    looked = np.zeros((8, 2, 3))
    looked[:4, 0, 0], looked[4:, 1] = 1, 1 / 3
    first, second = stages_of(8, looked, 2)
    assert (first.first, first.last, second.first, second.last) == (0, 4, 4, 8)
    assert first.focus == pytest.approx(6) and second.focus == pytest.approx(2)
    assert np.allclose(first.looked, looked[0]) and np.allclose(second.looked, looked[7])
    assert [(s.first, s.last) for s in stages_of(3, None, 6)] == [(0, 1), (1, 2), (2, 3)]
    assert stages_of(0, looked, 6) == []
    assert [s.last for s in stages_of(7, None, 3)] == [2, 5, 7]


def test_strokes_are_drawn_stage_by_stage() -> None:
    points = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    lifts = np.array([False, False, False, True])
    places = fitted(points)
    near, far = SIDE / 16, SIDE * 15 / 16
    np.testing.assert_allclose(places, [[near, near], [far, near], [far, far], [near, far]])
    upper, right, lower = (
        (int(near), SIDE // 2), (SIDE // 2, int(far)), (int(far), SIDE // 2)
    )  # fmt: skip
    first, second = stages_of(4, None, 2)
    one, two = stroke_picture(places, lifts, first), stroke_picture(places, lifts, second)
    assert one[upper].max() < 60 and one[right].min() == 255 and one[lower].min() == 255
    assert 130 < two[upper].mean() < 180 and two[right].max() < 60 and two[lower].max() < 60
    pen = one[int(near), int(far)]
    assert pen[2] > 180 > pen[0]  # blue: the pen stands there, the drawing goes on
    assert two[int(far), int(near)].max() < 60  # no pen where the drawing has ended
    lifted = stroke_picture(places, np.array([False, True, False, True]), second)
    assert lifted[right].min() == 255 and lifted[lower].max() < 60
    assert fitted(np.array([[3.0, 4.0]])).tolist() == [[SIDE / 2, SIDE / 2]]
    assert fitted(np.zeros((0, 2))).shape == (0, 2)


def test_attention_is_coloured_by_how_uneven_it_is() -> None:
    white = np.full((10, 14, 3), 255, np.uint8)
    even = attention_picture(white, np.full((4, 4), 1 / 16))
    assert even.shape == (SIDE, SIDE, 3) and even.min() == 255
    looked = np.full((4, 4), 0.5 / 15)
    looked[0, 3] = 0.5  # eight times even
    uneven = attention_picture(white, looked)
    assert uneven[5, -5].tolist() == [178, 20, 45] and uneven[-5, 5].min() == 255
    black = attention_picture(np.zeros_like(white), np.full((4, 4), 1 / 16))
    assert black.max() == 150  # light enough for colours


def test_a_drawing_step_by_step() -> None:
    test = pairs()
    section = step_rows(samples([7, 3]), test, [2, 4], "g", stages=4)
    long, short = section.rows
    assert section.columns == ["photo", "stage 1", "stage 2", "stage 3", "stage 4"]
    said = [
        "points 1–2",
        "points 3–4",
        "point 5",
        "points 6–7",
    ]  # 7 points in 4 stages: to 1.75, 3.5, 5.25, 7
    assert long.captions[1:] == [f"{points}\nat most 1.0x even" for points in said]
    assert short.captions[1:4] == [
        "point 1\nat most 1.0x even",
        "point 2\nat most 1.0x even",
        "point 3\nat most 1.0x even",
    ]
    assert short.captions[4] == "" and short.images[4].min() == 255
    assert long.images[0][0, 0, 0] == 20 and "mean: 1.0 times even" in section.note
    blind = step_rows(samples([7, 3], attention=False), test, [2, 4], "g", stages=4)
    assert blind.rows[1].captions[1:] == ["point 1", "point 2", "point 3", ""] and "Red" not in blind.note
    empty = samples([2, 2])
    empty.lengths[1] = 0
    assert step_rows(empty, test, [2, 4], "g").rows[1].captions[1] == ""
    with pytest.raises(ValueError, match="one drawing of each of 3 photos, got 2"):
        step_rows(samples([7, 3]), test, [0, 1, 2], "g")


def test_temperatures_ascend_below_what_they_are_of() -> None:
    conditional, alone = results().shown
    section = temperature_rows(conditional, pairs())
    assert [row.caption for row in section.rows] == [
        "photos", "real sketches", "temperature 0.2", "temperature 0.5", "temperature 0.8", "temperature 1",
    ]  # fmt: skip
    assert (
        section.rows[0].images[1][0, 0, 0] == 40 and section.rows[1].images[1].min() == 255
    )  # nobody drew photo 4
    without = temperature_rows(alone, None)
    assert [row.caption for row in without.rows][:2] == ["real sketches", "temperature 0.2"]
    assert without.rows[0].images[0].max() == 0 and without.rows[0].images[1].min() == 255


def test_most_and_least_certain() -> None:
    judged = results().judged[0]
    section = certainty_rows(judged.levels, judged.drawings, "t")
    assert [row.caption for row in section.rows] == ["most certain", "", "least certain", ""]
    assert section.rows[1].captions[0] == "certainty 0.90\npercentile 1.00"
    assert section.rows[3].captions[0] == "certainty 0.15\npercentile 0.00"
    assert section.rows[0].images[0][0, 0, 0] == 30 and section.rows[2].images[0][0, 0, 0] == 0
    with pytest.raises(ValueError, match="levels must be of the 2 sketches"):
        certainty_rows(judged.levels, judged.drawings.subset([0, 1]), "t")


def test_the_report_escapes_names_and_shows_all(tmp_path) -> None:
    made = results()
    history = [{"kind": "train", "step": 1, "epoch": 1, "lr": 0.1, "loss": 1.0}]
    path = write_report(tmp_path, "More photos", [], made.sections({HOSTILE: history}))
    page = path.read_text(encoding="utf-8")
    assert "<img src=x" not in page and html.escape(HOSTILE, quote=False)[:20] in page
    for section in made.sections({HOSTILE: history}):
        assert html.escape(section.title, quote=False)[:30] in page or "'" in section.title
