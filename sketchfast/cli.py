"""The `sketchfast` command: each subcommand is a typed function, and imports what it needs when it runs."""

import sys
from pathlib import Path
from typing import Literal

from tyro.extras import SubcommandApp

app = SubcommandApp()
data = SubcommandApp()
app.command(data, name="data")


@app.command
def info() -> None:
    """Print versions, native modules, processor and GPUs: the text to paste into a bug report."""
    from sketchfast.info import text

    print(text())


@data.command(name="check")
def data_check(
    name: str,
    root: Path,
    /,
    *,
    split: str | None = None,
    strict: bool = False,
    decode: bool = True,
    json: bool = False,
) -> None:
    """Read a data set as training would and report what is there and every fault found; exit code 1 on trouble.

    Args:
        name: sketchy, tu_berlin, quickdraw, folder, sketchparse, pascal-part, spg or qmul.
        root: the folder that holds it.
        split: check the lists of this split only, e.g. zeroshot1.
        strict: warnings fail too, among them counts other than the published ones.
        decode: decode and hash every picture; --no-decode looks at names, sizes and lists only.
        json: print one JSON object instead of text.
    """
    from sketchfast.data.check import check

    report = check(name, root, split, strict=strict, decode=decode, progress=sys.stderr.isatty())
    print(report.to_json() if json else report)
    if report.exit_code:
        raise SystemExit(report.exit_code)


@data.command(name="synthetic")
def data_synthetic(
    out: Path,
    /,
    *,
    photos_per_class: int = 40,
    sketches_per_class: int = 10,
    size: int = 256,
    seed: int = 0,
    unseen_only: bool = False,
    overwrite: bool = False,
) -> None:
    """Write pictures of the synthetic world as a folder data set: OUT/photo/CLASS/ and OUT/sketch/CLASS/.

    Args:
        out: folder to write.
        photos_per_class: photos of each category.
        sketches_per_class: sketches of each category, of other objects than the photos show.
        size: side in pixels.
        seed: another seed is another world of the same categories.
        unseen_only: only the categories that recipes keep out of training.
        overwrite: replace a folder that this command wrote.
    """
    from sketchfast.data.synthetic.write_folder import write_folder

    count = write_folder(
        out, photos_per_class, sketches_per_class, size, seed, unseen_only, overwrite=overwrite
    )
    print(f"wrote {count} pictures to {out}")


@data.command(name="sheet")
def data_sheet(out: Path, /) -> None:
    """Draw the sample sheet of the synthetic world: photo, sketches and part mask of every category.

    Args:
        out: PNG file to write.
    """
    from sketchfast.data.synthetic import sample_sheet

    sample_sheet(out)
    print(f"sheet: {out}")


@app.command
def export(
    run: Path,
    /,
    out: Path,
    *,
    format: str = "onnx",
    precision: str = "fp32",
    opset: int = 20,
    batch: tuple[int, int, int] = (1, 8, 32),
    overwrite: bool = False,
) -> None:
    """Export a trained model's sketch and photo encoders, verified against torch.

    A model that weighs the dimensions for each query has a third encoder, for the traits of the sketch.

    Args:
        run: run folder of train/tcn.py, train/vtd.py or train/more_photos.py; the model it ended with is exported.
        out: folder to write.
        format: onnx.
        precision: fp32.
        opset: ONNX opset, 18 to 20.
        batch: smallest, usual and largest batch size to verify.
        overwrite: replace an existing folder.
    """
    from sketchfast.export import export as export_model

    result = export_model(
        run, format, out, precision=precision, dims={"batch": batch}, opset=opset, overwrite=overwrite
    )
    if result.parity is not None:
        print(result.parity.summary())
    print(f"export: {result.path}")


@app.command
def index(
    model: Path,
    photos: Path,
    /,
    out: Path,
    *,
    batch_size: int = 32,
    skip_unreadable: bool = False,
    overwrite: bool = False,
) -> None:
    """Embed a folder of photos so that `sketchfast query` can search it.

    Args:
        model: a run folder of train/tcn.py, train/vtd.py or train/more_photos.py (exported into it first) or a folder
            written by `sketchfast export`.
        photos: folder of pictures, searched recursively.
        out: index folder to write.
        batch_size: photos embedded at a time.
        skip_unreadable: leave out files that cannot be decoded instead of stopping at the first.
        overwrite: replace an existing index.
    """
    from sketchfast.retrieval.gallery_photos import list_photos
    from sketchfast.retrieval.index import build_index

    list_photos(photos)  # before a run is exported for it, which takes a while
    built = build_index(
        _export_of(model),
        photos,
        out,
        batch_size=batch_size,
        skip_unreadable=skip_unreadable,
        overwrite=overwrite,
        progress=sys.stderr.isatty(),
    )
    skipped = built.description["skipped"]
    print(
        f"indexed {len(built)} photos in {out}" + (f", left out {len(skipped)} unreadable" if skipped else "")
    )
    for path in skipped[:20]:
        print(f"  left out {path}")


@app.command
def query(
    index: Path,
    sketch: str,
    /,
    *,
    k: int | None = None,
    by: Literal["embedding", "code"] = "embedding",
    out: Path | None = None,
    json: bool = False,
    allow_photo: bool = False,
) -> None:
    """Find the photos nearest to a sketch: ranked paths with scores, and a picture of them.

    Args:
        index: folder written by `sketchfast index`.
        sketch: PNG or JPEG of any size and polarity, SVG, or QuickDraw ndjson (`file.ndjson:7` takes drawing 7,
            counted from 0).
        k: answers wanted, 12 by default (fewer where the index holds fewer photos).
        by: embedding ranks by the model's own measure, cosine similarity (higher is nearer) or a squared distance that the
            sketch weighs (lower is nearer), code by Hamming distance (lower is nearer).
        out: picture to write; <sketch name>-results.png in the current folder by default.
        json: print one JSON object instead of text.
        allow_photo: take the picture for a sketch although it looks like a photo.
    """
    from json import dumps

    from sketchfast.retrieval.index import GalleryIndex
    from sketchfast.retrieval.result_picture import check_picture_path, write_result_picture
    from sketchfast.runtime.strokes import split_index

    file, number = split_index(sketch)
    picture = out or Path(file.stem + ("" if number is None else f"-{number}") + "-results.png")
    check_picture_path(picture)
    gallery = GalleryIndex.open(index)
    answer = gallery.search(sketch, min(12, len(gallery)) if k is None else k, by=by, allow_photo=allow_photo)
    unit = answer.unit
    if json:
        hits = [{"rank": hit.rank, "path": hit.path, "score": hit.score} for hit in answer.hits]
        guessed = answer.sketch.guessed
        print(dumps({"by": by, "unit": unit.name, "guessed": guessed, "hits": hits, "picture": str(picture)}))
    else:
        if answer.sketch.guessed:
            print(f"guessed: {answer.sketch.guessed}")
        print(f"rank  {unit.name}  photo")
        for hit in answer.hits:
            print(f"{hit.rank:>4}  {unit.text(hit.score):>{len(unit.name)}}  {hit.path}")
    title = f"{Path(sketch).name}: best of {len(gallery)} photos, by {unit.name}"
    write_result_picture(answer, picture, title=title)
    if not json:
        print(f"picture: {picture}")


@app.command
def skeletonize(
    source: str,
    out: str,
    /,
    *,
    method: Literal["skel", "thin", "zhang"] = "skel",
    homogeneous: bool = False,
    threshold: int = 128,
    recursive: bool = True,
    suffix: str = "",
    overwrite: bool = False,
) -> None:
    """Reduce sketches to their centrelines, one pixel wide, black on white; exit code 1 when a file could not be read.

    Args:
        source: a sketch (PNG or JPEG of any polarity, SVG, QuickDraw ndjson; `file.ndjson:7` for drawing 7) or a folder.
        out: PNG to write, or a folder (one that is still to be made needs a slash at its end); for a folder, or for all
            drawings of an ndjson file, the folder to write.
        method: skel is MATLAB's bwmorph 'skel', thin Guo-Hall, zhang Zhang-Suen.
        homogeneous: the homogeneous transformation of DeepSSP, Algorithm 1; implies skel.
        threshold: grey levels below it, 1 to 255, are ink.
        recursive: folders below SOURCE as well; --no-recursive takes its own files only.
        suffix: put between a file's name and .png.
        overwrite: replace files that exist.
    """
    from sketchfast.runtime.skeletonize_files import skeletonize_files

    done = skeletonize_files(
        source,
        out,
        method=method,
        homogeneous=homogeneous,
        threshold=threshold,
        recursive=recursive,
        suffix=suffix,
        overwrite=overwrite,
        progress=sys.stderr.isatty(),
    )
    for name, guessed in done.guessed[:20]:
        print(f"guessed: {name}: {guessed}")
    if len(done.guessed) > 20:
        print(f"guessed for {len(done.guessed) - 20} more")
    files = "1 file" if len(done.written) == 1 else f"{len(done.written)} files"
    if done.written:
        print(f"wrote {files}: {done.written[0] if len(done.written) == 1 else out}")
    if done.failed:
        for name, reason in done.failed:
            print("left out: " + (reason if name in reason else f"{name}: {reason}"), file=sys.stderr)
        raise SystemExit(1)


@app.command
def classify(
    sketches: tuple[str, ...],
    /,
    *,
    model: Path | None = None,
    top: int = 5,
    out: str | None = None,
    json: bool = False,
) -> None:
    """Name what sketches show: for each the best names with scores, and a picture of the landmarks it was read at.

    Exit code 1 if any of several failed.

    Args:
        sketches: PNG or JPEG of any size and polarity, SVG, QuickDraw ndjson (all its drawings; `file.ndjson:7` takes
            drawing 7, counted from 0), or folders of these.
        model: run folder of train/landmark.py; runs/landmark-demo by default, where it is there.
        top: names wanted for each sketch.
        out: .png file for one sketch, else a folder; <sketch name>-landmarks.png in the current folder by default.
        json: print one JSON object a line for each sketch instead of text.
    """
    from sketchfast.sketch_commands import classify_sketches

    if not classify_sketches(sketches, model, top, out, json=json):
        raise SystemExit(1)


@app.command
def parse(
    sketches: tuple[str, ...],
    /,
    *,
    model: Path | None = None,
    category: str | None = None,
    classifier: Path | None = None,
    out: str | None = None,
    mask: bool = False,
    json: bool = False,
) -> None:
    """Find the parts of sketches: for each a picture with its parts in colour and a legend; exit code 1 if any failed.

    Args:
        sketches: PNG or JPEG of any size and polarity, SVG, QuickDraw ndjson (all its drawings; `file.ndjson:7` takes
            drawing 7, counted from 0), or folders of these.
        model: run folder of train/deepssp.py; runs/deepssp-demo by default, where it is there.
        category: what the sketches show; guessed from each by default.
        classifier: run folder of train/landmark.py: its network guesses the category, instead of the parser's own head.
        out: .png file for one sketch, else a folder; <sketch name>-parts.png in the current folder by default.
        mask: also write <sketch name>-mask.png, 8-bit grey, 0 background and k the k-th part, of the sketch's size (upright).
        json: print one JSON object a line for each sketch instead of text.
    """
    from sketchfast.sketch_commands import parse_sketches

    if not parse_sketches(sketches, model, category, classifier, out, mask=mask, json=json):
        raise SystemExit(1)


@app.command
def draw(
    photos: tuple[str, ...],
    /,
    *,
    out: str,
    model: Path | None = None,
    animation: str | None = None,
    temperature: float = 1.0,
    greedy: bool = False,
    count: int = 1,
    seed: int = 0,
    device: str = "cpu",
    overwrite: bool = False,
) -> None:
    """Draw photos as a person would, stroke after stroke; exit code 1 if any of several failed.

    Args:
        photos: pictures, or folders of them, searched recursively.
        out: file to write: .svg, .png, .npy (stroke-3) or .ndjson (QuickDraw's form; takes all drawings). A folder for the
            drawings of several photos, as SVG.
        model: run folder of train/more_photos.py; runs/more-photos-demo by default, where it is there.
        animation: also write the drawing as it comes into being: .gif, .png, .apng or .webp; a folder for several photos.
        temperature: below 1 drawings differ less from each other, above it more.
        greedy: draw what is most likely, always the same.
        count: drawings of each photo; sketch.svg becomes sketch-1.svg, sketch-2.svg, ...
        seed: of the drawings that are made.
        device: cpu or cuda.
        overwrite: replace files that exist.
    """
    from sketchfast.drawing_commands import Sampling, draw_photos

    sampling = Sampling(count, temperature, greedy, seed)
    if not draw_photos(photos, model, out, animation, sampling, device=device, overwrite=overwrite):
        raise SystemExit(1)


def _export_of(model: Path) -> Path:
    """The export folder itself, or the export of a run's model, made in the run when it is not there yet or out of date."""
    if (model / "manifest.json").is_file():
        return model
    from sketchfast.models import find_checkpoint, weights_sha256
    from sketchfast.runtime.manifest import is_export, read_manifest

    exported, source = model / "export", weights_sha256(find_checkpoint(model))
    if is_export(exported) and read_manifest(exported).get("source_sha256") == source:
        return exported
    from sketchfast.export import export as export_model

    result = export_model(model, "onnx", exported, overwrite=True)
    print(f"exported {model} to {exported}: {result.parity.summary() if result.parity else 'not verified'}")
    return exported


def main() -> None:
    """Run the command line; a bad argument or file ends with its message, not with a traceback."""
    try:
        app.cli(
            prog="sketchfast", description="Fast kernels, reproduced papers, export and serving for sketches."
        )
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print(
            "sketchfast: interrupted; what was finished is kept, and nothing is half-written", file=sys.stderr
        )
        raise SystemExit(130) from None
    # RuntimeError includes NotImplementedError: a format or precision that is still to come.
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        print(f"sketchfast: {error}", file=sys.stderr)
        raise SystemExit(2) from error
