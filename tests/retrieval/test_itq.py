"""ITQ against an independent Procrustes alternation, and the released variant against its recipe."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from sketchfast.retrieval import ITQ
from sketchfast.retrieval.itq import initial_rotation


def embeddings(seed, count=1500, dimensions=48, clusters=12):
    """Clustered like embeddings of classes: unequal variances, a mean away from zero, unit length."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dimensions)) * np.linspace(2, 0.5, dimensions)
    x = centres[rng.integers(0, clusters, count)] + 0.6 * rng.standard_normal((count, dimensions)) + 0.3
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def loss(v, rotation):
    z = v @ rotation
    return np.mean(np.sum((np.sign(z) - z) ** 2, axis=1))


def principal_values(itq, features):
    """V = (X - mean) @ PCA from the singular value decomposition of X, with ITQ's choice of signs."""
    x = features.astype(np.float64) - features.astype(np.float64).mean(axis=0)
    axes = np.linalg.svd(x, full_matrices=False)[2][: itq.bits].T
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(itq.bits)])
    return x @ axes


@pytest.mark.parametrize("bits", [16, 48])
def test_quantization_loss_equals_an_independent_procrustes_alternation(bits, seed):
    features = embeddings(seed) * 6  # a scale at which the corners are near
    ours = ITQ(bits, seed=3).fit(features)
    released = ITQ(bits, seed=3, variant="tcn").fit(features)

    v = principal_values(ours, features)
    rotation = initial_rotation(bits, 3)
    start = loss(v, rotation)
    for _ in range(50):
        rotation, _ = orthogonal_procrustes(v, np.sign(v @ rotation))
    independent = loss(v, rotation)

    print(
        f"{bits} bits: random rotation {start:.3f}, released {released.quantization_loss(features):.3f}, "
        f"ours {ours.quantization_loss(features):.3f}, independent {independent:.3f}"
    )
    assert ours.quantization_loss(features) == pytest.approx(independent, rel=1e-4)
    assert ours.quantization_loss(features) < released.quantization_loss(features)
    assert ours.quantization_loss(features) < start
    np.testing.assert_allclose(ours.projection.T @ ours.projection, np.eye(bits), atol=1e-5)
    np.testing.assert_allclose(released.projection.T @ released.projection, np.eye(bits), atol=1e-5)


def test_loss_never_rises_with_iterations(seed):
    features = embeddings(seed)
    losses = [ITQ(24, iterations=n).fit(features).quantization_loss(features) for n in (0, 1, 2, 5, 20, 50)]
    assert all(later <= earlier + 1e-5 for earlier, later in pairwise(losses))
    assert losses[-1] < losses[0]


def test_released_variant_follows_its_recipe(seed):
    """Written from the description: all principal axes, legacy seed = iterations, R = (right factor as numpy
    returns it) @ (left factor)^T of B^T V, queries and gallery each centred by its own mean."""
    queries, gallery = embeddings(seed, 300, 16), embeddings(seed + 1, 200, 16)
    q = queries.astype(np.float64) - queries.astype(np.float64).mean(axis=0)
    g = gallery.astype(np.float64) - gallery.astype(np.float64).mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(q, rowvar=False), "U")
    axes = axes[:, np.argsort(variances)[::-1]]
    np.random.seed(50)  # noqa: NPY002 - the released code does
    rotation = np.linalg.svd(np.random.randn(16, 16))[0]  # noqa: NPY002
    for _ in range(50):
        corners = np.where(q @ axes @ rotation >= 0, 1.0, -1.0)
        left, _, right = np.linalg.svd(corners.T @ (q @ axes))
        rotation = right @ left.T

    released = ITQ(16, variant="tcn").fit(queries)
    # transform rounds to float32: leave values at zero out
    expected_q, expected_g = q @ axes @ rotation, g @ axes @ rotation
    clear_q, clear_g = np.abs(expected_q) > 1e-4, np.abs(expected_g) > 1e-4
    bits_q = np.unpackbits(released.encode(queries, own_mean=True), axis=1, bitorder="little").astype(bool)
    bits_g = np.unpackbits(released.encode(gallery, own_mean=True), axis=1, bitorder="little").astype(bool)
    assert (bits_q == (expected_q > 0))[clear_q].all()
    assert (bits_g == (expected_g > 0))[clear_g].all()


def test_codes_are_the_signs_little_endian(seed):
    features = embeddings(seed, 200)
    itq = ITQ(16).fit(features)
    values = itq.transform(features)
    np.testing.assert_array_equal(values, (features - itq.mean) @ itq.projection)
    assert values.dtype == np.float32 and values.shape == (200, 16)
    codes = itq.encode(features)
    assert codes.dtype == np.uint8 and codes.shape == (200, 2)
    for bit in range(16):
        np.testing.assert_array_equal((codes[:, bit // 8] >> (bit % 8)) & 1, values[:, bit] > 0)


def test_codes_equal_pack_bits(seed):
    torch = pytest.importorskip("torch")
    from sketchfast.ops import pack_bits

    features = embeddings(seed, 100)
    itq = ITQ(24).fit(features)
    packed = pack_bits(torch.from_numpy(itq.transform(features)))
    np.testing.assert_array_equal(packed.numpy(), itq.encode(features))


def test_a_value_of_zero_gives_bit_zero():
    itq = ITQ.from_state(
        {"bits": 8, "mean": np.zeros(8, np.float32), "projection": np.eye(8, dtype=np.float32)}
    )
    assert itq.encode(np.array([[0, 1, -1, 0, 0, 0, 0, 2]], np.float32)).tolist() == [[0b10000010]]


@pytest.mark.parametrize("variant", ["itq", "tcn"])
def test_same_seed_same_codes(variant, seed):
    features = embeddings(seed)
    first, again = (ITQ(32, seed=5, variant=variant).fit(features) for _ in range(2))
    np.testing.assert_array_equal(first.projection, again.projection)
    other = ITQ(32, seed=6, variant=variant).fit(features)
    assert not np.array_equal(first.projection, other.projection)


def test_state_survives(seed):
    features = embeddings(seed)
    itq = ITQ(32, iterations=7, seed=5, variant="tcn").fit(features)
    copy = ITQ.from_state(itq.state_dict())
    assert (copy.bits, copy.iterations, copy.seed, copy.variant) == (32, 7, 5, "tcn")
    np.testing.assert_array_equal(copy.encode(features), itq.encode(features))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ITQ(12), ValueError, "bits: expected a multiple of 8"),
        (lambda x: ITQ(0), ValueError, "bits: expected a multiple of 8"),
        (lambda x: ITQ(16, variant="pca"), ValueError, "variant: expected one of itq, tcn"),
        (lambda x: ITQ(16, iterations=-1), ValueError, "iterations: expected 0 or more"),
        (lambda x: ITQ(64).fit(x), ValueError, "bits: 64 bits need .* features have 48"),
        (lambda x: ITQ(16).fit(x[0]), ValueError, "features: expected shape"),
        (lambda x: ITQ(16).fit(x[:1]), ValueError, "features: expected at least 2 rows"),
        (lambda x: ITQ(16).fit(x.astype(int)), TypeError, "features: expected floats"),
        (lambda x: ITQ(16).fit(x / 0), ValueError, "features: expected finite"),
        (lambda x: ITQ(16).fit(x).encode(x[:, :9]), ValueError, "expected 48 dimensions as fitted; found 9"),
        (lambda x: ITQ(16).encode(x), RuntimeError, r"call fit\(features\) first"),
        (lambda x: ITQ.from_state({"bits": 16}), ValueError, "missing mean, projection"),
        (
            lambda x: ITQ.from_state({"bits": 16, "mean": x[0], "projection": x}),
            ValueError,
            r"projection \[D, 16\]",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(embeddings(0, 60))


def test_too_few_features_warn():
    with pytest.warns(UserWarning, match="16 bits fitted on 10 features"):
        ITQ(16).fit(embeddings(0, 10))


def test_no_torch_is_imported():
    code = "import sys, sketchfast.retrieval.itq; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
