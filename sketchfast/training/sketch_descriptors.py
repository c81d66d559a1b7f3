"""Descriptors phi(s) of whole sets of sketches, by whichever network describes them, and where such networks are from.

Pang et al., CVPR 2019: the describer is frozen when the retrieval network is trained, so that each sketch is described once.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.models import find_checkpoint, load_run
from sketchfast.models.sketch_vae import SketchVAE
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.models.vtd import VTD, WordDescriber
from sketchfast.training.checkpoint import read_metadata


@torch.no_grad()
def describe_set(describer: Any, images: ImageSet, mirrored: bool = False, memory: int = 4 << 30) -> Tensor:
    """phi of each sketch, or of its mirror image: float32 [N, M] on the CPU.

    describer: with ``describe(images)`` and ``preprocess``, or a WordDescriber, which knows the sketches by their category; it is
    put into evaluation mode. memory: bytes that the decoded images may take. ValueError for a category without a word vector.
    """
    if isinstance(describer, WordDescriber):
        return describer.describe_names([images.names[label] for label in images.labels]).float().cpu()
    pixels, device = Pixels(images, describer.preprocess, memory), next(describer.parameters()).device
    describer.eval()
    found = []
    blocks = range(0, len(images), 256)
    for first in track(blocks, "describing sketches", transient=True, disable=len(blocks) < 20):
        block = pixels.take(np.arange(first, min(first + 256, len(images)))).to(device)
        seen = normalize(block, describer.preprocess)
        found.append(describer.describe(seen.flip(3) if mirrored else seen).float().cpu())
    return torch.cat(found)


def with_centroids(
    vae: SketchVAE, sketches: ImageSet, count: int, seed: int, memory: int = 4 << 30
) -> SketchVAE:
    """A copy of the VAE that describes a sketch by the nearest of `count` centres (k-means) of these sketches' latent means.

    ValueError for fewer sketches than centres.
    """
    from sklearn.cluster import KMeans

    if len(sketches) < count:
        raise ValueError(f"{count} centres of k-means need as many training sketches, found {len(sketches)}")
    latent = describe_set(vae, sketches, memory=memory).numpy()
    centres = KMeans(count, n_init=4, random_state=seed).fit(latent).cluster_centers_
    clustered = SketchVAE(vae.config).to(next(vae.parameters()).device)
    clustered.load_state_dict(vae.state_dict())
    clustered.set_centroids(torch.from_numpy(centres))
    return clustered.eval()


def read_trait_network(
    run: str | os.PathLike[str], config: TraitConfig, name: str | None = None
) -> TraitNetwork:
    """The trait network of a run of train/vtd.py: one of those it holds, or that of its retrieval network.

    config: what it must be; only how sketches are assigned in training may differ. name: which it must be, such as
    "traits-hard": RUN/<name>, else the run's own network when it is of that kind; None: traits-soft where there is one, else the
    run's own, of any kind. Raises FileNotFoundError for a folder that holds no model, ValueError for one without a trait
    network or with others than `name` alone, and for a dictionary of another K or another network.
    """
    root = Path(run)
    if name is None:
        found = _own_network(root / "traits-soft" if (root / "traits-soft").is_dir() else root)
    else:
        found = _network_named(root, name)
    if not isinstance(found, TraitNetwork):
        raise ValueError(f"{root}: expected a run with a trait network, found {type(found).__name__}")
    if found.config.descriptors != config.descriptors:
        raise ValueError(
            f"{root}: its dictionary has K = {found.config.descriptors} descriptors, expected {config.descriptors}"
        )
    how = config.assignment, config.tau, config.backward
    same = dataclasses.replace(found.config, assignment=how[0], tau=how[1], backward=how[2])
    if same != config:
        raise ValueError(f"{root}: its trait network is {found.config}, expected {config}")
    return found


def _own_network(folder: Path) -> Any:
    found = load_run(folder)
    return found.describer if isinstance(found, VTD) else found


def _network_named(root: Path, name: str) -> Any:
    if (root / name / "model").is_dir():
        return load_run(root / name / "model")
    there = sorted([*root.glob("traits-*/model"), *root.glob("seed-*/traits-*/model")])
    kinds = [str(model.parent.relative_to(root)) for model in there]
    try:
        found = _own_network(root)
    except FileNotFoundError:
        if not kinds:
            raise
        found = None
    if isinstance(found, TraitNetwork):
        # Traits of edge maps are assigned softly too: only the names of method and folder tell them from those of sketches.
        method = read_metadata(find_checkpoint(root)).get("task")
        edges = "edge" in (method, root.name.removeprefix("traits-"))
        kind = f"traits-{'edge' if edges else found.config.assignment}"
        if name.split("-")[:2] == kind.split("-"):
            return found
        kinds = [kind, *kinds]
    if kinds:
        raise ValueError(
            f"{root}: expected a trait network {name!r}, found only {', '.join(dict.fromkeys(kinds))}"
        )
    return found
