"""load_zero_shot: from a data set on disk, or the synthetic world, to a ZeroShotSplit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sketchfast.data.image_set import FileImageSet
from sketchfast.data.layouts import (
    FoundLayout,
    class_key,
    dataset_name,
    find_layout,
    is_readable,
    list_class_folders,
    list_files,
)
from sketchfast.data.lists import ListEntry, class_of, read_list
from sketchfast.data.sketchy_info import original_test_photos
from sketchfast.data.splits import ZeroShotSplit
from sketchfast.data.unseen_classes import choose_unseen

_HELD_OUT_SHARE = 0.1


def load_zero_shot(
    dataset: str, root: str | os.PathLike[str] | None = None, split: str | None = None, **options: Any
) -> ZeroShotSplit:
    """A zero-shot split of "sketchy", "tu_berlin", "quickdraw", "folder" or "synthetic".

    root: the data set's folder (not for "synthetic").
    split: "zeroshot1" or "zeroshot0" (also written "zeroshot2") for Sketchy; the first with lists when None.
    Options for data on disk:
        unseen: names of the unseen classes; overrides lists.
        unseen_share: share of the classes that is drawn as unseen where there are no lists. By default the
            published choice or number of classes counts, and a share of 0.2 where nothing is published.
        held_out_share: share of each seen class's training sketches to hold out. By default they come from
            the `_test` list, else from the sketches on disk that the training list leaves out, else from a tenth
            of each class.
        dedupe_gallery: keep only the first of the photos that a list names twice under two folders (False).
        seed: of every random choice (0).
        word_vectors: a file for `word_vectors.load_word_vectors`; fills `.semantic`.
    Options for "synthetic": those of `sketchfast.data.synthetic.zero_shot`.

    `.notes` of the result say which of these applied. Raises FileNotFoundError (wrong path, wrong layout,
    listed files that are missing) and ValueError (empty class, list line without a label, label out of range,
    ...), each naming the thing.
    """
    if dataset.strip().lower() == "synthetic":
        if root is not None or split is not None:
            raise ValueError("the synthetic world is made on the fly: it takes no root and no split")
        from sketchfast.data import synthetic

        return synthetic.zero_shot(**options)
    dataset = dataset_name(dataset)
    if root is None:
        raise ValueError(f"root must be the folder with {dataset} data, got None")
    return _load_files(find_layout(dataset, root, split), **options)


def _load_files(
    found: FoundLayout,
    unseen: Sequence[str] | None = None,
    unseen_share: float | None = None,
    held_out_share: float | None = None,
    dedupe_gallery: bool = False,
    seed: int = 0,
    word_vectors: str | os.PathLike[str] | None = None,
) -> ZeroShotSplit:
    for name, share in (("unseen_share", unseen_share), ("held_out_share", held_out_share)):
        if share is not None and not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {share}")
    notes = [found.title]
    if found.list_folder is not None and unseen is None:
        sets = _from_lists(found, held_out_share, seed, notes)
    else:
        sets = _from_folders(found, unseen, unseen_share, held_out_share, seed, notes)
    train_sketches, held_out, train_photos, queries, gallery = sets
    repeated = len(gallery) - len(_first_of_each(gallery))
    seen_gallery = train_photos
    if dedupe_gallery:
        gallery = gallery.subset(_first_of_each(gallery))
        seen_gallery = train_photos.subset(_first_of_each(train_photos))
        notes.append(f"gallery without {repeated:,} repeated photos")
    elif repeated:
        notes.append(
            f"gallery names {repeated:,} photos twice, as published; dedupe_gallery=True leaves them out"
        )
    semantic = None
    if word_vectors is not None:
        from sketchfast.data.word_vectors import match_word_vectors

        names = train_sketches.names + queries.names
        vectors, said = match_word_vectors(word_vectors, names)
        semantic = dict(zip(names, vectors, strict=True))
        notes += said
    return ZeroShotSplit(
        name=found.dataset + (f"/{found.split}" if found.split else ""),
        train_sketches=train_sketches,
        train_photos=train_photos,
        held_out_sketches=held_out,
        query_sketches=queries,
        gallery_photos=gallery,
        seen_photos_gallery=seen_gallery,
        semantic=semantic,
        notes=notes,
    )


_Sets = tuple[FileImageSet, FileImageSet, FileImageSet, FileImageSet, FileImageSet]


def _from_lists(found: FoundLayout, held_out_share: float | None, seed: int, notes: list[str]) -> _Sets:
    assert found.list_folder is not None
    entries: dict[tuple[str, str], list[ListEntry]] = {}
    for modality in ("sketch", "photo"):
        for role in ("train", "zero"):
            if (modality, role) not in found.lists:
                present = ", ".join(sorted(path.name for path in found.list_folder.iterdir()))
                raise FileNotFoundError(
                    f"{found.list_folder} has no {role} list of {modality} files; it holds {present}"
                )
            entries[modality, role] = read_list(found.lists[modality, role])
    sets: dict[tuple[str, str], FileImageSet] = {}
    names = {"train": list_names(found, "train", entries), "zero": list_names(found, "zero", entries)}
    for (modality, role), lines in entries.items():
        sets[modality, role] = _listed_set(
            found, modality, found.lists[modality, role], lines, names[role], notes
        )
    train = sets["sketch", "train"]
    if held_out_share is not None:
        train, held_out = _hold_out(train, held_out_share, seed, notes)
    elif ("sketch", "test") in found.lists:
        path = found.lists["sketch", "test"]
        held_out = _listed_set(found, "sketch", path, read_list(path), names["train"], notes)
        notes.append(f"held-out seen sketches: {len(held_out):,} of {path.name}")
    else:
        listed = set(train.ids)
        keys = {class_key(name): label for label, name in enumerate(names["train"])}
        on_disk = scan_classes(found, found.sketch_folder, "sketch", keys)
        left = [(path, label) for path, label in on_disk if path not in listed]
        if left:
            held_out = FileImageSet(
                found.root, [p for p, _ in left], [n for _, n in left], train.names, "sketch"
            )
            notes.append(
                f"held-out seen sketches: {len(left):,} of {len(on_disk):,} on disk, those that the training "
                "list leaves out"
            )
        else:
            train, held_out = _hold_out(train, _HELD_OUT_SHARE, seed, notes)
    return train, held_out, sets["photo", "train"], sets["sketch", "zero"], sets["photo", "zero"]


def list_names(found: FoundLayout, role: str, entries: dict[tuple[str, str], list[ListEntry]]) -> list[str]:
    """Class names in label order, from cname_cid*.txt, else from the listed folders; checked to be 0..n-1."""
    assert found.list_folder is not None
    path = found.list_folder / ("cname_cid.txt" if role == "train" else "cname_cid_zero.txt")
    if path.is_file():
        by_label = {entry.label: entry.path for entry in read_list(path)}
        source = str(path)
    else:
        by_label = {
            entry.label: class_of(entry.path) for entry in entries["photo", role] + entries["sketch", role]
        }
        source = str(found.lists["sketch", role])
    if sorted(by_label) != list(range(len(by_label))):
        raise ValueError(
            f"{source}: labels must be 0..{len(by_label) - 1} for {len(by_label)} classes, "
            f"got {min(by_label)}..{max(by_label)}"
        )
    return [by_label[label] for label in range(len(by_label))]


def _listed_set(
    found: FoundLayout,
    modality: str,
    source: Path,
    entries: list[ListEntry],
    names: list[str],
    notes: list[str],
) -> FileImageSet:
    keys = [class_key(name) for name in names]
    for entry in entries:
        if not 0 <= entry.label < len(names):
            raise ValueError(
                f"{source}, line {entry.line}: label {entry.label} is not in 0..{len(names) - 1}"
            )
        if class_key(class_of(entry.path)) != keys[entry.label]:
            raise ValueError(
                f"{source}, line {entry.line}: {entry.path} lies in class folder {class_of(entry.path)!r}, "
                f"but label {entry.label} is {names[entry.label]!r}"
            )
    ids, missing = resolve_entries(found, modality, entries)
    if missing:
        named = ", ".join(entry.path for entry in missing[:5])
        raise FileNotFoundError(
            f"{source} lists {len(missing)} of {len(entries)} files that {found.root} does not hold: {named}"
            + (", ..." if len(missing) > 5 else "")
        )
    moved = sum(path != entry.path for path, entry in zip(ids, entries, strict=True))
    if moved:
        notes.append(
            f"{source.name}: {moved:,} files read from {Path(ids[0]).parent.parent}, not the folder listed"
        )
    return FileImageSet(found.root, ids, [entry.label for entry in entries], names, modality)


def resolve_entries(
    found: FoundLayout, modality: str, entries: list[ListEntry]
) -> tuple[list[str], list[ListEntry]]:
    """Each entry's path on disk relative to the root, and the entries whose file is missing.

    Where the listed folder does not exist (lists written for `..._ready`, data unpacked without it), the file
    is looked for in the modality's folder under the same class.
    """
    files: dict[Path, frozenset[str]] = {}

    def holds(folder: Path, name: str) -> bool:
        if folder not in files:
            files[folder] = frozenset(list_files(folder)) if folder.is_dir() else frozenset()
        return name in files[folder]

    ids: list[str] = []
    missing: list[ListEntry] = []
    for entry in entries:
        path = Path(entry.path)
        if holds(found.root / path.parent, path.name):
            ids.append(entry.path)
            continue
        listed_top = found.root / path.parent.parent
        for folder in found.folders(modality):
            # EXTEND is not the photos' folder: a file of one is not looked for in the other.
            if listed_top.is_dir() or ("EXTEND" in listed_top.name) != ("EXTEND" in folder.name):
                continue
            if holds(folder / path.parent.name, path.name):
                ids.append((folder / path.parent.name / path.name).relative_to(found.root).as_posix())
                break
        else:
            missing.append(entry)
    return ids, missing


def _from_folders(
    found: FoundLayout,
    unseen: Sequence[str] | None,
    unseen_share: float | None,
    held_out_share: float | None,
    seed: int,
    notes: list[str],
) -> _Sets:
    seen_names, unseen_names = choose_unseen(found, unseen, unseen_share, seed, notes)

    def collect(modality: str, wanted: list[str]) -> FileImageSet:
        labels = {class_key(name): label for label, name in enumerate(wanted)}
        items = [
            item
            for folder in found.folders(modality)
            for item in scan_classes(found, folder, modality, labels)
        ]
        return FileImageSet(
            found.root, [path for path, _ in items], [label for _, label in items], wanted, modality
        )

    train = collect("sketch", seen_names)
    test_photos = original_test_photos(found) if held_out_share is None else set()
    held = [
        i
        for i, path in enumerate(train.ids)
        if (class_key(train.names[train.labels[i]]), Path(path).stem.rpartition("-")[0]) in test_photos
    ]
    if held:
        kept = np.setdiff1d(np.arange(len(train)), held)
        notes.append(f"held-out seen sketches: {len(held):,}, those of the photos in info/testset.txt")
        train, held_out = train.subset(kept), train.subset(held)
    else:
        train, held_out = _hold_out(train, held_out_share or _HELD_OUT_SHARE, seed, notes)
    return (
        train,
        held_out,
        collect("photo", seen_names),
        collect("sketch", unseen_names),
        collect("photo", unseen_names),
    )


def scan_classes(
    found: FoundLayout, folder: Path, modality: str, labels: dict[str, int]
) -> list[tuple[str, int]]:
    """(path relative to the root, label) of every picture in the class folders that `labels` names."""
    items = []
    for name, path in list_class_folders(folder).items():
        label = labels.get(class_key(name))
        if label is not None:
            relative = path.relative_to(found.root).as_posix()
            items += [
                (f"{relative}/{file}", label) for file in list_files(path) if is_readable(file, modality)
            ]
    return sorted(items, key=lambda item: (item[1], item[0]))


def _hold_out(
    train: FileImageSet, share: float, seed: int, notes: list[str]
) -> tuple[FileImageSet, FileImageSet]:
    generator = np.random.default_rng([seed, 1])
    held: list[np.ndarray] = []
    for label in range(len(train.names)):
        members = np.flatnonzero(train.labels == label)
        # At least one is left to train on, and one is held out of every class that has two.
        count = min(max(1, round(share * len(members))), len(members) - 1) if len(members) > 1 else 0
        held.append(generator.permutation(members)[:count])
    indices = np.sort(np.concatenate(held)) if held else np.zeros(0, np.int64)
    notes.append(
        f"held-out seen sketches: {len(indices):,}, a share of {share:g} of each class drawn with seed {seed}"
    )
    kept = np.setdiff1d(np.arange(len(train)), indices)
    return train.subset(kept), train.subset(indices)


def _first_of_each(photos: FileImageSet) -> np.ndarray:
    """Positions of the first photo of each (class, file name without extension)."""
    seen: dict[tuple[int, str], int] = {}
    for i, (label, path) in enumerate(zip(photos.labels.tolist(), photos.ids, strict=True)):
        seen.setdefault((label, Path(path).stem), i)
    return np.fromiter(seen.values(), np.int64, len(seen))
