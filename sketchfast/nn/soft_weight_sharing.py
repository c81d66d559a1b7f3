"""Soft weight sharing: TCN (Wang et al., TPAMI 2023), eq. 2.

    L_SWS = sum_l 1[l not in BN] ||theta_S^l - theta_I^l||_2^2

The sum runs over parameter tensors (a layer's weight and its bias are two terms). The released code drops the
square, which changes both the scale and the shape of the pull: a squared norm pulls with a force that
vanishes as the towers meet, an unsquared one with a constant force per tensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Compat = Literal["paper", "code"]


def weight_pairs(
    sketch_tower: nn.Module, photo_tower: nn.Module
) -> list[tuple[str, nn.Parameter, nn.Parameter]]:
    """Every parameter of the two towers that does not belong to a batch normalisation layer.

    Returns (name, theta_S^l, theta_I^l). A parameter is left out because of the type of the module that owns
    it, not because of its name, so a normalisation inside a ``downsample`` is left out as well.

    Raises ValueError when the towers differ in structure.
    """
    photo_modules = dict(photo_tower.named_modules())
    pairs: list[tuple[str, nn.Parameter, nn.Parameter]] = []
    for module_name, sketch_module in sketch_tower.named_modules():
        photo_module = photo_modules.get(module_name)
        if photo_module is None or type(photo_module) is not type(sketch_module):
            raise ValueError(
                f"the towers differ at {module_name!r}: the sketch tower has {type(sketch_module).__name__}, "
                f"the photo tower {type(photo_module).__name__}; soft weight sharing needs equal structures"
            )
        if isinstance(sketch_module, _BatchNorm):
            continue
        photo_parameters = dict(photo_module.named_parameters(recurse=False))
        for name, theta_s in sketch_module.named_parameters(recurse=False):
            full_name = f"{module_name}.{name}".lstrip(".")
            theta_i = photo_parameters.get(name)
            if theta_i is None or theta_i.shape != theta_s.shape:
                found = "nothing" if theta_i is None else f"shape {tuple(theta_i.shape)}"
                raise ValueError(
                    f"parameter {full_name!r} has shape {tuple(theta_s.shape)} in the sketch tower "
                    f"and {found} in the photo tower"
                )
            pairs.append((full_name, theta_s, theta_i))
    return pairs


def soft_weight_sharing_loss(pairs: Iterable[tuple[str, Tensor, Tensor]], compat: Compat = "paper") -> Tensor:
    """L_SWS over ``weight_pairs``: a scalar.

    compat="paper": sum of squared norms (eq. 2). compat="code": sum of norms, as in the authors' released
    code; its gradient where two tensors are equal is taken as zero.
    """
    if compat not in ("paper", "code"):
        raise ValueError(f"compat must be 'paper' or 'code', got {compat!r}")
    terms = []
    for _, theta_s, theta_i in pairs:
        difference = theta_s - theta_i
        terms.append(difference.square().sum() if compat == "paper" else torch.linalg.vector_norm(difference))
    if not terms:
        raise ValueError("pairs is empty: the towers have no parameter outside batch normalisation")
    return torch.stack(terms).sum()
