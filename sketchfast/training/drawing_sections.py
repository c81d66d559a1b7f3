"""Report sections with the sketches that a generator draws: beside real ones, step by step, at several temperatures, and judged.

Figure 3 of Bhunia et al., CVPR 2021, and the examples that its supplementary material, section B, announces for figure 4a.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sketchfast.canvas import MARGIN
from sketchfast.runtime.preprocess import INK_BELOW, Preprocess
from sketchfast.training.drawing_pictures import (
    attention_picture,
    blank,
    fitted,
    picture_of,
    spread,
    stages_of,
    stroke_picture,
)
from sketchfast.training.report_sections import PictureRow, PictureRowsSection, Section

if TYPE_CHECKING:
    from sketchfast.data.instances import PairedSet
    from sketchfast.metrics.certainty import CertaintyLevels
    from sketchfast.metrics.instance_retrieval import InstanceScores
    from sketchfast.models.sketch_samples import SketchSamples

SHOWN_PHOTOS, SHOWN_STAGES, SHOWN_DRAWINGS = 8, 6, 8
_PAGE = 950  # pixels that a page has for pictures side by side, right of the captions


@dataclass
class ShownDrawings:
    """What one generator draws, for pictures.

    title: whose drawings, such as "ours-g-full" or "decoder alone, chairs".
    rows: the test photos that `steps` and `temperatures` are of, positions in ``test.photos``; empty without photos.
    steps: one drawing of each of them, with attention where the generator has it (figure 3); None: not shown step by step.
    temperatures: temperature -> uint8 [n, S, S], one drawing of each of `rows`, or n drawings without photos.
    real: uint8 [m, S, S], real sketches with the same pen, for a decoder without photos.
    """

    title: str
    rows: Sequence[int] | np.ndarray = ()
    steps: SketchSamples | None = None
    temperatures: Mapping[float, np.ndarray] = field(default_factory=dict)
    real: np.ndarray | None = None

    def sections(self, test: PairedSet | None) -> list[Section]:
        """test: whose photos the rows are of; None: a decoder without photos."""
        sections: list[Section] = []
        if self.steps is not None and test is not None:
            sections.append(step_rows(self.steps, test, self.rows, self.title))
        if self.temperatures:
            sections.append(temperature_rows(self, test))
        return sections


def beside_rows(
    test: PairedSet,
    drawings: Mapping[str, PairedSet],
    scores: Mapping[str, InstanceScores | None],
    main: str,
    title: str = "Photos, real sketches and generated ones",
) -> PictureRowsSection:
    """A row for each of eight photos: the photo, a real sketch of it, and what each generator drew.

    test: real sketches and the photos. drawings: generator -> its sketches of the same photos. scores: generator -> where each
    sketch's photo was found, or None. The photos are spread from where the drawing of `main` finds them best to worst.
    ValueError when `main` is no generator, or one has other photos.
    """
    if main not in drawings:
        raise ValueError(f"main must be one of the generators {list(drawings)}, got {main!r}")
    for name, pairs in drawings.items():
        if pairs.photos.ids != test.photos.ids:
            raise ValueError(f"drawings: those of {name!r} are of other photos than test.photos")
    ranked = scores.get(main)
    of = drawings[main].photo_of
    order = np.arange(len(of)) if ranked is None else np.argsort(ranked.ranks, kind="stable")
    side = drawings[main].sketches.load(0).shape[0] if len(of) else 64
    rows = []
    for place in spread(order, SHOWN_PHOTOS):
        p = int(of[place])
        real = np.flatnonzero(test.photo_of == p)
        pictures = [test.photos.load(p), real_sketch(test, int(real[0]), side) if len(real) else blank()]
        captions = ["", "" if len(real) else "nobody drew it"]
        for name, pairs in drawings.items():
            own = np.flatnonzero(pairs.photo_of == p)
            pictures.append(pairs.sketches.load(int(own[0])) if len(own) else blank())
            found = scores.get(name)
            captions.append(_place(found, int(own[0])) if found is not None and len(own) else "")
        rows.append(PictureRow(_caption(test, p), pictures, captions=captions))
    note = (
        "Test photos, which no network was trained on. Below a generated sketch: at which place it finds its photo. "
        f"The rows are spread over these places of {main}, from its best to its worst."
    )
    columns = ["photo", "real sketch", *drawings]
    return PictureRowsSection(title, columns, rows, note, side=_side(len(columns)))


def real_sketch(test: PairedSet, i: int, side: int) -> np.ndarray:
    """Sketch i of the test set as networks see it, uint8 [side, side, 3]: with the pen that drawings have."""
    return test.sketches.picture(i, Preprocess(size=side, ink_margin=MARGIN))


def step_rows(
    samples: SketchSamples,
    test: PairedSet,
    rows: Sequence[int] | np.ndarray,
    title: str,
    stages: int = SHOWN_STAGES,
) -> PictureRowsSection:
    """Figure 3: drawings in stages over the attention of each, one row a photo; positions `rows` in ``test.photos``.

    samples: a drawing of each of the photos. ValueError when they are not equally many.
    """
    if len(samples.lengths) != len(rows):
        raise ValueError(
            f"samples must be one drawing of each of {len(rows)} photos, got {len(samples.lengths)}"
        )
    points, lifts = (values.float().cpu().numpy() for values in (samples.points(), samples.lifts()))
    attention = None if samples.attention is None else samples.attention.float().cpu().numpy()
    shown, focused = [], []
    for row, p in enumerate(map(int, rows)):
        length, photo = int(samples.lengths[row]), test.photos.load(p)
        path, pen = points[row, :length], lifts[row, :length] > 0
        places = fitted(path)
        pictures, captions = [photo], [""]
        for stage in stages_of(length, None if attention is None else attention[row], stages):
            on = None if stage.looked is None else attention_picture(photo, stage.looked)
            pictures.append(stroke_picture(places, pen, stage, on))
            said = (
                f"point {stage.last}"
                if stage.last - stage.first == 1
                else f"points {stage.first + 1}–{stage.last}"
            )
            captions.append(said if stage.looked is None else f"{said}\nat most {stage.focus:.1f}x even")
            focused.append(stage.focus)
        lacking = stages + 1 - len(pictures)
        shown.append(
            PictureRow(
                _caption(test, p),
                [*pictures, *[blank()] * lacking],
                captions=[*captions, *[""] * lacking],
            )
        )
    note = "Dark: the lines of this stage; grey: those before; blue: where the pen stands."
    if attention is not None:
        note += (
            " Red: where the generator looked while it drew the dark lines, the mean of their steps. Full colour is three times "
            "what a place would get if attention were even, none even or less. The drawing fills its frame as networks see it: "
            "a line need not lie where it is in the photo."
        )
        if focused:
            note += f" Largest attention of a stage, mean: {np.mean(focused):.1f} times even."
    columns = ["photo", *(f"stage {stage}" for stage in range(1, stages + 1))]
    return PictureRowsSection(f"{title}: drawn step by step", columns, shown, note, side=_side(len(columns)))


def temperature_rows(shown: ShownDrawings, test: PairedSet | None) -> PictureRowsSection:
    """Rows of drawings, one for each temperature, below the photos and real sketches they are to resemble."""
    count = min(SHOWN_DRAWINGS, *(len(drawn) for drawn in shown.temperatures.values()))
    rows = []
    if test is not None and len(shown.rows):
        photos = [int(p) for p in shown.rows[:count]]
        real = [np.flatnonzero(test.photo_of == p) for p in photos]
        side = next(iter(shown.temperatures.values())).shape[1]
        rows.append(PictureRow("photos", [test.photos.load(p) for p in photos]))
        sketches = [real_sketch(test, int(found[0]), side) if len(found) else blank() for found in real]
        rows.append(PictureRow("real sketches", sketches))
    elif shown.real is not None:
        sketches = [picture_of(drawing) for drawing in shown.real[:count]]
        rows.append(PictureRow("real sketches", [*sketches, *[blank()] * (count - len(sketches))]))
    for temperature, drawn in sorted(shown.temperatures.items()):
        pictures = [picture_of(one) for one in drawn[:count]]
        captions = ["" if one.min() < INK_BELOW else "nothing drawn" for one in pictures]
        rows.append(
            PictureRow(f"temperature {temperature:g}", pictures, captions=captions if any(captions) else ())
        )
    note = (
        "Not chosen by eye: the first drawings of one seed. The lower the temperature, the closer each step is to the most "
        "likely one (logits over T, deviations times the root of T)."
    )
    return PictureRowsSection(
        f"{shown.title}: samples at {len(shown.temperatures)} temperatures",
        [""] * count,
        rows,
        note,
        side=_side(count),
    )


def certainty_rows(levels: CertaintyLevels, drawings: PairedSet, title: str) -> PictureRowsSection:
    """The drawings that the discriminator is most and least certain of, each below its photo.

    levels: of the sketches of `drawings`, in their order. ValueError when they are not equally many.
    """
    if len(levels.certainty) != len(drawings):
        raise ValueError(
            f"levels must be of the {len(drawings)} sketches of drawings, got {len(levels.certainty)}"
        )
    order = np.argsort(-levels.certainty, kind="stable")
    count = min(SHOWN_DRAWINGS, len(order))
    rows = []
    for what, chosen in (("most certain", order[:count]), ("least certain", order[::-1][:count])):
        photos = [drawings.photos.load(int(drawings.photo_of[i])) for i in chosen]
        rows.append(PictureRow(what, photos))
        captions = [
            f"certainty {levels.certainty[i]:.2f}\npercentile {levels.percentile[i]:.2f}" for i in chosen
        ]
        rows.append(PictureRow("", [drawings.sketches.load(int(i)) for i in chosen], captions=captions))
    note = (
        "Generated sketches below their photos, with the certainty, and the ranking percentile at which the sketch finds its "
        "photo: 1 is first, 0 is last."
    )
    return PictureRowsSection(title, [""] * count, rows, note, side=_side(count))


def _place(found: InstanceScores, i: int) -> str:
    return f"place {found.ranks[i]} of {found.gallery[found.labels[i]]}"


def _caption(test: PairedSet, p: int) -> str:
    return f"{test.names[test.photos.labels[p]]}\n{test.photos.ids[p]}"


def _side(columns: int) -> int:
    return max(88, min(150, _PAGE // max(columns, 1) - 17))
