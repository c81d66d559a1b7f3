"""The native operators as functions over torch tensors, one op family a file; definitions are in `sketchfast.reference`."""

from sketchfast.ops.hamming import hamming_cdist, hamming_topk, pack_bits

__all__ = ["hamming_cdist", "hamming_topk", "pack_bits"]
