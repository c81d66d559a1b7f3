"""Iterative quantization: real embeddings to binary codes (Gong et al., TPAMI 2013). numpy only.

With V = (X - mean) @ PCA, find the rotation R that moves V R close to the corners of the cube,

    min over B in {-1, 1}, R orthogonal of  || B - V R ||_F^2,

by turns: B = sign(V R); then R = U W^T from the singular value decomposition V^T B = U S W^T (orthogonal
Procrustes: R maximises tr(R^T V^T B)).

The released code of TCN differs in three ways, which `variant="tcn"` keeps:
* it decomposes B^T V = P S Q^T and takes R = Q^T P^T where the solution is Q P^T: numpy returns the
  transposed right factor, MATLAB does not. Its R is orthogonal but not the Procrustes solution, so the loss hardly falls;
* it fits on the test queries (that is the caller's choice of features to fit on);
* it centres queries and gallery each by its own mean: `encode(features, own_mean=True)`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

VARIANTS = ("itq", "tcn")


class ITQ:
    """bits: code length, a multiple of 8 up to the embedding's dimension. iterations: turns of the alternation.

    seed: of the initial rotation; None is 0, or for "tcn" the number of iterations, as in the released code.
    After `fit`: mean float32 [D] and projection float32 [D, bits] = PCA @ rotation, so that
    transform(x) = (x - mean) @ projection.
    """

    def __init__(
        self, bits: int, iterations: int = 50, seed: int | None = None, variant: str = "itq"
    ) -> None:
        if (
            isinstance(bits, bool)
            or not isinstance(bits, (int, np.integer))
            or bits < 8
            or bits > 1024
            or bits % 8
        ):
            raise ValueError(f"bits: expected a multiple of 8 from 8 to 1024; found {bits!r}")
        if iterations < 0:
            raise ValueError(f"iterations: expected 0 or more; found {iterations}")
        if variant not in VARIANTS:
            raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}; found {variant!r}")
        self.bits = int(bits)
        self.iterations = int(iterations)
        self.variant = variant
        self.seed = int(seed) if seed is not None else (self.iterations if variant == "tcn" else 0)
        self._mean: np.ndarray | None = None
        self._projection: np.ndarray | None = None

    @property
    def mean(self) -> np.ndarray:
        """float32 [D]"""
        if self._mean is None:
            raise RuntimeError("ITQ: call fit(features) first")
        return self._mean

    @property
    def projection(self) -> np.ndarray:
        """float32 [D, bits]"""
        if self._projection is None:
            raise RuntimeError("ITQ: call fit(features) first")
        return self._projection

    def fit(self, features: np.ndarray) -> ITQ:
        """Fit on features [N, D], the training embeddings of both modalities; computes in float64.

        Raises ValueError when bits > D, N < 2 or a value is not finite; warns when N <= bits, where some bits
        see no variance and mean nothing.
        """
        x = _checked(features, None).astype(np.float64)
        count, dimensions = x.shape
        if self.bits > dimensions:
            raise ValueError(
                f"bits: {self.bits} bits need at least as many dimensions; features have {dimensions}"
            )
        if count < 2:
            raise ValueError(f"features: expected at least 2 rows to fit on; found {count}")
        if count <= self.bits:
            warnings.warn(
                f"ITQ: {self.bits} bits fitted on {count} features; some bits carry nothing", stacklevel=2
            )
        mean = x.mean(axis=0)
        x -= mean
        principal = _principal_axes(x, self.bits, fix_signs=self.variant == "itq")
        rotation = _rotation(x @ principal, self.iterations, self.seed, self.variant)
        self._mean = mean.astype(np.float32)
        self._projection = (principal @ rotation).astype(np.float32)
        return self

    def transform(self, features: np.ndarray, *, own_mean: bool = False) -> np.ndarray:
        """[N, D] -> float32 [N, bits], the values whose signs are the code.

        own_mean: centre by the mean of `features` instead of the fitted mean. The released code of TCN does so
            for the gallery; a code then depends on the company it is encoded in, so it is no use for an index.
        """
        x = _checked(features, len(self.mean)).astype(np.float32)
        mean = x.mean(axis=0, dtype=np.float64).astype(np.float32) if own_mean else self.mean
        return (x - mean) @ self.projection

    def encode(self, features: np.ndarray, *, own_mean: bool = False) -> np.ndarray:
        """[N, D] -> packed uint8 [N, bits/8]; bit = value > 0, little-endian in each byte, as `pack_bits`."""
        return np.packbits(self.transform(features, own_mean=own_mean) > 0, axis=1, bitorder="little")

    def quantization_loss(self, features: np.ndarray) -> float:
        """Mean over features of the squared distance between values and their corner, |b - v|^2 with b = +-1."""
        values = self.transform(features).astype(np.float64)
        return float(np.mean(np.sum((np.where(values > 0, 1.0, -1.0) - values) ** 2, axis=1)))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to encode: the settings and the arrays "mean" and "projection"."""
        return {
            "bits": self.bits,
            "iterations": self.iterations,
            "seed": self.seed,
            "variant": self.variant,
            "mean": self.mean.copy(),
            "projection": self.projection.copy(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ITQ:
        """The inverse of `state_dict`. Raises ValueError naming what is missing or does not fit."""
        missing = {"bits", "mean", "projection"} - set(state)
        if missing:
            raise ValueError(
                f"state: expected the keys of ITQ.state_dict; missing {', '.join(sorted(missing))}"
            )
        settings = {key: state[key] for key in ("iterations", "seed", "variant") if key in state}
        itq = cls(int(state["bits"]), **settings)
        mean = np.array(state["mean"], np.float32)
        projection = np.array(state["projection"], np.float32)
        if mean.ndim != 1 or projection.shape != (len(mean), itq.bits):
            raise ValueError(
                f"state: expected mean [D] and projection [D, {itq.bits}]; "
                f"found {mean.shape} and {projection.shape}"
            )
        itq._mean, itq._projection = mean, projection
        return itq


def initial_rotation(bits: int, seed: int) -> np.ndarray:
    """float64 [bits, bits]: the left singular vectors of a Gaussian matrix."""
    # RandomState's stream is frozen for ever, which default_rng's is not; a seed means the same codes in ten years
    return np.linalg.svd(np.random.RandomState(seed).randn(bits, bits))[0]


def _principal_axes(centred: np.ndarray, count: int, fix_signs: bool) -> np.ndarray:
    """[D, count] eigenvectors of the covariance, largest variance first."""
    # np.cov and the upper triangle, as the released code: the sign of an axis hangs on the last bits
    axes = np.linalg.eigh(np.cov(centred, rowvar=False), "U")[1][:, ::-1][:, :count]
    if fix_signs:
        # LAPACK leaves the sign open; without this the codes would depend on the library behind numpy
        largest = np.abs(axes).argmax(axis=0)
        axes = axes * np.where(axes[largest, np.arange(count)] < 0, -1.0, 1.0)
    return axes


def _rotation(v: np.ndarray, iterations: int, seed: int, variant: str) -> np.ndarray:
    rotation = initial_rotation(v.shape[1], seed)
    for _ in range(iterations):
        z = v @ rotation
        if variant == "tcn":
            p, _, q_transposed = np.linalg.svd(np.where(z >= 0, 1.0, -1.0).T @ v)
            rotation = q_transposed @ p.T
        else:
            u, _, w_transposed = np.linalg.svd(v.T @ np.where(z > 0, 1.0, -1.0))
            rotation = u @ w_transposed
    return rotation


def _checked(features: np.ndarray, dimensions: int | None) -> np.ndarray:
    features = np.asarray(features)
    if features.ndim != 2:
        raise ValueError(f"features: expected shape [items, dimensions]; found {features.shape}")
    if features.dtype.kind != "f":
        raise TypeError(f"features: expected floats; found {features.dtype}")
    if dimensions is not None and features.shape[1] != dimensions:
        raise ValueError(f"features: expected {dimensions} dimensions as fitted; found {features.shape[1]}")
    if not np.isfinite(features).all():
        raise ValueError("features: expected finite values; found NaN or infinity")
    return features
