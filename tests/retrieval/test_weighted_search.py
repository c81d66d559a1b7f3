"""Weighted search against the loop over queries and samples in float64, where terms cancel and where blocks end."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from sketchfast.retrieval.weighted_rows import weighted_row
from sketchfast.retrieval.weighted_search import weighted_distances, weighted_topk

CLOSE = 1e-4  # relative; nothing is allowed beside it, so that a distance of 0 must be 0


def looped(queries: torch.Tensor, gallery: torch.Tensor, weights: torch.Tensor, of: torch.Tensor):
    """float64 [Q, N], one query and one sample at a time."""
    q, g, w = queries.double(), gallery.double(), weights.double()
    rows = [
        torch.stack([((sample * sketch - sample * g) ** 2).sum(dim=1) for sample in w[row]]).amin(dim=0)
        for sketch, row in zip(q, of.tolist(), strict=True)
    ]
    # w q - w g in float64 leaves 1e-16 of w q, which the square of a near-duplicate's difference would still show.
    exact = [((w[row][:, None] * (sketch - g)) ** 2).sum(dim=2).amin(dim=0) for sketch, row in zip(q, of)]
    torch.testing.assert_close(torch.stack(rows), torch.stack(exact), rtol=1e-5, atol=1e-9)
    return torch.stack(exact)


def drawn(seed: int, offset: float = 0.0):
    """Features, weights with zeros and negatives, rows of weights; some sketches equal or nearly equal to a photo."""
    random = torch.Generator().manual_seed(seed)

    def whole(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=random))

    q, n, w, s, d = whole(2, 12), whole(2, 40), whole(1, 9), whole(1, 6), whole(1, 150)
    queries, gallery = (torch.randn(rows, d, generator=random) + offset for rows in (q, n))
    queries[0] = gallery[0]
    queries[1] = gallery[-1] * (1 + 1e-5 * torch.randn(d, generator=random))
    gallery[n // 2] = gallery[0] + 1e-2 * torch.randn(d, generator=random)
    weights = 1 + torch.randn(w, s, d, generator=random)
    weights[torch.rand(w, s, d, generator=random) < 0.2] = 0.0
    return queries, gallery, weights, torch.randint(0, w, (q,), generator=random)


def assert_close(found: torch.Tensor, expected: torch.Tensor):
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=CLOSE, atol=0.0)


@pytest.mark.parametrize("block_bytes", [1, 20_000, 64 << 20])  # single rows, odd blocks, all at once
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_equals_the_loop_in_float64(seed, offset, block_bytes):
    queries, gallery, weights, of = drawn(seed, offset)
    expected = looped(queries, gallery, weights, of)
    found = weighted_distances(queries, gallery, weights, of, block_bytes=block_bytes)
    assert_close(found, expected)
    assert found[0, 0] == 0.0
    each = weighted_distances(queries, gallery, weights[of], block_bytes=block_bytes)  # W = Q
    assert_close(each, expected)
    plain = weighted_distances(queries, gallery, block_bytes=block_bytes)  # no weights
    assert_close(
        plain,
        torch.cdist(queries.double(), gallery.double(), compute_mode="donot_use_mm_for_euclid_dist") ** 2,
    )


def test_one_query_in_numpy_gives_the_same(seed):
    queries, gallery, weights, of = drawn(seed, offset=10.0)
    expected = looped(queries, gallery, weights, of)
    for block_bytes in (1, 3000, 1 << 20):
        for i in (0, 1):
            row = weighted_row(
                queries[i].numpy(), gallery.numpy(), weights[of[i]].numpy(), block_bytes=block_bytes
            )
            assert_close(torch.from_numpy(row), expected[i])


def test_worked_by_hand():
    # (1 - 3)^2 4 + (2 - 1)^2 1 = 17 by w = (2, -1); by w = (0, 3): 9. The second photo is the sketch itself.
    queries, gallery = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    weights = torch.tensor([[[2.0, -1.0], [0.0, 3.0]]])
    assert weighted_distances(queries, gallery, weights).tolist() == [[9.0, 0.0]]
    assert weighted_distances(queries, gallery, weights[:, :1]).tolist() == [[17.0, 0.0]]  # one sample
    assert weighted_distances(queries, gallery).tolist() == [[5.0, 0.0]]
    assert weighted_row(queries[0].numpy(), gallery.numpy(), weights[0].numpy()).tolist() == [9.0, 0.0]


def test_a_gallery_of_near_duplicates(seed):
    """Every pair has terms that cancel, and tight clusters stay apart from each other after centring."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(3, 512, generator=random)
    gallery = (centres[:, None] + 1e-4 * torch.randn(3, 40, 512, generator=random)).flatten(0, 1)
    queries = (centres[:, None] + 1e-3 * torch.randn(3, 4, 512, generator=random)).flatten(0, 1)
    weights = 1 + torch.randn(len(queries), 3, 512, generator=random)
    weights[0, 0] *= 1e3  # a sample that never is the nearest must not hide the errors of the others
    expected = looped(queries, gallery, weights, torch.arange(len(queries)))
    for block_bytes in (60_000, 64 << 20):
        assert_close(weighted_distances(queries, gallery, weights, block_bytes=block_bytes), expected)


def test_long_features_of_a_network(seed):
    """Non-negative, of unit length, alike, as pooled features are; the terms are summed over 4,096 dimensions."""
    random = torch.Generator().manual_seed(seed)
    base = torch.rand(4096, generator=random)
    queries, gallery = (
        torch.nn.functional.normalize(base + 0.1 * torch.rand(rows, 4096, generator=random), dim=1)
        for rows in (12, 100)
    )
    eta = torch.nn.functional.normalize(torch.randn(12, 4, 4096, generator=random), dim=2)
    assert_close(
        weighted_distances(queries, gallery, 1 + eta), looped(queries, gallery, 1 + eta, torch.arange(12))
    )


@pytest.mark.parametrize("block_bytes", [1, 4000, 64 << 20])
def test_topk_orders_by_distance_and_id(seed, block_bytes):
    random = torch.Generator().manual_seed(seed)
    # Whole numbers with a mean of 0: nothing is rounded, and distances tie often.
    queries, gallery = (torch.randint(-1, 2, (rows, 4), generator=random).float() for rows in (11, 25))
    gallery = torch.cat([gallery, -gallery])
    weights = torch.randint(-1, 3, (3, 2, 4), generator=random).float()
    of = torch.randint(0, 3, (11,), generator=random)
    expected = looped(queries, gallery, weights, of).numpy()
    distances, ids = weighted_topk(queries, gallery, weights, of, k=9, block_bytes=block_bytes)
    order = np.argsort(expected, axis=1, kind="stable")[:, :9]
    assert ids.dtype == torch.int64 and np.array_equal(ids.numpy(), order)
    assert np.array_equal(distances.numpy(), np.take_along_axis(expected, order, axis=1).astype(np.float32))


def test_arrays_and_other_number_types_are_taken():
    queries, gallery, weights, of = drawn(5)
    expected = weighted_distances(queries, gallery, weights, of)
    found = weighted_distances(
        queries.double().numpy(),
        gallery.double().numpy(),
        weights.double().numpy(),
        of.to(torch.int32).numpy(),
    )
    assert torch.equal(found, expected)
    strange = gallery.numpy()[::-1].astype(">f4")[::-1]  # another byte order, negative strides, not writable
    strange.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(weighted_distances(queries, strange, weights, of), expected)
        row = weighted_row(queries[0].numpy(), strange, weights[of[0]].numpy()[::-1])
        assert_close(torch.from_numpy(row), expected[0].double())
    assert torch.equal(weighted_topk(queries, strange, weights, of, k=np.int64(1))[0][:, 0], expected.amin(1))
    before = queries.clone(), gallery.clone(), weights.clone()
    weighted_distances(queries.requires_grad_(), gallery, weights, of, block_bytes=1, progress=True)
    for given, copy in zip((queries, gallery, weights), before, strict=True):
        assert torch.equal(given, copy)  # nothing is written into what was given


def test_bad_input_is_named():
    q, g, w = torch.rand(3, 4), torch.rand(5, 4), torch.rand(3, 2, 4)
    for arguments, said in [
        ((q[:0], g, w), r"queries: .*no side 0; found \[0, 4\]"),
        ((q, g[:0], w), r"gallery: .*no side 0; found \[0, 4\]"),
        ((q, g, w[:, :0]), r"weights: .*found \[3, 0, 4\]"),
        ((q[0], g, w), r"queries: expected shape \[Q, D\].*found \[4\]"),
        ((q, g[:, :3], w), "gallery: expected the 4 dimensions of queries; found 3"),
        ((q, g, w[:, :, :3]), "weights: expected the 4 dimensions of queries; found 3"),
        ((q, g, w[:2]), "weights: expected one row for each of the 3 queries, or weights_of; found 2"),
        ((q, g, w, [0, 1]), r"weights_of: expected 3, one per query; found shape \[2\]"),
        ((q, g, w, [0, 1, 3]), r"weights_of: expected 0..2, rows of weights; found 0..3"),
        ((q, g, w, [0, -1, 2]), r"weights_of: expected 0..2, rows of weights; found -1..2"),
        ((q, g, None, [0, 1, 2]), "weights_of: expected None without weights"),
        ((q * 1e30, g, w), "fit float32"),
    ]:
        with pytest.raises(ValueError, match=said):
            weighted_distances(*arguments)
    for bad in (float("nan"), float("inf")):
        for i, name in enumerate(("queries", "gallery", "weights")):
            values = [q.clone(), g.clone(), w.clone()]
            values[i][2] = bad
            with pytest.raises(ValueError, match=f"{name}: expected finite .* row 2"):
                weighted_distances(*values)
            with pytest.raises(ValueError, match=f"{name.replace('ies', 'y')}: "):
                weighted_row(values[0][2].numpy(), values[1].numpy(), values[2][2].numpy())
    with pytest.raises(TypeError, match="weights_of: expected integers"):
        weighted_distances(q, g, w, [0.0, 1.0, 2.0])
    with pytest.raises(TypeError, match="queries: expected real numbers"):
        weighted_distances(q > 0, g, w)
    with pytest.raises(TypeError, match="weights: expected real numbers; found complex64"):
        weighted_row(q[0].numpy(), g.numpy(), w[0].numpy() * np.complex64(1j))
    with pytest.raises(TypeError, match="gallery: expected real numbers; found bool"):
        weighted_row(q[0].numpy(), g.numpy() > 0, w[0].numpy())
    for bad in ([[1.0, 2.0], [3.0]], None, "abc"):
        with pytest.raises(TypeError, match=r"gallery: expected .*found (list|NoneType|str)"):
            weighted_distances(q, bad, w)
    for k in (0, 6, True, 2.0):
        with pytest.raises(
            ValueError, match="k: expected a whole number from 1 to 5, the photos of the gallery"
        ):
            weighted_topk(q, g, w, k=k)
    for size in (0, 1e6, True):
        with pytest.raises(ValueError, match="block_bytes: expected a positive whole number; found"):
            weighted_topk(q, g, w, k=1, block_bytes=size)
        with pytest.raises(ValueError, match="block_bytes: expected"):
            weighted_row(q[0].numpy(), g.numpy(), w[0].numpy(), block_bytes=size)
    for arguments, said in [
        ((q, g, w[0]), "query"),
        ((q[0], g[:, :3], w[0]), "gallery"),
        ((q[0], g, w), "weights"),
    ]:
        with pytest.raises(ValueError, match=f"{said}: expected"):
            weighted_row(*(values.numpy() for values in arguments))


MEMORY = """
import sys, torch
from sketchfast.retrieval.weighted_search import weighted_distances, weighted_topk

def resident(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) * 1024

def taken(call, **arguments):
    open("/proc/self/clear_refs", "w").write("5")  # start the peak anew
    before = resident("VmRSS")
    found = call(queries, gallery, weights, block_bytes=limit, **arguments)
    return resident("VmHWM") - before - (found.nbytes if call is weighted_distances else 0)

torch.set_num_threads(1)
limit = int(sys.argv[1])
queries, gallery, weights = torch.rand(60, 256), torch.rand(6_000, 256), torch.rand(60, 10, 256)
queries[:30] = gallery[:1] = 3 * queries[:1]  # near each other and far from the rest: terms cancel
gallery[:3000] = gallery[:1] + 1e-3 * gallery[:3000]
weighted_topk(queries, gallery[:300], weights, k=10, block_bytes=limit // 8)  # what a first call loads
print(taken(weighted_topk, k=10), taken(weighted_distances))
"""


def test_memory_is_bounded_by_the_block():
    """In a process of its own; unblocked, the terms of these 60 queries alone would take 288 MB."""
    limit = 8 << 20
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(limit)], capture_output=True, text=True, check=True
    )
    # The products' own scratch (packed panels) and what the allocator keeps come on top.
    assert max(map(int, done.stdout.split())) < limit + (8 << 20), done.stdout
