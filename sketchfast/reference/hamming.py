"""Definitions of hamming_topk, hamming_cdist and pack_bits in plain torch. Memory and time grow with Q * N * bits."""

import torch
from torch import Tensor


def unpack_bits(codes: Tensor) -> Tensor:
    """uint8 [..., bits/8] -> bool [..., bits]; the first bit is the lowest of the first byte."""
    places = torch.arange(8, dtype=torch.uint8, device=codes.device)
    return ((codes.unsqueeze(-1) >> places) & 1).flatten(-2).bool()


def pack_bits(values: Tensor) -> Tensor:
    """Any real [..., bits] -> uint8 [..., bits/8]: bit = value > 0, as np.packbits(values > 0, bitorder="little")."""
    bits = (values > 0).unflatten(-1, (-1, 8)).long()
    places = torch.arange(8, device=values.device)
    return (bits << places).sum(dim=-1).to(torch.uint8)


def hamming_cdist(queries: Tensor, database: Tensor) -> Tensor:
    """Number of differing bits of every pair: uint8 [Q, b/8] and [N, b/8] -> [Q, N], uint8 up to 255 bits, int16 above."""
    differ = unpack_bits(queries)[:, None, :] != unpack_bits(database)[None, :, :]
    return differ.sum(dim=-1, dtype=torch.int32).to(
        torch.uint8 if 8 * queries.shape[1] <= 255 else torch.int16
    )


def hamming_topk(queries: Tensor, database: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest codes by (distance, id) -> distances int32 [Q, k], ids int64 [Q, k]."""
    # A stable sort keeps equal distances in the order of their ids.
    distances, ids = hamming_cdist(queries, database).int().sort(dim=1, stable=True)
    return distances[:, :k].contiguous(), ids[:, :k].contiguous()
