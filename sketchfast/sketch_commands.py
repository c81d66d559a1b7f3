"""What `sketchfast classify` and `sketchfast parse` do: many sketches, one line of text or JSON and one picture for each."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from sketchfast.runtime.landmark_picture import check_landmark_picture_path, landmark_picture, score_text
from sketchfast.runtime.part_picture import check_part_picture_path, part_picture, share_text, write_mask
from sketchfast.runtime.sketch_jobs import LANDMARKS, PARTS, SketchJob, sketch_jobs

if TYPE_CHECKING:
    from sketchfast.models.sketch_classifier import Classification, SketchClassifier
    from sketchfast.models.sketch_parser import Parse, SketchParser

#: A job done: (record for --json, lines of text).
Answer = tuple[dict[str, Any], list[str]]


def classify_sketches(
    sketches: Sequence[str], model: Path | None, top: int, out: str | None, *, json: bool
) -> bool:
    """Classify, write pictures and print; False when one of several sketches failed (it was told)."""
    if top < 1:
        raise ValueError(f"--top must be at least 1, got {top}")
    jobs = sketch_jobs(
        sketches, out, LANDMARKS, check_landmark_picture_path
    )  # faults before the model is loaded
    classifier = _classifier(model)

    def one(job: SketchJob) -> Answer:
        found = classifier.classify(job.sketch.read(classifier.canvas), top)
        return _classified(job, found)

    failed = _each(jobs, one, "classifying", json=json)
    return _ended(failed, len(jobs), "classified")


def parse_sketches(
    sketches: Sequence[str],
    model: Path | None,
    category: str | None,
    classifier: Path | None,
    out: str | None,
    *,
    mask: bool,
    json: bool,
) -> bool:
    """Parse, write pictures and masks, and print; False when one of several sketches failed (it was told)."""
    if category is not None and classifier is not None:
        raise ValueError("--category says what the sketches show, --classifier guesses it: give one of them")
    jobs = sketch_jobs(sketches, out, PARTS, check_part_picture_path, masks=mask)
    parser = _parser(model, classifier)
    if category is not None:
        parser.model.branch_of(category)

    def one(job: SketchJob) -> Answer:
        found = parser.parse(job.sketch.read(parser.canvas), category)
        return _parsed(job, found)

    failed = _each(jobs, one, "parsing", json=json)
    if not json and failed < len(jobs):
        print("shares are of the coloured area, all that is not background")
    return _ended(failed, len(jobs), "parsed")


def _each(jobs: Sequence[SketchJob], work: Callable[[SketchJob], Answer], doing: str, *, json: bool) -> int:
    """Every job under a progress bar where there are several; how many failed. A single sketch's error is raised."""
    console = Console(stderr=True)
    bar = Progress(
        console=console,
        disable=len(jobs) == 1 or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else the bar's console would swallow what goes into a pipe or file
    )
    failed = 0
    with bar:
        for job in bar.track(jobs, description=doing):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a blank sketch is told in the answer's own words
                    record, lines = work(job)
            except (ValueError, TypeError, OSError) as error:
                if len(jobs) == 1:
                    raise
                message = str(error) if job.sketch.name in str(error) else f"{job.sketch.name}: {error}"
                _tell(message)
                failed += 1
                continue
            if json:
                print(dumps({"sketch": job.sketch.name} | record, allow_nan=False))
                continue
            if record["blank"]:
                _tell(f"{job.sketch.name} shows no ink: {_BLANK[doing]}")
            print("\n".join(lines))
    return failed


_BLANK = {"classifying": "it has no name", "parsing": "its mask is background"}


def _classified(job: SketchJob, found: Classification) -> Answer:
    answer = f"{found.names[0]} {score_text(found.scores[0])}" if found.names else "blank"
    answers = list(zip(found.names, found.scores))
    title = f"{Path(job.sketch.name).name}: {answer}"
    job.picture.parent.mkdir(parents=True, exist_ok=True)
    landmark_picture(found.sketch, found.landmarks, found.moved, job.picture, title=title, answers=answers)
    record = {
        "names": found.names,
        "scores": found.scores,
        "blank": found.blank,
        "guessed": found.guessed,
        "size": list(found.sketch.shape),
        "landmarks": found.landmarks.round(2).tolist(),
        "moved": found.moved.round(2).tolist(),
        "picture": str(job.picture),
    }
    width = max((len(name) for name in found.names[1:]), default=0)
    lines = [_headline(job, answer, found.guessed)]
    lines += [
        f"  {rank:>3}  {name:<{width}}  {score_text(score):>5}"
        for rank, (name, score) in enumerate(answers[1:], start=2)
    ]
    return record, [*lines, f"  picture: {job.picture}"]


def _parsed(job: SketchJob, found: Parse) -> Answer:
    percent = "" if found.score is None else f", {found.score:.0%} sure"
    answer = f"{found.category or 'blank'}{percent}"
    title = f"{Path(job.sketch.name).name}: {answer}"
    job.picture.parent.mkdir(parents=True, exist_ok=True)
    part_picture(found.sketch, found.mask, found.part_names, job.picture, title=title)
    if job.mask is not None:
        write_mask(found.mask, job.mask)
    record = {
        "category": found.category,
        "score": found.score,
        "blank": found.blank,
        "guessed": found.guessed,
        "size": list(found.mask.shape),
        "parts": [
            {"label": label, "name": found.part_names[label], "pixels": count}
            for label, count in found.pixels.items()
        ],
        "picture": str(job.picture),
        "mask": None if job.mask is None else str(job.mask),
    }
    lines = [_headline(job, answer, found.guessed)]
    if found.score is not None and found.score < 0.5:
        lines.append("  unsure: say --category NAME if it is something else")
    drawn = sum(count for label, count in found.pixels.items() if label)
    lines += [
        f"  {label:>3}  {found.part_names[label]:<16} {share_text(count / drawn):>7}  {count} pixels"
        for label, count in found.pixels.items()
        if label and count
    ]
    lines.append(f"  picture: {job.picture}" + ("" if job.mask is None else f", mask: {job.mask}"))
    return record, lines


def _headline(job: SketchJob, answer: str, guessed: str | None) -> str:
    return f"{job.shown}: {answer}" + (f" (guessed: {guessed})" if guessed else "")


def _ended(failed: int, count: int, done: str) -> bool:
    if failed:
        _tell(f"{failed} of {count} sketches could not be {done}")
    return not failed


def _tell(message: str) -> None:
    print(f"sketchfast: {message}", file=sys.stderr)


def _classifier(model: Path | None) -> SketchClassifier:
    from sketchfast.models.sketch_classifier import SketchClassifier

    return SketchClassifier(_run(model, "landmark"))


def _parser(model: Path | None, classifier: Path | None) -> SketchParser:
    from sketchfast.models.sketch_parser import SketchParser

    run = _run(model, "deepssp")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        parser = SketchParser(run, classifier=classifier)
    for warning in said:
        if issubclass(warning.category, UserWarning):
            _tell(str(warning.message))
    return parser


def _run(model: Path | None, recipe: str) -> Path:
    """The run that was named, or the demo's. FileNotFoundError tells how to train one."""
    demo = Path(f"runs/{recipe}-demo")
    if model is None and not demo.is_dir():
        raise FileNotFoundError(
            f"no model: {demo} is not here. Train one with `python train/{recipe}.py` in the repository, "
            "or name a run folder with --model RUN"
        )
    return model or demo
