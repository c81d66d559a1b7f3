"""The native operators as functions over torch tensors, one op family a file; definitions are in `sketchfast.reference`."""

from sketchfast.ops.contour_points import contour_points
from sketchfast.ops.hamming import hamming_cdist, hamming_topk, pack_bits
from sketchfast.ops.landmark_pool import landmark_pool
from sketchfast.ops.rasterize import rasterize
from sketchfast.ops.skeletonize import homogeneous_transform, skeletonize
from sketchfast.ops.soft_weighted_loss import median_frequency_weights, soft_weighted_loss

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
