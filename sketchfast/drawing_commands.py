"""What `sketchfast draw` does: photos to drawings, as SVG, pictures, QuickDraw ndjson or stroke-3, and as animations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from sketchfast import atomic
from sketchfast.data.stroke_files import write_ndjson, write_svg
from sketchfast.data.stroke_formats import fit_to_canvas, to_stroke3
from sketchfast.runtime.drawing_jobs import DrawingJob, drawing_jobs
from sketchfast.runtime.drawing_picture import animation_bytes, drawing_picture
from sketchfast.runtime.pictures import read_photo
from sketchfast.runtime.strokes import Strokes

if TYPE_CHECKING:
    from sketchfast.models.photo_to_sketch import PhotoToSketch

DEFAULT_MODEL = Path("runs/more-photos-demo")
#: Where to look first in a folder of `train/more_photos.py`: the generator of joint training, then that of pre-training alone.
_FIRST = ("full", "generator")
_SIDE = 512  # of pictures and animations, pixels
_PAGE = 256.0  # side of the canvas in files of strokes, as QuickDraw's
_LINE = 2.5  # width of lines in SVG, in the unit of _PAGE
_BATCH = 64  # drawings made at once


@dataclass(frozen=True)
class Sampling:
    """How drawings are made: `count` of each photo."""

    count: int = 1
    temperature: float = 1.0
    greedy: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"--count must be at least 1, got {self.count}")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"--temperature must be above 0, got {self.temperature:g}; --greedy is its limit"
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"--seed must be 0 or more and below 2**63, got {self.seed}")
        if self.greedy and self.count > 1:
            raise ValueError(f"--greedy draws a photo in one way only: --count must be 1, got {self.count}")


def draw_photos(
    photos: Sequence[str],
    model: Path | None,
    out: str,
    animation: str | None,
    sampling: Sampling,
    *,
    device: str = "cpu",
    overwrite: bool = False,
) -> bool:
    """Draw, write and print; False when one of several photos failed (it was told)."""
    jobs, together = drawing_jobs(photos, out, animation, sampling.count, overwrite)
    generator = _generator(model, device)
    failed, drawn = 0, []
    console = Console(stderr=True)
    bar = Progress(
        console=console,
        disable=len(jobs) == 1 or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else the bar's console would swallow what goes into a pipe or file
    )
    with bar:
        draw = _drawer(generator, sampling)
        at_once = max(1, _BATCH // sampling.count)
        task = bar.add_task("drawing", total=len(jobs))
        for first in range(0, len(jobs), at_once):
            ready: list[tuple[DrawingJob, np.ndarray]] = []
            for job in jobs[first : first + at_once]:
                try:
                    ready.append((job, generator.preprocess(read_photo(job.photo), sketch=False)))
                except (ValueError, OSError) as error:
                    if len(jobs) == 1:
                        raise
                    _tell(str(error) if str(job.photo) in str(error) else f"{job.photo}: {error}")
                    failed += 1
            for (job, _), drawings in zip(ready, draw([pixels for _, pixels in ready])):
                _write(job, drawings, together)
                # Readers of ndjson take a drawing without strokes for a fault: blank ones are left out.
                drawn += [(_key(job, k, sampling.count), s) for k, s in enumerate(drawings) if s]
            bar.advance(task, min(at_once, len(jobs) - first))
    if together and drawn:
        together.parent.mkdir(parents=True, exist_ok=True)
        word = generator.class_names[0] if len(generator.class_names) == 1 else None
        pages = [_on_page(strokes) for _, strokes in drawn]
        write_ndjson(pages, together, word, [key for key, _ in drawn])
        print(f"{together}: {len(drawn)} drawing{'s' if len(drawn) > 1 else ''}")
    elif together and failed < len(jobs):
        _tell(f"{together} is not written: every drawing is blank")
    if failed:
        _tell(f"{failed} of {len(jobs)} photos could not be drawn")
    return not failed


def _drawer(
    generator: PhotoToSketch, sampling: Sampling
) -> Callable[[Sequence[np.ndarray]], list[list[Strokes]]]:
    """From preprocessed photos to `count` drawings of each. A photo is encoded once; its drawings follow the seed and the
    photos before it, whatever was drawn at once."""
    import torch

    from sketchfast.models.photo_to_sketch import PhotoCode

    numbers = torch.Generator().manual_seed(sampling.seed)
    weight = generator.to_latent.weight

    def draw(photos: Sequence[np.ndarray]) -> list[list[Strokes]]:
        if not photos:
            return []
        with torch.no_grad():
            code = generator.encode(torch.from_numpy(np.stack(photos)).to(weight))
        code = PhotoCode(*(part.repeat_interleave(sampling.count, dim=0) for part in code))
        every: list[Strokes] = []
        for first in range(0, len(code.mu), _BATCH):
            part = PhotoCode(*(values[first : first + _BATCH] for values in code))
            samples = generator.sample_code(part, numbers, sampling.temperature, sampling.greedy)
            every += [samples.strokes(i) for i in range(len(samples))]
        return [every[i : i + sampling.count] for i in range(0, len(every), sampling.count)]

    return draw


def _write(job: DrawingJob, drawings: Sequence[Strokes], together: Path | None) -> None:
    for k, strokes in enumerate(drawings):
        written = []
        for file in job.files[k : k + 1]:
            file.parent.mkdir(parents=True, exist_ok=True)
            _WRITERS[file.suffix.lower()](strokes, file)
            written.append(str(file))
        for file in job.animations[k : k + 1]:
            file.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(file, animation_bytes(strokes, _SIDE, file.suffix.lower()))
            written.append(str(file))
        points = sum(map(len, strokes))
        what = (
            f"{len(strokes)} strokes, {points} points" if points else "blank: it ended before the first point"
        )
        name = _key(job, k, len(drawings)) if together else str(job.photo)
        print(f"{name}: {what}" + (f" -> {', '.join(written)}" if written else ""))


def _key(job: DrawingJob, k: int, count: int) -> str:
    return job.key if count == 1 else f"{job.key}-{k + 1}"


def _on_page(strokes: Strokes) -> Strokes:
    """Fitted to the page of a file, in hundredths of its unit."""
    if not strokes:
        return []
    return [((stroke.astype(np.float64) + 0.5) * _PAGE).round(2) for stroke in fit_to_canvas(strokes)]


def _write_svg(strokes: Strokes, file: Path) -> None:
    write_svg(_on_page(strokes), file, _PAGE, _LINE)


def _write_png(strokes: Strokes, file: Path) -> None:
    buffer = BytesIO()
    Image.fromarray(drawing_picture(strokes, _SIDE)).save(buffer, "PNG")
    atomic.write_bytes(file, buffer.getbuffer())


def _write_npy(strokes: Strokes, file: Path) -> None:
    buffer = BytesIO()
    np.save(buffer, to_stroke3(strokes), allow_pickle=False)
    atomic.write_bytes(file, buffer.getbuffer())


_WRITERS = {".svg": _write_svg, ".png": _write_png, ".npy": _write_npy}


def _generator(model: Path | None, device: str) -> PhotoToSketch:
    """The generator of a run, of joint training or alone. FileNotFoundError tells how to train one."""
    import torch

    from sketchfast.models import load_run
    from sketchfast.training.checkpoint import read_metadata

    folder = model or DEFAULT_MODEL
    if model is None and not folder.is_dir():
        raise FileNotFoundError(
            f"no model: {folder} is not here. Train one with `python train/more_photos.py` in the repository, "
            "or name a run folder with --model RUN"
        )
    if not folder.exists():
        raise FileNotFoundError(
            f"--model {folder} does not exist; expected a run folder of train/more_photos.py"
        )
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"--device {device}: torch sees no GPU; `sketchfast info` tells more")
    other: dict[str, Path] = {}
    for checkpoint in _checkpoints(folder):
        kind = read_metadata(checkpoint)["class"]
        if kind == "PhotoToSketch":
            return load_run(checkpoint, device).eval()
        other.setdefault(kind, checkpoint)
    found = ", ".join(f"{kind} in {place}" for kind, place in other.items()) or "no checkpoint"
    raise FileNotFoundError(
        f"{folder}: expected a run folder of train/more_photos.py, or of a method or a generator in it, with a PhotoToSketch; "
        f"found {found}"
    )


def _checkpoints(folder: Path) -> Iterator[Path]:
    """Checkpoints of a network's folder, and of those in a run's folder: of the first seed and the largest share first.

    Methods leave G in model/, beside checkpoints of all their networks together, which are of no use here.
    """
    from sketchfast.models import find_checkpoint
    from sketchfast.training.checkpoint import METADATA_FILE

    for place in (folder, *_networks(folder)):
        if (place / "model" / METADATA_FILE).is_file():
            yield place / "model"
        try:
            yield find_checkpoint(place)
        except FileNotFoundError:
            continue


def _networks(folder: Path) -> list[Path]:
    """Folders in that of a run, or of one of its seeds or shares, that may hold a generator; the best of them first."""
    parts = [folder]
    for pattern, largest_first in (("seed-*", False), ("share-*", True)):
        parts = [
            part
            for above in parts
            for part in (above, *sorted(above.glob(pattern), key=_number, reverse=largest_first))
        ]
    found = []
    for part in parts:
        inner = sorted(path for path in part.glob("*") if path.is_dir() and path not in parts)
        found += [part / name for name in _FIRST]
        found += [path for path in inner if path.name not in _FIRST]
    return found


def _number(part: Path) -> float:
    """Of a folder seed-N or share-X."""
    try:
        return float(part.name.partition("-")[2])
    except ValueError:
        return 0.0


def _tell(message: str) -> None:
    print(f"sketchfast: {message}", file=sys.stderr)
