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
from sketchfast.models import load_run
from sketchfast.models.sketch_vae import SketchVAE
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.models.vtd import VTD, WordDescriber


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


def read_trait_network(run: str | os.PathLike[str], config: TraitConfig) -> TraitNetwork:
    """The trait network of a run of train/vtd.py: its own (traits-soft), or that of its retrieval network.

    config: what it must be; only how sketches are assigned in training may differ. Raises FileNotFoundError for a folder that
    holds no model, ValueError for one without a trait network, and for a dictionary of another K or another network.
    """
    root = Path(run)
    found = load_run(root / "traits-soft" if (root / "traits-soft").is_dir() else root)
    found = found.describer if isinstance(found, VTD) else found
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
