"""Exact Hamming search over packed binary codes, and the packing.

Codes are uint8 [rows, bits/8] with 8 to 1024 bits, a multiple of 8, the first bit lowest in the first byte. CPU and CUDA
give the same bits. Results are integers, so nothing here carries a gradient. Kernels: hamming*.cpp and pack_bits.cpp in
csrc/cpu, hamming_{topk,walk,cdist}.cu and pack_bits.cu in csrc/cuda; definitions: sketchfast/reference/hamming.py.
"""

import operator

import torch
from torch import Tensor

from sketchfast._native import explain_missing_cuda, load_torch_ops

load_torch_ops()
explain_missing_cuda("hamming_topk", "hamming_cdist", "pack_bits")

MIN_BITS, MAX_BITS = 8, 1024
PACKABLE = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.bool)


def hamming_topk(queries: Tensor, database: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest database codes of each query, ordered by (distance, id): of equal distances the smallest ids win.

    Args:
        queries: uint8 [Q, bits/8]; Q may be 0. Need not be contiguous.
        database: uint8 [N, bits/8] on the same device.
        k: 1 to N.

    Returns:
        distances int32 [Q, k] in bits, ids int64 [Q, k] (rows of `database`).

    Raises:
        TypeError: an argument is no tensor, or not uint8.
        ValueError: a wrong rank, different code lengths or devices, a length out of 8..1024 bits, k out of 1..N.
        NativeCodeMissing: CUDA tensors, and sketchfast was built without CUDA kernels.
    """
    _check_codes("hamming_topk", queries, database)
    k = operator.index(k)
    _check_k(k, database)
    return torch.ops.sketchfast.hamming_topk(queries, database, k)


def hamming_cdist(queries: Tensor, database: Tensor) -> Tensor:
    """Every distance: [Q, N], uint8 for codes up to 255 bits and int16 above (for mean average precision over a gallery).

    Args:
        queries: uint8 [Q, bits/8]; Q may be 0. Need not be contiguous.
        database: uint8 [N, bits/8] on the same device; N may be 0.

    Raises:
        TypeError, ValueError, NativeCodeMissing: as `hamming_topk`.
    """
    _check_codes("hamming_cdist", queries, database)
    return torch.ops.sketchfast.hamming_cdist(queries, database)


def pack_bits(values: Tensor) -> Tensor:
    """Pack signs: [..., bits] -> uint8 [..., bits/8], bit = value > 0 (NaN gives 0), little-endian in each byte.

    Equals np.packbits(values > 0, axis=-1, bitorder="little").

    Args:
        values: float32, float64, float16, bfloat16, int8, uint8 or bool, last axis 8 to 1024 long, a multiple of 8.

    Raises:
        TypeError: no tensor, or of another dtype.
        ValueError: the last axis has another length.
        NativeCodeMissing: a CUDA tensor, and sketchfast was built without CUDA kernels.
    """
    _check_values(values)
    return torch.ops.sketchfast.pack_bits(values.detach())


def _check_tensor(op: str, name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        found = type(value).__name__
        raise TypeError(
            f"{op}: {name} must be a torch.Tensor, found {found} (sketchfast.numpy_ops takes numpy arrays)"
        )


def _check_bits(op: str, name: str, bits: int) -> None:
    if bits < MIN_BITS or bits > MAX_BITS or bits % 8 != 0:
        raise ValueError(
            f"{op}: {name} must have {MIN_BITS} to {MAX_BITS} bits per code, a multiple of 8, found {bits}"
        )


def _check_codes(op: str, queries: Tensor, database: Tensor) -> None:
    for name, codes, rows in (("queries", queries, "Q"), ("database", database, "N")):
        _check_tensor(op, name, codes)
        if codes.dtype != torch.uint8:
            raise TypeError(f"{op}: {name} must be uint8, found {codes.dtype}")
        if codes.ndim != 2:
            raise ValueError(f"{op}: {name} must have shape [{rows}, bits/8], found {list(codes.shape)}")
    if queries.device != database.device:
        raise ValueError(
            f"{op}: queries and database must be on one device, found {queries.device} and {database.device}"
        )
    if queries.shape[1] != database.shape[1]:
        raise ValueError(
            f"{op}: queries and database must have codes of one length, "
            f"found {8 * queries.shape[1]} and {8 * database.shape[1]} bits"
        )
    _check_bits(op, "queries", 8 * queries.shape[1])


def _check_k(k: int, database: Tensor) -> None:
    if k < 1 or k > database.shape[0]:
        raise ValueError(
            f"hamming_topk: k must be at least 1 and at most the {database.shape[0]} codes of database, found {k}"
        )


def _check_values(values: Tensor) -> None:
    _check_tensor("pack_bits", "values", values)
    if values.dtype not in PACKABLE:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in PACKABLE)
        raise TypeError(f"pack_bits: values must be one of {names}, found {values.dtype}")
    if values.ndim < 1:
        raise ValueError("pack_bits: values must have shape [..., bits], found a scalar")
    _check_bits("pack_bits", "values", values.shape[-1])


@torch.library.register_fake("sketchfast::hamming_topk")
def _hamming_topk_fake(queries: Tensor, database: Tensor, k: int) -> tuple[Tensor, Tensor]:
    _check_codes("hamming_topk", queries, database)
    _check_k(k, database)
    shape = (queries.shape[0], k)
    return queries.new_empty(shape, dtype=torch.int32), queries.new_empty(shape, dtype=torch.int64)


@torch.library.register_fake("sketchfast::hamming_cdist")
def _hamming_cdist_fake(queries: Tensor, database: Tensor) -> Tensor:
    _check_codes("hamming_cdist", queries, database)
    dtype = torch.uint8 if 8 * queries.shape[1] <= 255 else torch.int16
    return queries.new_empty((queries.shape[0], database.shape[0]), dtype=dtype)


@torch.library.register_fake("sketchfast::pack_bits")
def _pack_bits_fake(values: Tensor) -> Tensor:
    _check_values(values)
    return values.new_empty((*values.shape[:-1], values.shape[-1] // 8), dtype=torch.uint8)
