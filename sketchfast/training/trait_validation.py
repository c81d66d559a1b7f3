"""What a trait network is judged by while it is trained: the descriptors in use, and how well sketches are drawn again."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.metrics.trait_usage import TraitUsage
from sketchfast.models.traits import TraitNetwork
from sketchfast.nn.trait_assignment import reconstruction_error
from sketchfast.training.trait_pictures import DescribedSketches


def usage_everywhere(network: TraitNetwork, sketches: ImageSet, fabric: Any, memory: int) -> TraitUsage:
    """Of all the sketches, each described by one of fabric's processes. memory: bytes that decoded images may take."""
    if fabric.world_size > 1:
        sketches = sketches.subset(np.arange(fabric.global_rank, len(sketches), fabric.world_size))
    counts = torch.from_numpy(DescribedSketches.of(network, sketches, memory).usage.counts)
    everywhere = fabric.all_reduce(counts.to(fabric.device), reduce_op="sum").cpu()
    return TraitUsage(everywhere.numpy(), tuple(sketches.names))


@torch.no_grad()
def drawn_again(network: TraitNetwork, sketches: ImageSet, memory: int) -> float:
    """L_rec of the network as it is tested, each sketch with its own descriptor."""
    pixels, device, total = Pixels(sketches, network.preprocess, memory), network.dictionary.device, 0.0
    for rows in np.array_split(np.arange(len(sketches)), -(-len(sketches) // 256)):
        s = normalize(pixels.take(rows).to(device), network.preprocess)
        total += float(reconstruction_error(network(s).reconstruction, s)) * len(rows)
    return total / len(sketches)
