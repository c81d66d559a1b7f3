"""What a run of several methods and seeds found: how each searches, the numbers that are kept, printed, and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.metrics.instance_retrieval import (
    InstanceScores,
    evaluate_instances,
    format_instance_rows,
    score_model,
)
from sketchfast.metrics.zero_shot import encode
from sketchfast.models.cvae_regression import CVAERegression
from sketchfast.models.cvae_regression import search_classes as search_generated
from sketchfast.models.traits import TraitNetwork
from sketchfast.models.vtd import VTD
from sketchfast.training.instance_sections import (
    instance_categories_table,
    instance_grids,
    instance_methods_table,
    instance_numbers,
)
from sketchfast.training.instance_seeds import MethodMeans, mean_of_seeds, means_table
from sketchfast.training.report import Section, TextSection, history_sections
from sketchfast.training.sketch_descriptors import describe_set
from sketchfast.training.trait_sections import DescribedSketches, attention_section, trait_sections


class Search(NamedTuple):
    """Each sketch searched in the photos of its own category; distances [q_c, n_c] of each category."""

    scores: InstanceScores
    distances: list[Any]


def search(
    model: VTD, pairs: PairedSet, at: Sequence[int], memory: int, generator: CVAERegression | None = None
) -> Search:
    """at: the k of Acc@k. memory: bytes that decoded images may take. generator: of photo features, for CVAE regression."""
    if generator is not None:
        device = next(model.parameters()).device
        S, P = (encode(model, images, device, memory=memory) for images in (pairs.sketches, pairs.photos))
        distances = search_generated(generator, S, P, pairs)
        return Search(evaluate_instances(distances, pairs, at), distances)
    described = model.describer is not None
    phi = describe_set(model.describer, pairs.sketches, memory=memory) if described else None
    found = score_model(model, pairs, phi, memory, at)
    return Search(found.scores, found.distances)


class Result(NamedTuple):
    """One method with one seed of training."""

    seed: int
    method: str
    model: VTD
    found: Search


class Described(NamedTuple):
    """The sketches of one part of the data, "train" or "test", as one trait network describes them."""

    seed: int
    network: str
    part: str
    model: TraitNetwork
    sketches: DescribedSketches


def describe_split(
    seed: int, networks: Mapping[str, Any], split: InstanceSplit, memory: int
) -> list[Described]:
    """By each trait network among the networks of a seed. memory: bytes that decoded images may take."""
    return [
        Described(seed, name, part, network, DescribedSketches.of(network, images, memory))
        for name, network in networks.items()
        if isinstance(network, TraitNetwork)
        for part, images in (("train", split.train.sketches), ("test", split.test.sketches))
    ]


@dataclass
class TraitResults:
    """main: the method whose model the run keeps. baseline: what the methods are compared with, where it is one of them.

    The report shows the first seed, and the means of all."""

    split: InstanceSplit
    seeds: Sequence[int]
    main: str
    baseline: str
    found: Sequence[Result]
    described: Sequence[Described]

    @cached_property
    def first(self) -> dict[str, Result]:
        """method -> its result with the first seed."""
        return {result.method: result for result in self.found if result.seed == self.seeds[0]}

    @cached_property
    def means(self) -> list[MethodMeans]:
        scored = {m: [r.found.scores for r in self.found if r.method == m] for m in self.first}
        return mean_of_seeds(scored, self.baseline)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "data": self.split.summary(),
            "rows": [{"seed": r.seed, "method": r.method, **r.found.scores.to_dict()} for r in self.found],
            "means": [row.to_dict() for row in self.means],
            "traits": [
                {"seed": d.seed, "network": d.network, "of": d.part, **d.sketches.usage.to_dict()}
                for d in self.described
            ],
        }

    def __str__(self) -> str:
        lines: list[Any] = []
        if self.first:
            rows = format_instance_rows({name: r.found.scores for name, r in self.first.items()})
            lines = [f"seed {self.seeds[0]}", rows]
            lines += ["mean of the seeds, difference to hard transfer on the same sketches", *self.means]
        said = (
            "seed {seed}, {network}, {of} sketches: {share_used:.1%} of {descriptors} descriptors in use, "
            "{per_category_mean:.1f} +- {per_category_std:.1f} a category"
        )
        lines += [said.format(**row) for row in self.to_dict()["traits"]]
        return "\n".join(map(str, lines))

    def sections(self, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
        """histories: network of the first seed -> records of its training."""
        sections: list[Section] = [TextSection("Data", self.split.summary())]
        sections += self._of_methods() + self._of_traits(histories)
        for trained, records in histories.items():
            training = history_sections(records)
            sections += [replace(section, title=f"Training {trained}") for section in training]
        return sections

    def _of_methods(self) -> list[Section]:
        scores = {method: result.found.scores for method, result in self.first.items()}
        if not scores:
            return []
        several, main = len(self.seeds) > 1, self.main
        told = f"unseen categories, seed {self.seeds[0]}" if several else "unseen categories"
        base = self.baseline if self.baseline in scores else main
        means = [means_table(self.means, self.baseline, self.seeds, "unseen categories")] if several else []
        return [
            instance_numbers(scores, main, base, told),
            *means,
            instance_methods_table(scores, main, base, told),
            instance_categories_table(scores, main, base, told),
            *instance_grids(self.split.test, self.first[main].found.distances, scores[main], told),
        ]

    def _of_traits(self, histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Section]:
        """Of the trait network of the main method, or of the first one that there is."""
        parts = {(d.network, d.part): d for d in self.described if d.seed == self.seeds[0]}
        if not parts:
            return []
        main = self.first.get(self.main)
        names = list(dict.fromkeys(network for network, _ in parts))
        own = [n for n in names if main is not None and parts[n, "train"].model is main.model.describer]
        seen, unseen = (parts[(own or names)[0], part] for part in ("train", "test"))
        used = {
            name: [record["used"] for record in histories[name] if record["kind"] == "validation"]
            for name in names
            if name in histories
        }
        semantic = self.split.semantic
        sections = trait_sections(seen.model, seen.sketches, unseen.sketches, used, semantic)
        if own and main is not None:
            ranks = main.found.scores.ranks
            sections.append(
                attention_section(main.model, self.split.test, unseen.sketches.assignments, ranks)
            )
        return sections
