"""What a run of several methods and seeds found: retrieval, generated sketches, certainty; kept, printed, and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any, NamedTuple

from sketchfast.data.instances import PairedSet
from sketchfast.metrics.certainty import CertaintyLevels
from sketchfast.metrics.generation import FID, GenerationScores
from sketchfast.metrics.instance_retrieval import InstanceScores, InstanceSearch, format_instance_rows
from sketchfast.training.drawing_sections import ShownDrawings, beside_rows, certainty_rows
from sketchfast.training.generation_sections import (
    Components,
    Spread,
    ablation_table,
    certainty_section,
    generation_means,
    generation_table,
    likelihood_section,
    retrieval_numbers,
    retrieval_table,
    shares_section,
    time_numbers,
)
from sketchfast.training.instance_sections import (
    instance_categories_table,
    instance_grids,
    instance_methods_table,
    instance_numbers,
)
from sketchfast.training.instance_seeds import MethodMeans, mean_of_seeds
from sketchfast.training.report import Section, TextSection, history_sections

__all__ = [
    "Components",
    "Drawn",
    "Judged",
    "Likelihood",
    "MorePhotosResults",
    "Retrieved",
    "ShownDrawings",
    "Timed",
]

_RETRIEVAL = "Retrieval of test photos"


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
    """How certain a method's discriminator was of `drawings`, which its generator drew of test photos (figure 4a)."""

    seed: int
    method: str
    levels: CertaintyLevels
    drawings: PairedSet


class Timed(NamedTuple):
    """Seconds of joint training that went into drawing pictures of strokes (the rasterize op), and all of them."""

    seed: int
    method: str
    rasterizing: float
    total: float


class Likelihood(NamedTuple):
    """A decoder of strokes: negative log-likelihood of held-out ones in nats a point, before training and after each epoch."""

    seed: int
    decoder: str
    epochs: Sequence[float]


@dataclass
class MorePhotosResults:
    """data: the data set's summary. test: the real sketches and photos that are searched; None for decoders without photos.

    main: the method whose model the run keeps; the last of those there are where it is none of them. baseline: what the methods
    are compared with, where it is one of them. components: ablated method -> what it has of the full one (table 3), in the order
    of the rows. shown: pictures of generators of the first seed.

    Methods are compared at the largest share of labelled photos. The report shows the first seed, and the means of all.
    """

    data: str
    test: PairedSet | None
    seeds: Sequence[int]
    main: str = "full"
    baseline: str = "supervised"
    found: Sequence[Retrieved] = ()
    drawn: Sequence[Drawn] = ()
    judged: Sequence[Judged] = ()
    timed: Sequence[Timed] = ()
    likelihoods: Sequence[Likelihood] = ()
    components: Mapping[str, Components] = field(default_factory=dict)
    shown: Sequence[ShownDrawings] = ()

    @cached_property
    def methods(self) -> dict[str, list[Retrieved]]:
        """method -> its results by seed, at the largest share of labelled photos that there is."""
        top = max((r.share for r in self.found), default=1.0)
        return _by((r.method, r) for r in self.found if r.share == top)

    @cached_property
    def generators(self) -> dict[str, list[Drawn]]:
        """generator -> its drawings by seed."""
        return _by((d.generator, d) for d in self.drawn)

    @cached_property
    def main_method(self) -> str | None:
        """The main method; None where no photo was searched for."""
        return self.main if self.main in self.methods else next(reversed(self.methods), None)

    @cached_property
    def main_generator(self) -> str | None:
        """That which the main method learnt from, else the last; None where no photo was drawn."""
        used = self.methods[self.main_method][0].generator if self.main_method is not None else None
        return used if used in self.generators else next(reversed(self.generators), None)

    @cached_property
    def means(self) -> list[MethodMeans]:
        return mean_of_seeds(
            {m: [r.found.scores for r in rows] for m, rows in self.methods.items()}, self.baseline
        )

    @cached_property
    def generation(self) -> dict[str, dict[str, Spread]]:
        """generator -> its numbers over the seeds."""
        return {name: generation_means([d.scores for d in rows]) for name, rows in self.generators.items()}

    @cached_property
    def shares(self) -> dict[str, dict[float, list[dict[int, float]]]]:
        """method -> share of labelled photos -> for each seed k -> Acc@k, of methods trained on several shares."""
        found: dict[str, dict[float, list[dict[int, float]]]] = {}
        for r in self.found:
            found.setdefault(r.method, {}).setdefault(r.share, []).append(_accuracy(r.found.scores))
        return {method: shares for method, shares in found.items() if len(shares) > 1}

    @cached_property
    def certainty(self) -> dict[str, CertaintyLevels]:
        """method -> levels of the sketches of all seeds."""
        each = _by((j.method, j.levels) for j in self.judged)
        return {method: reduce(CertaintyLevels.joined, levels) for method, levels in each.items()}

    @cached_property
    def times(self) -> dict[str, tuple[float, float]]:
        """method -> seconds in rasterization and in all, over the seeds."""
        each = _by((t.method, t) for t in self.timed)
        return {m: (sum(t.rasterizing for t in rows), sum(t.total for t in rows)) for m, rows in each.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "data": self.data,
            "rows": [
                {"seed": r.seed, "method": r.method, "share": r.share, "generator": r.generator,
                 **r.found.scores.to_dict()}
                for r in self.found
            ],
            "means": [row.to_dict() for row in self.means],
            "generation": [{"seed": d.seed, "generator": d.generator, **d.scores.to_dict()} for d in self.drawn],
            "generation_means": {
                name: {key: [spread.mean, spread.deviation] for key, spread in found.items()}
                for name, found in self.generation.items()
            },
            "components": {name: has._asdict() for name, has in self.components.items() if name in self.methods},
            "certainty": [{"seed": j.seed, "method": j.method, **j.levels.to_dict()} for j in self.judged],
            "likelihoods": [{**row._asdict(), "epochs": list(row.epochs)} for row in self.likelihoods],
            "rasterization": [
                {**t._asdict(), "share": t.rasterizing / t.total if t.total > 0 else None} for t in self.timed
            ],
        }  # fmt: skip

    def __str__(self) -> str:
        lines: list[Any] = []
        if self.methods:
            rows = format_instance_rows({m: found[0].found.scores for m, found in self.methods.items()})
            lines += [f"seed {self.seeds[0]}", rows]
            lines += [f"mean of the seeds, difference to {self.baseline} on the same sketches", *self.means]
        for method, shares in self.shares.items():
            for share, seeds in sorted(shares.items()):
                told = (f"Acc@{k} {sum(row[k] for row in seeds) / len(seeds):.3f}" for k in seeds[0])
                lines.append(f"{method}, {share:.0%} of the labelled photos: {'  '.join(told)}")
        for name, means in self.generation.items():
            told = (f"{key} {s.number() if key == 'fid' else s.percent()}" for key, s in means.items())
            lines.append(f"sketches of {name}: {'  '.join(told)}")
        if any(d.scores.fid is not None for d in self.drawn):
            lines.append(f"fid: {FID}")
        lines += dict.fromkeys(d.scores.note for d in self.drawn if d.scores.note)
        lines += [f"{method}, {levels}" for method, levels in self.certainty.items()]
        for row in self.likelihoods:
            fell = f"{row.epochs[0]:.3f} before training, {row.epochs[-1]:.3f} after {len(row.epochs) - 1} epochs"
            lines.append(
                f"seed {row.seed}, {row.decoder}, held-out negative log-likelihood, nats a point: {fell}"
            )
        for method, (drawing, total) in self.times.items():
            if total > 0:
                said = f"{drawing / total:.2%} of joint training ({drawing:.2f} s of {total:.1f} s)"
                lines.append(f"{method}, rasterization: {said}")
        return "\n".join(map(str, lines))

    def sections(self, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
        """histories: network of the first seed -> records of its training."""
        sections: list[Section] = [TextSection("Data", self.data)]
        sections += self._of_methods() + self._of_generators() + self._of_pictures()
        if self.shares:
            sections.append(shares_section(self.shares, self.seeds))
        if self.times:
            sections.append(time_numbers(self.times))
        if self.main_method is not None and self.test is not None:
            found = self.methods[self.main_method][0].found
            sections += instance_grids(self.test, found.distances, found.scores, self._told)
        for trained, records in histories.items():
            training = history_sections(records)
            sections += [replace(section, title=f"Training {trained}") for section in training]
        return sections

    @property
    def _told(self) -> str:
        return f"{_RETRIEVAL}, seed {self.seeds[0]}" if len(self.seeds) > 1 else _RETRIEVAL

    def _of_methods(self) -> list[Section]:
        main = self.main_method
        if main is None:
            return []
        scores = {method: rows[0].found.scores for method, rows in self.methods.items()}
        base = self.baseline if self.baseline in scores else main
        sections: list[Section] = []
        if len(self.seeds) > 1:
            chance = scores[main].chance
            each = {m: {r.seed: _accuracy(r.found.scores) for r in rows} for m, rows in self.methods.items()}
            sections.append(retrieval_numbers(self.means, chance, main, base, _RETRIEVAL))
            sections.append(retrieval_table(self.means, each, chance, main, base, _RETRIEVAL))
        else:
            sections.append(instance_numbers(scores, main, base, self._told))
            sections.append(instance_methods_table(scores, main, base, self._told))
        if len(scores[main].per_class) > 1:
            sections.append(instance_categories_table(scores, main, base, self._told))
        ablated = [name for name in self.components if name in self.methods]
        if len(ablated) > 1:
            sections.append(self._ablation(main))
        return sections

    def _ablation(self, main: str) -> Section:
        accuracy: dict[str, dict[int, Spread]] = {}
        generated: dict[str, Mapping[str, Spread]] = {}
        for name, rows in self.methods.items():
            found = [_accuracy(r.found.scores) for r in rows]
            spreads = {k: Spread.of([row[k] for row in found]) for k in found[0]}
            accuracy[name] = {k: spread for k, spread in spreads.items() if spread is not None}
            generated[name] = self.generation.get(rows[0].generator or "", {})
        return ablation_table(self.components, accuracy, generated, self.seeds, main)

    def _of_generators(self) -> list[Section]:
        main = self.main_generator
        if main is None or self.test is None:
            return []
        table = generation_table(
            {name: [d.scores for d in rows] for name, rows in self.generators.items()}, self.seeds, main
        )
        first = {name: rows[0] for name, rows in self.generators.items()}
        pictures = {name: d.drawings for name, d in first.items()}
        ranks = {name: d.scores.retrieval for name, d in first.items()}
        return [table, beside_rows(self.test, pictures, ranks, main)]

    def _of_pictures(self) -> list[Section]:
        sections = [section for shown in self.shown for section in shown.sections(self.test)]
        if self.certainty:
            sections.append(certainty_section(self.certainty))
            j = next((j for j in self.judged if j.method == self.main_method), self.judged[0])
            sections.append(
                certainty_rows(j.levels, j.drawings, f"Most and least certain sketches ({j.method})")
            )
        curves = {row.decoder: row.epochs for row in self.likelihoods if row.seed == self.seeds[0]}
        if curves:
            sections.append(likelihood_section(curves))
        return sections


def _by(pairs: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _accuracy(scores: InstanceScores) -> dict[int, float]:
    return {k: mean.value for k, mean in scores.accuracy.items()}
