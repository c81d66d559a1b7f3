"""The decoded images of a set at the network's size, and their way into the network as tensors.

Uses torch; `sketchfast.data` itself does not import this module.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.image_set import ImageSet
from sketchfast.runtime.preprocess import Preprocess


class Pixels:
    """The images of a set at one size: decoded once into memory when they fit, else by threads when asked for."""

    def __init__(
        self, images: ImageSet, preprocess: Preprocess, memory: int = 4 << 30, threads: int = 8
    ) -> None:
        self.images, self.preprocess = images, preprocess
        size = preprocess.size
        fits = len(images) * size * size * 3 <= memory
        self.array = images.resized(size, preprocess) if fits else None
        self.pool = None if fits else ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def take(self, indices: np.ndarray) -> Tensor:
        """uint8 [n, S, S, 3]."""
        if self.array is not None:
            return torch.from_numpy(self.array[indices])
        assert self.pool is not None
        decoded = self.pool.map(lambda i: self.images.picture(int(i), self.preprocess), indices)
        return torch.from_numpy(np.stack(list(decoded)))


def normalize(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 [B, S, S, 3] -> float32 [B, 3, S, S], channels last in memory: what ``Preprocess.normalize`` computes."""
    return standardize(pixels.permute(0, 3, 1, 2).float() / 255.0, preprocess)


def standardize(images: Tensor, preprocess: Preprocess) -> Tensor:
    """Values in 0..1, [B, 3, S, S] -> (value - mean) / std."""
    mean = images.new_tensor(preprocess.mean).view(1, 3, 1, 1)
    std = images.new_tensor(preprocess.std).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)
