"""load_instances: from a data set on disk, or the synthetic world, to an InstanceSplit."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from sketchfast.data.image_set import FileImageSet
from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.data.layouts import FoundLayout, class_key, dataset_name, find_layout
from sketchfast.data.load import scan_classes
from sketchfast.data.qmul import load_qmul
from sketchfast.data.sketchy_info import invalid_sketches, original_test_photos
from sketchfast.data.unseen_classes import choose_unseen

_GALLERIES = ("all", "drawn")
_READ = "sketchy, qmul, folder or synthetic"


def load_instances(
    dataset: str,
    root: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    split: str | None = None,
    unseen: Sequence[str] | None = None,
    word_vectors: str | os.PathLike[str] | None = None,
    gallery: str = "all",
    held_out_share: float | None = None,
    group: str | None = None,
    **synthetic_options: Any,
) -> InstanceSplit:
    """Sketches paired with the photo each was drawn from, of "sketchy", "qmul", "folder" or "synthetic".

    root: the data set's folder (not for "synthetic"). A sketch belongs to the photo of its class whose name without extension
        is the sketch's, with or without `-<k>` after it. Of two such photos the one of exactly its name is taken.
    seed: of every random choice.
    split: of Sketchy, "zeroshot0" (104/21 classes, as the paper; the default) or "zeroshot1"; only the classes count, not its
        lists, which name photos that nobody drew. Photos of EXTEND are left out.
    unseen: names of the unseen classes. By default those published for the split; in "folder" a fifth, drawn.
    word_vectors: a file for `word_vectors.load_word_vectors`; fills `.semantic`.
    gallery: "all" photos of a class are searched, or only "drawn" ones. It applies to unseen and held-out photos.
    held_out_share: share of each seen class's photos, drawn ones and others alike, that are not trained on. By default those of
        Sketchy's info/testset.txt, none where there is no such file.
    group: of "qmul", the sub-categories to transfer between (`qmul_groups.GROUPS`); by default its published halves. Of the
        options above "qmul" takes root and gallery; nothing in it depends on seed. See `qmul.load_qmul`.
    The rest are options of `synthetic.instances`; of those above it takes seed, unseen and gallery.

    Sketches that Sketchy's info/invalid-*.txt list are left out. `.notes` of the result say what applied.
    Raises FileNotFoundError (wrong path or layout) and ValueError: unknown names, no seen or no unseen class, a class without
    sketches or photos, sketches whose photo is missing, two photos of one name.
    """
    if gallery not in _GALLERIES:
        raise ValueError(f"gallery must be one of {', '.join(_GALLERIES)}, got {gallery!r}")
    kind = dataset.strip().lower()
    _check_choices(seed, unseen, held_out_share)
    if group is not None and kind != "qmul":
        raise ValueError(f"group is an option of qmul, not of {dataset!r}, got {group!r}")
    if kind == "synthetic":
        from sketchfast.data import synthetic

        for name, value in (
            ("root", root), ("split", split), ("word_vectors", word_vectors), ("held_out_share", held_out_share),
        ):  # fmt: skip
            if value is not None:
                raise ValueError(f"the synthetic world is made on the fly: it takes no {name}, got {value!r}")
        options = synthetic_options | ({} if unseen is None else {"unseen": unseen})
        found = synthetic.instances(seed=seed, **options)
    elif kind == "qmul":
        given = {
            "split": split,
            "unseen": unseen,
            "word_vectors": word_vectors,
            "held_out_share": held_out_share,
        }
        unused = [name for name, value in (given | synthetic_options).items() if value is not None]
        if unused:
            raise ValueError(f"qmul, whose halves are published, takes no {', '.join(unused)}")
        found = load_qmul(_needed(root, kind), group)
    else:
        if synthetic_options:
            raise ValueError(
                f"{', '.join(sorted(synthetic_options))}: an option of the synthetic world, not of {dataset!r}"
            )
        found = _from_files(dataset, root, seed, split, unseen, word_vectors, held_out_share)
    found.settings["gallery"] = gallery
    return _only_drawn(found) if gallery == "drawn" else found


def _from_files(
    dataset: str,
    root: str | os.PathLike[str] | None,
    seed: int,
    split: str | None,
    unseen: Sequence[str] | None,
    word_vectors: str | os.PathLike[str] | None,
    held_out_share: float | None,
) -> InstanceSplit:
    try:
        name = dataset_name(dataset)
    except ValueError:
        raise ValueError(f"data set must be {_READ}, got {dataset!r}") from None
    if name not in ("sketchy", "folder"):
        raise ValueError(f"data set must be {_READ}: {name} does not say which photo a sketch is of")
    root = _needed(root, name)
    found = find_layout(name, root, split or ("zeroshot0" if name == "sketchy" else None))
    # EXTEND holds the original photos again, and others that nobody drew.
    found = dataclasses.replace(found, photo_folders=found.photo_folders[:1])
    notes = [dataclasses.replace(found, list_folder=None).title.removesuffix(", no lists")]
    seen_names, unseen_names = choose_unseen(found, unseen, None, seed, notes)
    invalid = invalid_sketches(found)
    either: list[str] = []
    train = paired_files(found, seen_names, invalid, either)
    test = paired_files(found, unseen_names, invalid, either)
    if either:
        notes.append(
            f"{len(either):,} sketches, such as {either[0]}, could be of two photos: of the one of exactly their name, which "
            "they were given, or of the one of their name without its number"
        )
    if invalid:
        notes.append(_left_out(invalid, found, seen_names + unseen_names))
    train, held_out = _hold_out(found, train, held_out_share, seed, notes)
    semantic = None
    if word_vectors is not None:
        from sketchfast.data.word_vectors import match_word_vectors

        vectors, said = match_word_vectors(word_vectors, seen_names + unseen_names)
        semantic = dict(zip(seen_names + unseen_names, vectors, strict=True))
        notes += said
    return InstanceSplit(
        name=f"{name}{f'/{found.split}' if found.split else ''}, instances",
        dataset=name,
        train=train,
        test=test,
        held_out=held_out,
        semantic=semantic,
        notes=notes,
        settings={
            "seed": seed,
            "split": found.split,
            "unseen": unseen_names,
            "held_out_share": held_out_share,
        },
    )


def _needed(root: str | os.PathLike[str] | None, dataset: str) -> str | os.PathLike[str]:
    if root is None:
        raise ValueError(f"root must be the folder with {dataset} data, got None")
    return root


def _check_choices(seed: Any, unseen: Any, held_out_share: Any) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
    if isinstance(unseen, str) or any(not isinstance(name, str) for name in unseen or ()):
        raise ValueError(f"unseen must be a list of class names, got {unseen!r}")
    share = held_out_share
    if share is not None and (not isinstance(share, float | int | np.number) or not 0 < share < 1):
        raise ValueError(f"held_out_share must lie between 0 and 1, got {share!r}")


def _files(found: FoundLayout, modality: str, names: list[str]) -> list[tuple[str, int]]:
    labels = {class_key(name): label for label, name in enumerate(names)}
    (folder,) = found.folders(modality)
    return scan_classes(found, folder, modality, labels)


def paired_files(
    found: FoundLayout,
    names: list[str],
    invalid: Mapping[str, set[tuple[str | None, str]]] | None = None,
    either: list[str] | None = None,
) -> PairedSet:
    """The photos and sketches of these classes, paired by their names as `load_instances` says.

    invalid: file -> (class_key or None for any, name without extension) of sketches to leave out. either: gets the paths of the
    sketches whose name fits two photos. ValueError for sketches without their photo, and photos of one name.
    """
    either = [] if either is None else either
    photos = _files(found, "photo", names)
    photo_at: dict[tuple[int, str], int] = {}
    for row, (path, label) in enumerate(photos):
        first = photo_at.setdefault((label, _stem(path)), row)
        if first != row:
            raise ValueError(
                f"{found.root}: {photos[first][0]} and {path} have one name but for the extension: "
                "which of them a sketch belongs to cannot be told"
            )
    listed = set().union(*(invalid or {}).values())
    sketches: list[tuple[str, int]] = []
    photo_of: list[int] = []
    orphans: list[str] = []
    for path, label in _files(found, "sketch", names):
        stem = _stem(path)
        if (None, stem) in listed or (class_key(names[label]), stem) in listed:
            continue
        before, _, number = stem.rpartition("-")
        same = photo_at.get((label, stem))
        numbered = photo_at.get((label, before)) if number.isdecimal() else None
        own = numbered if same is None else same
        if own is None:
            orphans.append(path)
            continue
        if same is not None and numbered is not None:
            either.append(path)
        sketches.append((path, label))
        photo_of.append(own)
    if orphans:
        more = ", ..." if len(orphans) > 5 else ""
        (folder,) = found.folders("photo")
        raise ValueError(
            f"{found.root}: {len(orphans):,} sketches have no photo of their name (`<photo>-<k>` or `<photo>`) in their class "
            f"under {folder.relative_to(found.root).as_posix()}: {', '.join(orphans[:5])}{more}"
        )

    def as_set(items: list[tuple[str, int]], modality: str) -> FileImageSet:
        return FileImageSet(
            found.root, [path for path, _ in items], [label for _, label in items], names, modality
        )

    return PairedSet(as_set(sketches, "sketch"), as_set(photos, "photo"), np.array(photo_of, np.int64))


def _stem(path: str) -> str:
    """A file's name without extension; as of classes, how accents are stored does not count."""
    return unicodedata.normalize("NFC", PurePosixPath(path).stem)


def _left_out(invalid: dict[str, set[tuple[str | None, str]]], found: FoundLayout, names: list[str]) -> str:
    """How many of the sketches that are there each list names; a sketch may be in several."""
    keys = [(class_key(names[label]), _stem(path)) for path, label in _files(found, "sketch", names)]

    def count(listed: set[tuple[str | None, str]]) -> int:
        return sum((None, stem) in listed or (name, stem) in listed for name, stem in keys)

    each = ", ".join(f"{count(listed):,} by {file}" for file, listed in invalid.items())
    return f"{count(set().union(*invalid.values())):,} of {len(keys):,} sketches left out as invalid: {each}"


def _hold_out(
    found: FoundLayout, train: PairedSet, share: float | None, seed: int, notes: list[str]
) -> tuple[PairedSet, PairedSet | None]:
    if share is None:
        listed = original_test_photos(found)
        keys = [class_key(name) for name in train.names]
        stems = zip(train.photos.labels.tolist(), train.photos.ids, strict=True)
        held = [i for i, (y, path) in enumerate(stems) if (keys[y], _stem(path)) in listed]
        how = "those of info/testset.txt"
    else:
        drawn = np.isin(np.arange(len(train.photos)), train.drawn)
        held = []
        for label, name in enumerate(train.names):
            random = np.random.default_rng([seed, zlib.crc32(class_key(name).encode())])
            for kind in (drawn, ~drawn):
                rows = random.permutation(np.flatnonzero(kind & (train.photos.labels == label)))
                # At least one drawn photo is left to train on.
                held += rows[: min(round(share * len(rows)), max(len(rows) - 1, 0))].tolist()
        how = f"a share of {share:g} of each class drawn with seed {seed}"
    if not held:
        notes.append("no photos of seen classes are held out")
        return train, None
    held_out = train.of_photos(np.sort(held))
    notes.append(
        f"held out: {len(held):,} photos of seen classes and their {len(held_out):,} sketches, {how}"
    )
    return train.of_photos(np.setdiff1d(np.arange(len(train.photos)), held)), held_out


def _only_drawn(found: InstanceSplit) -> InstanceSplit:
    test = found.test.of_photos(found.test.drawn)
    held_out = found.held_out and found.held_out.of_photos(found.held_out.drawn)
    dropped = len(found.test.photos) - len(test.photos)
    notes = [*found.notes, f"the gallery is without {dropped:,} photos of unseen classes that nobody drew"]
    return dataclasses.replace(found, test=test, held_out=held_out, notes=notes)
