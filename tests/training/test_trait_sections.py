"""The report on trait networks and on finding the own photo: right numbers, pictures of the right sketches, hostile names."""

import html

import numpy as np
import pytest
import torch
from torch import nn

from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.metrics.classification import accuracy_difference
from sketchfast.metrics.instance_retrieval import InstanceScores, evaluate_instances
from sketchfast.metrics.trait_usage import TraitUsage
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.models.vtd import VTD, VTDConfig
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import write_report
from sketchfast.training.bar_chart import Bar, BarChart, BarPart, bar_chart
from sketchfast.training.instance_sections import (
    instance_categories_table,
    instance_grids,
    instance_methods_table,
    instance_numbers,
)
from sketchfast.training.instance_seeds import mean_of_seeds, means_table
from sketchfast.training.report_sections import PictureRow
from sketchfast.training.trait_pictures import shared_descriptors
from sketchfast.training.trait_sections import (
    DescribedSketches,
    attention_section,
    descriptor_cards,
    pair_section,
    reconstruction_rows,
    trait_sections,
    usage_sections,
)

HOSTILE = "<img src=x onerror=alert(1)>\"'"
NAMES = ["cat", HOSTILE, "bus"]
K = 6


class Bars(ImageSet):
    """A bar at the height of its number."""

    def __init__(self, labels, modality: str = "sketch", names=tuple(NAMES)):
        ids = [f"{HOSTILE} {modality} {i}" for i in range(len(labels))]
        super().__init__(names, labels, ids, modality)

    def load(self, i: int) -> np.ndarray:
        image = np.full((60, 80, 3), 255, np.uint8)
        image[2 + i : 5 + i, 10 : 30 + i] = 0
        return image


@pytest.fixture(scope="module")
def network() -> TraitNetwork:
    torch.manual_seed(1)
    return TraitNetwork(TraitConfig(descriptors=K, dim=8, channels=(8, 8, 8, 8, 8))).eval()


def described(assignments: list[list[int]], names=tuple(NAMES)) -> DescribedSketches:
    """The descriptors of the sketches of each category."""
    labels = np.repeat(np.arange(len(assignments)), [len(row) for row in assignments])
    flat = np.array([i for row in assignments for i in row])
    return DescribedSketches(Bars(labels, names=names), flat, TraitUsage.of(flat, labels, names, K))


def test_sketches_are_described_by_the_network(network) -> None:
    images = Bars([0, 1, 2, 0, 1])
    found = DescribedSketches.of(network, images)
    inputs = np.stack([network.preprocess(images.load(i), sketch=True) for i in range(5)])
    assert found.assignments.tolist() == network.assign(torch.from_numpy(inputs)).tolist()
    assert found.usage.counts.sum(axis=1).tolist() == [2, 2, 1]
    with pytest.raises(ValueError, match="one descriptor a sketch, got 4 for 5"):
        DescribedSketches(images, found.assignments[:4], found.usage)


def test_use_is_counted() -> None:
    seen = described([[0, 0, 1, 2], [0, 3], [0, 0, 0]])
    unseen = described([[0, 5]], ("dog",))
    numbers, how_evenly = usage_sections(
        seen, unseen, {"with revival": [0.5, 1.0], "without revival": [0.25]}
    )
    assert [(what, number) for what, number, _ in numbers.numbers] == [
        ("in use, training sketches", "66.7%"), ("used by each training category", "2.0 ± 0.8"),
        ("in use, unseen sketches", "33.3%"), ("used by each unseen category", "2.0 ± 0.0"),
        ("in use, with revival", "100.0%"), ("in use, without revival", "25.0%"),
    ]  # fmt: skip
    histogram, epochs = how_evenly.charts
    assert list(histogram.curves[0].y) == pytest.approx([6 / 9, 1 / 9, 1 / 9, 1 / 9, 0, 0])
    assert [(curve.name, list(curve.x), list(curve.y)) for curve in epochs.curves] == [
        ("with revival", [1, 2], [0.5, 1.0]), ("without revival", [1], [0.25]),
    ]  # fmt: skip
    assert len(usage_sections(seen)[1].charts) == 1


def test_descriptor_cards_show_the_categories_that_use_it_most(network) -> None:
    seen = described([[4] * 3 + [1], [4] * 4, [4, 1, 1, 1]])
    unseen = described([[4] * 3 + [0] * 3, [2]], ("dog", "pear"))
    assert shared_descriptors(seen, unseen) == [4]
    assert shared_descriptors(described([[1, 2], [1]])) == [
        1
    ]  # no descriptor has three sketches of two categories
    assert shared_descriptors(described([[1, 2], [3]])) == []
    card = descriptor_cards(network, seen, unseen).cards[0]
    assert [(bar.name, bar.parts[0].text, bar.parts[0].group) for bar in card.chart.bars] == [
        (HOSTILE, "100.0% (4)", 0), ("cat", "75.0% (3)", 0), ("dog", "50.0% (3)", 1), ("bus", "25.0% (1)", 0),
    ]  # fmt: skip
    alone, first, *_, last = card.strips
    assert len(alone.images) == 1 and alone.group is None
    assert (first.caption, len(first.images), first.group) == (f"{HOSTILE}, seen", 3, 0)
    assert (last.caption, len(last.images), last.group) == ("dog, unseen", 3, 1)
    # Spread over the four that there are: the first, one of the middle and the last.
    larger = Preprocess(**{**network.preprocess.to_dict(), "size": 128})
    for picture, i in zip((first.images[0], first.images[2]), (4, 7)):
        assert np.array_equal(picture, larger.resize_image(seen.images.load(i), sketch=True))


def test_reconstructions_show_the_descriptor_alone(network) -> None:
    sketches = described([[3, 1], [3], [3, 2]])
    section = reconstruction_rows(network, sketches, [0, 4])
    first, second = section.rows
    assert first.captions == ["", "", "descriptor 3", HOSTILE, "bus", ""]
    assert second.captions == ["", "", "descriptor 2", "", "", ""] and len(section.columns) == 6
    inputs = torch.from_numpy(network.preprocess(sketches.images.load(0), sketch=True))[None]
    with torch.no_grad():
        again, alone = network(inputs).reconstruction[0, 0], network.traits()[3, 0]
    for picture, values in zip(first.images[1:3], (again, alone)):
        levels = (values.clamp(-1, 1).numpy() + 1) * 127.5
        assert np.abs(picture[:, :, 0].reshape(64, 2, 64, 2).mean(axis=(1, 3)) - levels).mean() < 6


def test_pairs_are_close_or_far_as_they_say(network) -> None:
    names = ("a", "b", "c", "d", "few")
    sketches = described([[0] * 9 + [1], [0] * 10, [5] * 6 + [4] * 4, [5] * 10, [0] * 3], names)
    vectors = {"a": [1, 0], "b": [0, 1], "c": [0.9, 0.1], "d": [0.6, 0.8], "few": [1, 1]}
    semantic = {name: np.array(vector, np.float32) for name, vector in vectors.items()}
    section = pair_section(network, sketches, semantic, each=1)
    titles = [card.title for card in section.cards]
    assert titles == ["a and b", "a and c", "c and d"] and "few" not in "".join(titles)
    assert section.cards[0].note == "visually close, semantically far: Vis-Sim 0.994, Sem-Sim 0.000"
    assert [bar.name for bar in section.cards[0].chart.bars] == [
        "descriptor 0"
    ]  # the only one that both have
    assert section.cards[1].chart.bars[0].name == "descriptor 0"  # where they differ most
    assert [part.value for part in section.cards[1].chart.bars[0].parts] == [0.9, 0.0]
    visual = pair_section(network, sketches, each=1)
    assert [card.note.split(":")[0] for card in visual.cards] == ["visually closest", "visually farthest"]
    assert visual.cards[0].title == "a and b" and "Sem-Sim" not in visual.cards[0].note + visual.note
    assert pair_section(network, described([[0], [1]], ("a", "b"))).cards == []


def test_attention_is_shown_for_sketches_that_were_found(network) -> None:
    torch.manual_seed(2)
    config = VTDConfig("resnet10", "none", "small", width=0.125, descriptor_dim=8, samples=2)
    model = VTD(config, NAMES, Preprocess(size=32), network)
    pairs = PairedSet(Bars([0, 0, 1, 1, 2]), Bars([0, 0, 1, 1, 2], "photo"), np.arange(5))
    section = attention_section(model, pairs, np.array([3, 1, 3, 3, 2]), np.array([1, 5, 1, 1, 1]))
    assert section.columns == ["descriptor 3", "descriptor 2"]
    shown = [(row.caption.split("\n")[0], list(row.framed)) for row in section.rows[::2]]
    assert shown == [("cat", [0]), (HOSTILE, [0]), ("bus", [1])]
    with pytest.raises(ValueError, match="ranks must have one number a sketch, got 1 for 5"):
        attention_section(model, pairs, np.zeros(5, int), np.ones(1, int))


PAIRS = PairedSet(Bars([0, 0, 1, 1, 1]), Bars([0, 0, 1, 1, 1, 1], "photo"), np.array([0, 1, 2, 4, 5]))


def scores_of(ranks: list[int]) -> InstanceScores:
    return InstanceScores(NAMES, PAIRS.sketches.labels, np.array([2, 4, 0]), (1, 2), np.array(ranks))


METHODS = {"hard-transfer": scores_of([1, 2, 3, 2, 1]), "full": scores_of([1, 1, 2, 1, 4])}


def test_methods_are_compared_pairwise() -> None:
    table = instance_methods_table(METHODS, "full", "hard-transfer", "unseen", "Small.")
    assert table.columns == ["method", "Acc@1", "Acc@2", "difference to hard-transfer"]
    assert [row[0] for row in table.rows] == ["hard-transfer", "full", "chance"] and table.highlight == [1]
    value, low, high = accuracy_difference(METHODS["full"].right(1), METHODS["hard-transfer"].right(1))
    assert table.rows[1][-1] == f"{value:+.1%} [{low:+.1%}, {high:+.1%}]" and table.rows[0][-1] is None
    assert table.rows[1][1].value == 0.6 and table.rows[1][1].percent and table.rows[2][1] == "35.0%"
    numbers = instance_numbers(METHODS, "full", "hard-transfer", "unseen").numbers
    assert [number[:2] for number in numbers] == [
        ("Acc@1", "60.0%"), ("Acc@2", "80.0%"), ("hard-transfer, Acc@1", "40.0%"), ("hardest category", HOSTILE),
    ]  # fmt: skip
    categories = instance_categories_table(METHODS, "full", "hard-transfer", "unseen")
    assert categories.rows == [
        [HOSTILE, 3, 4, "33.3%", "66.7%", "33.3%", "+0.0%"], ["cat", 2, 2, "100.0%", None, "50.0%", "+50.0%"],
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"baseline must be one of the methods .*got 'chance'"):
        instance_methods_table(METHODS, "full", "chance", "unseen")
    fewer = InstanceScores(NAMES, np.zeros(2, int), np.array([2, 0, 0]), (1,), np.ones(2, int))
    with pytest.raises(ValueError, match="'few' scores 2 sketches, 'full' 5"):
        instance_methods_table({**METHODS, "few": fewer}, "full", "full", "unseen")


def test_what_every_order_finds_is_not_shown_as_a_score() -> None:
    scores = InstanceScores(
        NAMES, PAIRS.sketches.labels, np.array([2, 1, 0]), (1, 5), np.array([1, 2, 1, 1, 1])
    )
    methods = {"full": scores}
    assert scores.trivial == (5,)
    numbers = instance_numbers(methods, "full", "full", "unseen").numbers
    assert [number[:2] for number in numbers] == [("Acc@1", "80.0%"), ("Acc@5", "–")]
    assert "no category has more than 5 photos" in numbers[1][2]
    table = instance_methods_table(methods, "full", "full", "unseen")
    assert [row[2] for row in table.rows] == [None, None] and "Acc@5: no category has more" in table.note
    categories = instance_categories_table(methods, "full", "full", "unseen")
    assert categories.rows == [["cat", 2, 2, "50.0%", None], [HOSTILE, 3, 1, None, None]]
    means = means_table(mean_of_seeds({"full": [scores] * 2}, "none"), "none", [0, 1], "unseen")
    assert means.rows == [["full", "80.0%", None, None]] and "Acc@5: no category" in means.note


def test_grids_frame_the_own_photo(seed) -> None:
    random = np.random.default_rng(seed)
    pairs = PairedSet(Bars([0] * 3 + [1]), Bars([0] * 12 + [1], "photo"), np.array([2, 5, 0, 12]))
    distances = [random.random((3, 12)), np.ones((1, 1)), np.ones((0, 0))]
    distances[0][[0, 2], [2, 0]] = -1.0  # found first, so that only one row is found last
    distances[0][1, 5] = 2.0
    scores = evaluate_instances(distances, pairs)
    middle, last = instance_grids(pairs, distances, scores, "unseen")
    assert middle.key == ("own photo", "") and len(middle.rows) == 2
    worst = last.rows[0]
    assert worst.caption == "cat\nplace 12 of 12" and worst.right == [False] * 7 + [True]
    assert np.array_equal(worst.results[7], pairs.photos.load(5)) and worst.captions[7] == "2\nplace 12 of 12"
    nearest = np.argsort(distances[0][1])[:7]
    assert all(np.array_equal(shown, pairs.photos.load(p)) for shown, p in zip(worst.results, nearest))
    assert all(row.right.count(True) == 1 for row in (*middle.rows, *last.rows))
    with pytest.raises(ValueError, match="of the 4 sketches of 3 categories of pairs, got 4 sketches and 1"):
        instance_grids(pairs, distances[:1], scores, "unseen")


def test_bars_are_as_long_as_their_values_say() -> None:
    chart = BarChart(
        HOSTILE, [Bar(HOSTILE, [BarPart(0.5, 0, "half"), BarPart(0.0, 1)]), Bar("b", [BarPart(1.0)])]
    )
    drawn = str(bar_chart(chart))
    widths = [
        float(part.split('"')[1]) for part in drawn.split("<rect ")[1:] for part in [part.split("width=")[1]]
    ]
    assert widths[0] == pytest.approx(widths[2] / 2) and widths[1] < 1
    assert "<img" not in drawn and "no values" in str(bar_chart(BarChart("none", [])))
    with pytest.raises(ValueError, match="'b' must be 0 or more, got nan"):
        BarChart("a", [Bar("b", [BarPart(float("nan"))])])
    with pytest.raises(ValueError, match="'a': 1 captions for 2 images"):
        PictureRow("a", [np.zeros((2, 2, 3), np.uint8)] * 2, captions=["one"])


def test_a_report_of_everything_keeps_names_text(network, tmp_path) -> None:
    seen = described([[0, 1, 0] * 4, [0] * 12, [1, 2, 0] * 4])
    unseen = described([[0, 1] * 6, [0] * 10], ("dog", HOSTILE))
    sections = [
        *trait_sections(network, seen, unseen),
        *instance_grids(PAIRS, [np.eye(2), np.ones((3, 4)), np.ones((0, 0))], scores_of([1] * 5), HOSTILE),
        instance_methods_table(METHODS, "full", "full", HOSTILE),
    ]
    assert [section.kind for section in sections[:5]] == ["numbers", "charts", "cards", "rows", "cards"]
    text = write_report(tmp_path, HOSTILE, [], sections).read_text()
    assert "<img src=x" not in text and html.escape("<img src=x onerror") in text
    assert isinstance(network, nn.Module) and not network.training
