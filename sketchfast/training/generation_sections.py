"""Tables and charts of Bhunia et al., CVPR 2021, section 4: generated sketches (table 1), ablations (table 3), figure 4."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sketchfast.metrics.certainty import CertaintyLevels
from sketchfast.metrics.generation import FID, GenerationScores
from sketchfast.training.chart import Curve
from sketchfast.training.instance_seeds import MethodMeans
from sketchfast.training.report_sections import Chart, CurveSection, NumbersSection, TableSection

_YES, _NO = "✓", "✗"


class Components(NamedTuple):
    """Table 3: instance weighting (IW), teacher regularisation (TR), 2-D attention (AT), joint training (JT)."""

    weighting: bool = True
    teacher: bool = True
    attention: bool = True
    joint: bool = True


@dataclass(frozen=True)
class Spread:
    """A number over the seeds of training. deviation: of a sample, None with one seed."""

    mean: float
    deviation: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None of no values."""
        if not len(values):
            return None
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)

    def percent(self) -> str:
        return f"{self.mean:.1%}" + (f" ± {100 * self.deviation:.1f}" if self.deviation is not None else "")

    def number(self) -> str:
        return f"{self.mean:.3g}" + (f" ± {self.deviation:.2g}" if self.deviation is not None else "")


def generation_means(rows: Sequence[GenerationScores]) -> dict[str, Spread]:
    """The numbers of one generator over its seeds: "recognition@1", ..., "retrieval@1", ..., "fid", those that there are."""
    values: dict[str, list[float]] = {}
    for scores in rows:
        for what, found in (("recognition", scores.recognition), ("retrieval", scores.retrieval)):
            for k, mean in found.accuracy.items() if found is not None else ():
                values.setdefault(f"{what}@{k}", []).append(mean.value)
        if scores.fid is not None:
            values.setdefault("fid", []).append(scores.fid)
    return {name: Spread.of(each) for name, each in values.items() if each}  # type: ignore[misc]


def generation_table(
    generators: Mapping[str, Sequence[GenerationScores]], seeds: Sequence[int], main: str | None = None
) -> TableSection:
    """Table 1: a row for each generator, the mean of its seeds, and one for chance. main: the row to emphasise."""
    means = {name: generation_means(rows) for name, rows in generators.items()}
    keys = sorted({key for found in means.values() for key in found}, key=_order)
    first = [scores for rows in generators.values() for scores in rows[:1]]
    chance = _chance(first)
    rows: list[list[Any]] = [
        [name, *(_cell(key, found.get(key)) for key in keys)] for name, found in means.items()
    ]
    rows.append(["chance", *(f"{chance[key]:.1%}" if key in chance else None for key in keys)])
    sketches = [len(found) for s in first if (found := s.retrieval or s.recognition) is not None]
    note = f"{max(sketches, default=0):,} generated sketches of test photos" + _of_seeds(seeds) + "."
    if any(key.startswith("recognition") for key in keys):
        note += " Recognition: our sketch classifier names the photo's category, Acc@k."
    if any(key.startswith("retrieval") for key in keys):
        note += " Retrieval: the network trained on real pairs alone finds the very photo with the generated sketch, Acc@k."
    if "fid" in keys:
        note += f" {FID}: Frechet distance to real sketches in the features of the same classifier, smaller is better."
        note += "".join(f" {said}" for said in dict.fromkeys(s.note for s in first if s.note))
    columns = ["generator", *(_heading(key) for key in keys)]
    marked = [place for place, name in enumerate(generators) if name == main]
    return TableSection("Generated sketches", columns, rows, note, marked)


def ablation_table(
    components: Mapping[str, Components],
    accuracy: Mapping[str, Mapping[int, Spread]],
    generated: Mapping[str, Mapping[str, Spread]],
    seeds: Sequence[int],
    main: str,
) -> TableSection:
    """Table 3: what each method has of the full one, its retrieval, and the sketches of the generator that it learnt from.

    accuracy: method -> k -> Acc@k. generated: method -> as `generation_means`; of methods that have results.
    """
    there = [name for name in components if name in accuracy]
    at = sorted({k for name in there for k in accuracy[name]})
    shown = [
        key for key in ("recognition@1", "retrieval@1") if any(key in generated.get(n, {}) for n in there)
    ]
    rows: list[list[Any]] = [
        [
            name,
            *(_YES if has else _NO for has in components[name]),
            *(accuracy[name][k].percent() if k in accuracy[name] else None for k in at),
            *(_cell(key, generated.get(name, {}).get(key)) for key in shown),
        ]
        for name in there
    ]
    note = (
        "IW: instance weighting by the discriminator. TR: teacher regularisation. AT: 2-D attention of the generator. JT: joint "
        "training of generator and retrieval network. Recognition and retrieval: of what the method's generator draws"
        + _of_seeds(seeds)
        + "."
    )
    columns = ["method", "IW", "TR", "AT", "JT", *(f"Acc@{k}" for k in at), *(_heading(key) for key in shown)]
    return TableSection(
        "What each part adds", columns, rows, note, [there.index(main)] if main in there else []
    )


def retrieval_numbers(
    means: Sequence[MethodMeans], chance: Mapping[int, float], main: str, baseline: str, title: str
) -> NumbersSection:
    """Means of the seeds: Acc@k of `main` against chance, and its paired gain over `baseline` where that is another method."""
    rows = {row.method: row for row in means}
    numbers = [
        (f"Acc@{k}", f"{value:.1%}", f"chance {chance[k]:.1%}")
        for k, value in rows[main].accuracy.items()
        if k not in rows[main].trivial
    ]
    if main != baseline and baseline in rows:
        for k, (value, low, high) in list(rows[main].gain.items())[:1]:
            other = f"{rows[baseline].accuracy[k]:.1%}"
            numbers.append((f"{baseline}, Acc@{k}", other, f"{main}: {value:+.1%} [{low:+.1%}, {high:+.1%}]"))
    return NumbersSection(f"{title}: {main}, mean of the seeds", numbers)


def retrieval_table(
    means: Sequence[MethodMeans],
    accuracy: Mapping[str, Mapping[int, Mapping[int, float]]],
    chance: Mapping[int, float],
    main: str,
    baseline: str,
    title: str,
) -> TableSection:
    """Table 2 with several seeds: mean and deviation of each method, each seed's first accuracy, and the gain over `baseline`.

    accuracy: method -> seed -> k -> Acc@k, the same methods as in `means`.
    """
    at = list(means[0].accuracy)
    trivial = means[0].trivial
    rows: list[list[Any]] = []
    for row in means:
        own = accuracy[row.method]
        spreads = [Spread.of([each[k] for each in own.values()]) for k in at]
        cells = [None if k in trivial or s is None else s.percent() for k, s in zip(at, spreads, strict=True)]
        each = ", ".join(f"{100 * found[at[0]]:.1f}" for found in own.values())
        gain = "{:+.1%} [{:+.1%}, {:+.1%}]".format(*row.gain[at[0]]) if at[0] in row.gain else None
        rows.append([row.method, *cells, each, gain])
    rows.append(["chance", *(None if k in trivial else f"{chance[k]:.1%}" for k in at), None, None])
    seeds = list(dict.fromkeys(seed for own in accuracy.values() for seed in own))
    note = (
        f"Mean ± standard deviation of seeds {', '.join(map(str, seeds))}: how far a method moves without any change to it. The "
        "difference is paired, in percentage points, with its 95 % bootstrap interval over sketches, each with its mean."
    )
    if trivial:
        note += f" {' and '.join(f'Acc@{k}' for k in trivial)}: there are no more photos than that."
    first = f"Acc@{at[0]}"
    columns = [
        "method",
        *(f"Acc@{k}" for k in at),
        f"{first} of each seed",
        f"{first}, difference to {baseline}",
    ]
    marked = [place for place, row in enumerate(means) if row.method == main]
    return TableSection(f"{title}: methods side by side", columns, rows, note, marked)


def certainty_section(methods: Mapping[str, CertaintyLevels]) -> CurveSection:
    """Figure 4a: average ranking percentile by level of certainty, and how many sketches each level has.

    methods: whose discriminator and generator -> levels, of all seeds together.
    """
    curves, counts, told = [], [], []
    for group, (name, levels) in enumerate(methods.items()):
        centres = ((levels.edges[:-1] + levels.edges[1:]) / 2).tolist()
        average = [math.nan if mean is None else mean.value for mean in levels.average]
        curves.append(Curve(name, centres, average, group=group))
        for end in ("low", "high"):
            ends = [math.nan if mean is None else getattr(mean, end) for mean in levels.average]
            curves.append(Curve(f"{name}, 95 % interval", centres, ends, faint=True, group=group))
        counts.append(Curve(name, centres, (levels.counts / len(levels.level)).tolist(), group=group))
        rank = "not defined" if levels.correlation is None else f"{levels.correlation:+.2f}"
        told.append(f"{name}: {len(levels.level):,} sketches, Spearman's correlation {rank}.")
    curves.append(Curve("random order", [0.0, 1.0], [0.5, 0.5], group=len(methods)))
    charts = [
        Chart("average ranking percentile", curves, "certainty of the discriminator", y_range=(0.0, 1.0)),
        Chart("share of the generated sketches", counts, "certainty of the discriminator"),
    ]
    note = (
        "Each generated sketch of a test photo is judged by the discriminator and used to search for its photo. Percentile 1: "
        "found first, 0: last. Ten levels of certainty, each drawn at its middle; faint: 95 % bootstrap interval over sketches. "
    )
    return CurveSection("Is the discriminator certain of the good sketches?", charts, note + " ".join(told))


def shares_section(
    accuracy: Mapping[str, Mapping[float, Sequence[Mapping[int, float]]]], seeds: Sequence[int]
) -> CurveSection:
    """Figure 4b: Acc@k over the share of the labelled photos that were trained on, one chart a k.

    accuracy: method -> share, 0..1 -> for each seed k -> Acc@k.
    """
    at = sorted({k for shares in accuracy.values() for each in shares.values() for row in each for k in row})
    charts = []
    for k in at:
        curves = []
        for group, (name, shares) in enumerate(accuracy.items()):
            places = sorted(shares)
            values = [[row[k] for row in shares[share] if k in row] for share in places]
            x = [100 * share for share in places]
            curves.append(Curve(name, x, [float(np.mean(v)) if v else math.nan for v in values], group=group))
            if max(map(len, values), default=0) > 1:
                for end in (min, max):
                    ends = [end(v) if v else math.nan for v in values]
                    curves.append(Curve(f"{name}, seeds", x, ends, faint=True, group=group))
        charts.append(Chart(f"Acc@{k}", curves, "labelled photos that were trained on, %"))
    note = "Test sketches and the photos they are searched in are the same throughout. All unlabelled photos are used"
    note += _of_seeds(seeds) + (", faint: the lowest and the highest of them." if len(seeds) > 1 else ".")
    return CurveSection("With fewer labelled photos", charts, note)


def likelihood_section(curves: Mapping[str, Sequence[float]]) -> CurveSection:
    """curves: what is drawn -> negative log-likelihood of held-out strokes after each epoch, 0 being before training."""
    told = ", ".join(
        f"{name} from {values[0]:.3g} to {values[-1]:.3g}" for name, values in curves.items() if values
    )
    lines = [Curve(name, [float(e) for e in range(len(v))], list(v)) for name, v in curves.items()]
    chart = Chart("nats a point", lines, "epoch")
    note = f"Of strokes that the decoder was not trained on, offsets and pen together (eq. 3): {told}."
    return CurveSection("Negative log-likelihood of held-out strokes", [chart], note)


def time_numbers(methods: Mapping[str, tuple[float, float]]) -> NumbersSection:
    """methods: method -> seconds in rasterization and in all, of all seeds together."""
    numbers = [
        (f"{name}, rasterization", f"{drawing / total:.2%}", f"{drawing:.2f} s of {total:,.1f} s")
        for name, (drawing, total) in methods.items()
        if total > 0
    ]
    note = (
        "Share of joint training that goes into turning generated strokes into pictures (the rasterize op)."
    )
    return NumbersSection("Time", numbers, note)


def _cell(key: str, value: Spread | None) -> str | None:
    if value is None:
        return None
    return value.number() if key == "fid" else value.percent()


def _heading(key: str) -> str:
    what, _, k = key.partition("@")
    return FID if key == "fid" else f"{what.capitalize()} @{k}"


def _order(key: str) -> tuple[int, int]:
    what, _, k = key.partition("@")
    return ("recognition", "retrieval", "fid").index(what), int(k or 0)


def _chance(rows: Sequence[GenerationScores]) -> dict[str, float]:
    found: dict[str, float] = {}
    for scores in rows:
        if scores.recognition is not None:
            found |= {f"recognition@{k}": k / len(scores.recognition.names) for k in scores.recognition.at}
        if scores.retrieval is not None:
            found |= {f"retrieval@{k}": value for k, value in scores.retrieval.chance.items()}
    return found


def _of_seeds(seeds: Sequence[int]) -> str:
    return f"; mean ± standard deviation of seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else ""
