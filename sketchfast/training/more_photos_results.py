"""What a run of several methods and seeds found: retrieval, generated sketches, certainty; kept, printed, and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sketchfast.data.instances import PairedSet
from sketchfast.metrics.certainty import CertaintyLevels
from sketchfast.metrics.generation import GenerationScores
from sketchfast.metrics.instance_retrieval import InstanceSearch
from sketchfast.training.drawing_sections import Components, ShownDrawings
from sketchfast.training.report import Section


class Retrieved(NamedTuple):
    """A retrieval method with one seed on the test sketches (`score_model`).

    share: of the labelled photos that were trained on (figure 4b). generator: whose drawings it learnt from, as `Drawn` names it.
    """

    seed: int
    method: str
    found: InstanceSearch
    share: float = 1.0
    generator: str | None = None


class Drawn(NamedTuple):
    """A generator with one seed: its sketches of the test photos (`drawings_of`) and their scores (`score_drawings`)."""

    seed: int
    generator: str
    drawings: PairedSet
    scores: GenerationScores


class Judged(NamedTuple):
    """How certain a method's discriminator was of the sketches that its generator drew of test photos (figure 4a)."""

    seed: int
    method: str
    levels: CertaintyLevels


class Timed(NamedTuple):
    """Seconds of joint training that went into drawing pictures of strokes (the rasterize op), and all of them."""

    seed: int
    method: str
    rasterizing: float
    total: float


@dataclass
class MorePhotosResults:
    """data: the data set's summary. test: the real sketches and photos that are searched.

    main: the method whose model the run keeps. baseline: what methods are compared with, where it is one of them.
    components: ablated method -> what it has of the full one (table 3), in the order of the rows.
    shown: pictures of the first seed's generator. The report shows the first seed, and the means of all.
    """

    data: str
    test: PairedSet
    seeds: Sequence[int]
    main: str = "full"
    baseline: str = "supervised"
    found: Sequence[Retrieved] = ()
    drawn: Sequence[Drawn] = ()
    judged: Sequence[Judged] = ()
    timed: Sequence[Timed] = ()
    components: Mapping[str, Components] = field(default_factory=dict)
    shown: ShownDrawings | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError

    def sections(self, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
        """histories: network of the first seed -> records of its training."""
        raise NotImplementedError
