"""The CPU kernels over numpy arrays, for programs that do not import torch. The same code as `sketchfast.ops` on the CPU.

Each call releases the GIL while it computes. `threads` of 0 means every core. Raises NativeCodeMissing at import where the
package was not built.
"""

import numpy as np
from numpy.typing import NDArray

from sketchfast._native import load_core

_core = load_core()


def hamming_topk(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], k: int, threads: int = 0, path: str = "auto"
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The k nearest database codes of each query by (distance, id): of equal distances the smallest ids win.

    Args:
        queries: uint8 [Q, bits/8], 8 to 1024 bits, the first bit lowest in the first byte; Q may be 0.
        database: uint8 [N, bits/8].
        k: 1 to N.
        threads: 0 for every core.
        path: one of `hamming_paths()` to force an instruction set, for tests and measurements; the result does not depend on it.

    Returns:
        distances int32 [Q, k] in bits, ids int64 [Q, k].

    Raises:
        TypeError: an argument is no numpy array, or not uint8.
        ValueError: a wrong rank, different code lengths, a length out of 8..1024 bits, k out of 1..N, an unknown path.
    """
    return _core.hamming_topk(queries, database, k, threads, path)


def hamming_cdist(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], threads: int = 0, path: str = "auto"
) -> NDArray[np.uint8] | NDArray[np.int16]:
    """Every distance: [Q, N], uint8 for codes up to 255 bits and int16 above. Arguments and errors as `hamming_topk`."""
    return _core.hamming_cdist(queries, database, threads, path)


def pack_bits(values: NDArray, threads: int = 0) -> NDArray[np.uint8]:
    """Pack signs: [..., bits] -> uint8 [..., bits/8], as np.packbits(values > 0, axis=-1, bitorder="little"); NaN gives 0.

    Args:
        values: float32, float64, float16, int8, uint8 or bool; the last axis 8 to 1024 long, a multiple of 8.

    Raises:
        TypeError: no numpy array, or of another dtype.
        ValueError: a scalar, or a last axis of another length.
    """
    return _core.pack_bits(values, threads)


def hamming_paths() -> list[str]:
    """Names of the instruction sets that this processor can run the search with."""
    return _core.hamming_paths()
