"""The same ops as `sketchfast.ops`, slow and obvious: the definitions that the tests hold the kernels to."""

from sketchfast.reference.hamming import hamming_cdist, hamming_topk, pack_bits
from sketchfast.reference.skeletonize import homogeneous_transform, skeletonize

__all__ = ["hamming_cdist", "hamming_topk", "homogeneous_transform", "pack_bits", "skeletonize"]
