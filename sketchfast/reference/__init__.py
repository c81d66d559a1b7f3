"""The same ops as `sketchfast.ops`, slow and obvious: the definitions that the tests hold the kernels to."""

from sketchfast.reference.contour_points import contour_points
from sketchfast.reference.hamming import hamming_cdist, hamming_topk, pack_bits
from sketchfast.reference.landmark_pool import landmark_pool
from sketchfast.reference.rasterize import rasterize
from sketchfast.reference.skeletonize import homogeneous_transform, skeletonize
from sketchfast.reference.soft_weighted_loss import median_frequency_weights, soft_weighted_loss

__all__ = [
    "contour_points",
    "hamming_cdist",
    "hamming_topk",
    "homogeneous_transform",
    "landmark_pool",
    "median_frequency_weights",
    "pack_bits",
    "rasterize",
    "skeletonize",
    "soft_weighted_loss",
]
