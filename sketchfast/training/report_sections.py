"""The kinds of section that a report consists of. `report` writes them down, `report_page` says how they look."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from sketchfast.training.bar_chart import BarChart
from sketchfast.training.chart import NUM_COLOURS, Curve
from sketchfast.training.run_folder import flat_keys


@dataclass
class Interval:
    """A value with its confidence interval, for table cells. percent: written as such."""

    value: float
    low: float
    high: float
    percent: bool = False


@dataclass
class TextSection:
    title: str
    note: str
    kind: ClassVar[str] = "text"


@dataclass
class TableSection:
    """A table. Cells: text, numbers, `Interval` (drawn with a whisker on its column's scale), or None (a dash).

    highlight: rows to emphasise, such as the trained model among chance, untrained and baseline.
    scale: right end of every whisker, so that columns compare too; None: each column's largest value."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    highlight: Sequence[int] = ()
    scale: float | None = None
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r}: a row has {len(row)} cells for {len(self.columns)} columns: {row}"
                )


@dataclass
class Chart:
    """Lines. y_range: what the axis at least spans; None: the values alone."""

    title: str
    curves: Sequence[Curve]
    x_label: str = "step"
    log_y: bool = False
    y_range: tuple[float, float] | None = None

    @property
    def legend(self) -> list[tuple[str, int]]:
        numbered = enumerate(self.curves)
        return [
            (c.name, (i if c.group is None else c.group) % NUM_COLOURS) for i, c in numbered if not c.faint
        ]


@dataclass
class CurveSection:
    title: str
    charts: Sequence[Chart]
    note: str = ""
    kind: ClassVar[str] = "charts"


@dataclass
class RetrievalRow:
    """One query and its best results in order. Images uint8 [H, W, 3]; `right` and `captions` go with `results`."""

    query: np.ndarray
    caption: str
    results: Sequence[np.ndarray]
    right: Sequence[bool]
    captions: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.results) == len(self.right) == len(self.captions):
            raise ValueError(
                f"retrieval row {self.caption!r}: {len(self.results)} results, {len(self.right)} right flags,"
                f" {len(self.captions)} captions; expected equally many"
            )


@dataclass
class RetrievalGridSection:
    """Queries with their top results, framed green where right and red where wrong.

    key: what the two frames mean. Where the second is empty, there is one right answer to a query, and what is not it gets
        no frame of its own."""

    title: str
    rows: Sequence[RetrievalRow]
    note: str = ""
    key: tuple[str, str] = ("right class", "wrong class")
    kind: ClassVar[str] = "grid"


@dataclass
class PictureSection:
    """One picture, uint8 [H, W, 3], shown at its own size where the page is wide enough."""

    title: str
    image: np.ndarray
    note: str = ""
    kind: ClassVar[str] = "picture"


@dataclass
class KeySection:
    """Names and values, folded away until opened."""

    title: str
    values: Mapping[str, Any]
    note: str = ""
    items: list[tuple[str, str]] = field(init=False)
    kind: ClassVar[str] = "keys"

    def __post_init__(self) -> None:
        self.items = [
            (k, v if isinstance(v, str) else json.dumps(v)) for k, v in flat_keys(self.values).items()
        ]


@dataclass
class NumbersSection:
    """What to know first: (what it is, the number, what to compare it with), side by side in large type."""

    title: str
    numbers: Sequence[tuple[str, str, str]]
    note: str = ""
    kind: ClassVar[str] = "numbers"


@dataclass
class PictureRow:
    """Pictures of one item, uint8 [H, W, 3], under the columns of their section. legend: (text, "#rrggbb").

    captions: a line below each picture, or none at all. framed: the pictures with a coloured frame."""

    caption: str
    images: Sequence[np.ndarray]
    legend: Sequence[tuple[str, str]] = ()
    captions: Sequence[str] = ()
    framed: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.captions and len(self.captions) != len(self.images):
            raise ValueError(
                f"picture row {self.caption!r}: {len(self.captions)} captions for {len(self.images)} images"
            )


@dataclass
class PictureRowsSection:
    """A row of pictures for each item, with a legend of colours for each row, and one for the whole section.

    side: pixels that the longer side of a picture takes on a page that is wide enough."""

    title: str
    columns: Sequence[str]
    rows: Sequence[PictureRow]
    note: str = ""
    legend: Sequence[tuple[str, str]] = ()
    side: int = 150
    kind: ClassVar[str] = "rows"

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.images) != len(self.columns):
                raise ValueError(
                    f"pictures {self.title!r}: row {row.caption!r} has {len(row.images)} images for "
                    f"{len(self.columns)} columns"
                )


@dataclass
class Strip:
    """A few pictures, uint8 [H, W, 3], side by side under one caption.

    group: index of the colour that the caption is marked with, as in the chart beside it; None: unmarked, on a new line."""

    caption: str
    images: Sequence[np.ndarray]
    group: int | None = None


@dataclass
class Card:
    """A chart with pictures that explain it."""

    title: str
    chart: BarChart
    strips: Sequence[Strip] = ()
    note: str = ""


@dataclass
class CardSection:
    """Cards, one below the other: the chart at the left, its pictures at the right."""

    title: str
    cards: Sequence[Card]
    note: str = ""
    kind: ClassVar[str] = "cards"


Section = (
    TextSection
    | TableSection
    | CurveSection
    | RetrievalGridSection
    | PictureSection
    | KeySection
    | NumbersSection
    | PictureRowsSection
    | CardSection
)
