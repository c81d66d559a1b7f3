"""Tiny data sets in the layouts users have, made of random pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

SEEN = ("alarm clock", "car_(sedan)", "cat")
UNSEEN = ("dog", "hot-air_balloon")


class World:
    """Classes with a few photos, and two sketches of each of the first two; no two files are equal."""

    def __init__(self, root: Path, seed: int):
        self.root = root
        self.random = np.random.default_rng(seed)
        self.sketches: dict[str, list[str]] = {}
        self.photos: dict[str, list[str]] = {}

    def photo(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.random.integers(0, 255, (24, 32, 3), np.uint8)).save(path)

    def sketch(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("L", (32, 32), 255)
        for _ in range(3):
            ends = self.random.integers(2, 30, 4).tolist()
            ImageDraw.Draw(picture).line(ends, fill=0, width=2)
        picture.save(path)

    def fill(
        self,
        sketches: str,
        photos: str,
        classes: tuple[str, ...] = SEEN + UNSEEN,
        photo_suffix: str = ".jpg",
        photos_each: int = 3,
    ) -> "World":
        for number, name in enumerate(classes):
            stems = [f"n{number:05d}_{i}" for i in range(photos_each)]
            self.photos[name] = [f"{photos}/{name}/{stem}{photo_suffix}" for stem in stems]
            self.sketches[name] = [f"{sketches}/{name}/{stem}-{k}.png" for stem in stems[:2] for k in (1, 3)]
            for path in self.photos[name]:
                self.photo(self.root / path)
            for path in self.sketches[name]:
                self.sketch(self.root / path)
        return self

    def lists(
        self,
        folder: str = "zeroshot1",
        sketch_list: str = "sketch_tx_000000000000_ready_filelist_{}.txt",
        photo_list: str = "all_photo_filelist_{}.txt",
        held_out: int = 1,
    ) -> "World":
        """Lists as published; the training list leaves the last `held_out` sketches of each class out."""
        for role, names in (("train", SEEN), ("zero", UNSEEN)):
            cname = "cname_cid.txt" if role == "train" else "cname_cid_zero.txt"
            self.write(f"{folder}/{cname}", [f"{name} {label}" for label, name in enumerate(names)])
            kept = -held_out if role == "train" and held_out else None
            for pattern, files in ((sketch_list, self.sketches), (photo_list, self.photos)):
                lines = [
                    f"{path} {label}"
                    for label, name in enumerate(names)
                    for path in (files[name][:kept] if files is self.sketches else files[name])
                ]
                self.write(f"{folder}/{pattern.format(role)}", lines)
        return self

    def write(self, path: str, lines: list[str]) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def edit(self, path: str, change: Callable[[list[str]], list[str]]) -> None:
        lines = (self.root / path).read_text(encoding="utf-8").splitlines()
        self.write(path, change(lines))


@pytest.fixture
def world(tmp_path: Path, seed: int) -> World:
    """An empty world under tmp_path/"data"."""
    root = tmp_path / "data"
    root.mkdir()
    return World(root, seed)


@pytest.fixture
def sketchy(world: World) -> World:
    """Sketchy-Extended as it unpacks, with the lists of zeroshot1."""
    return world.fill("256x256/sketch/tx_000000000000_ready", "256x256/photo/tx_000000000000_ready").lists()
