"""The evaluator against hand-worked rankings, scikit-learn and a slow definition of every protocol."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from sketchfast.metrics import PROTOCOLS, evaluate_retrieval, evaluate_scores, topk
from sketchfast.metrics import ranking as rank_kernels
from sketchfast.metrics.retrieval import _Evaluation
from sketchfast.ops import pack_bits

HITS = {1, 51, 151}


def slow_order(scores):
    """Gallery indices from best to worst: by (score, index), in Python, one comparison at a time."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))


def slow_ap(relevant, k, protocol):
    """AP of one ranking (booleans, best first) from the definition: precision as a function of recall."""
    positives = sum(relevant)
    points = []  # (recall count, precision) at each hit inside the top k
    for r in range(1, k + 1):
        if relevant[r - 1]:
            hits = sum(relevant[:r])
            points.append((hits, hits / r))
    if protocol in ("sake", "zse"):
        total = sum(max(p for h, p in points if h >= level) for level, _ in points)
        divisor = min(k, positives)
    else:
        total = sum(p for _, p in points)
        divisor = positives if protocol == "sklearn" else len(points)
    return total / divisor if divisor else 0.0


def slow_evaluation(scores, query_labels, gallery_labels, protocol, at, ap_at):
    table = {}
    for q, row in enumerate(scores):
        relevant = [bool(gallery_labels[i] == query_labels[q]) for i in slow_order(row)]
        positives = sum(relevant)
        for k in ap_at:
            table.setdefault(f"mAP@{k}", []).append(
                slow_ap(relevant, len(row) if k == "all" else k, protocol)
            )
        for k in at:
            divisor = max(1, min(k, positives)) if protocol == "zse" else k
            table.setdefault(f"Prec@{k}", []).append(sum(relevant[:k]) / divisor)
    values = {}
    for name, per_query in table.items():
        if protocol == "sake":
            classes = sorted(set(query_labels.tolist()))
            means = [
                sum(v for v, y in zip(per_query, query_labels) if y == c) / sum(y == c for y in query_labels)
                for c in classes
            ]
            values[name] = sum(means) / len(means)
        else:
            values[name] = sum(per_query) / len(per_query)
    return values, table


def toy_scores():
    """One query, 500 items, 303 of its class: three at ranks 1, 51, 151 and the rest behind rank 200."""
    relevant = [r in HITS for r in range(1, 201)] + [True] * 300
    labels = [0 if hit else 1 for hit in relevant]
    return -np.arange(len(labels), dtype=np.float32)[None], labels


@pytest.mark.parametrize(
    ("protocol", "ap", "precision"),
    [
        # precisions at the three hits: 1/1, 2/51, 3/151; they fall, so the envelope changes nothing
        ("sake", (1 + 2 / 51 + 3 / 151) / 200, 3 / 200),
        ("zse", (1 + 2 / 51 + 3 / 151) / 200, 3 / 200),
        ("sklearn", (1 + 2 / 51 + 3 / 151) / 303, 3 / 200),
        ("topk", (1 + 2 / 51 + 3 / 151) / 3, 3 / 200),
    ],
)
def test_toy_ranking_with_few_hits(protocol, ap, precision):
    scores, labels = toy_scores()
    result = evaluate_scores(scores, [0], labels, protocol=protocol, at=(200,), ap_at=(200,))
    assert result.values["mAP@200"] == pytest.approx(ap, abs=1e-15)
    assert result.values["Prec@200"] == pytest.approx(precision, abs=1e-15)


def test_toy_ranking_shows_the_published_contrast():
    scores, labels = toy_scores()
    value = {
        p: evaluate_scores(scores, [0], labels, protocol=p, at=(), ap_at=(200,)).values["mAP@200"]
        for p in PROTOCOLS
    }
    assert round(value["sake"], 3) == 0.005
    assert round(value["topk"], 3) == 0.353


@pytest.mark.parametrize(
    ("protocol", "ap_all", "ap_4", "precision_4"),
    [
        # + = hit, ranking: - + + - + -, 3 positives. Precisions at the hits 1/2, 2/3, 3/5.
        # Envelope over the whole ranking: 2/3, 2/3, 3/5; inside the top 4: 2/3, 2/3.
        ("sake", (2 / 3 + 2 / 3 + 3 / 5) / 3, (2 / 3 + 2 / 3) / 3, 2 / 4),
        ("zse", (2 / 3 + 2 / 3 + 3 / 5) / 3, (2 / 3 + 2 / 3) / 3, 2 / 3),
        ("sklearn", (1 / 2 + 2 / 3 + 3 / 5) / 3, (1 / 2 + 2 / 3) / 3, 2 / 4),
        ("topk", (1 / 2 + 2 / 3 + 3 / 5) / 3, (1 / 2 + 2 / 3) / 2, 2 / 4),
    ],
)
def test_hand_worked_ranking(protocol, ap_all, ap_4, precision_4):
    scores = np.array([[6, 5, 4, 3, 2, 1]], np.float32)
    labels = [1, 0, 0, 1, 0, 1]
    result = evaluate_scores(scores, [0], labels, protocol=protocol, at=(4,), ap_at=("all", 4))
    assert result.values["mAP@all"] == pytest.approx(ap_all, abs=1e-15)
    assert result.values["mAP@4"] == pytest.approx(ap_4, abs=1e-15)
    assert result.values["Prec@4"] == pytest.approx(precision_4, abs=1e-15)


def test_sake_averages_class_means_and_the_others_queries():
    # class a: two queries with AP 1; class b: one query with AP 1/2
    scores = np.array([[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    queries, gallery = ["a", "a", "b"], ["a", "b"]
    by = {
        p: evaluate_scores(scores, queries, gallery, protocol=p, at=(1,), ap_at=("all",)) for p in PROTOCOLS
    }
    assert by["sake"].values == {"mAP@all": 0.75, "Prec@1": 0.5}
    for protocol in ("zse", "sklearn", "topk"):
        assert by[protocol].values["mAP@all"] == pytest.approx((1 + 1 + 0.5) / 3)
        assert by[protocol].values["Prec@1"] == pytest.approx(2 / 3)
    assert by["sake"].per_class["mAP@all"] == {"a": 1.0, "b": 0.5}
    assert by["zse"].per_query["Prec@1"].tolist() == [1.0, 1.0, 0.0]
    assert "protocol sake" in by["sake"].summary() and "mAP@all 0.7500" in by["sake"].summary()


def random_case(rng, ties):
    num_queries, num_gallery, classes = rng.integers(1, 9), rng.integers(2, 60), rng.integers(1, 6)
    gallery_labels = rng.integers(0, classes, num_gallery)
    query_labels = gallery_labels[rng.integers(0, num_gallery, num_queries)]
    shape = (num_queries, num_gallery)
    if ties:
        levels = rng.integers(1, 8)
        scores = rng.integers(0, levels, shape).astype(rng.choice(["float32", "float64"]))
    else:
        scores = np.argsort(rng.random(shape), axis=1).astype(np.float64) / 7
    return scores, query_labels, gallery_labels


def test_sklearn_protocol_equals_scikit_learn(seed):
    """2,000 random matrices without ties (scikit-learn lets tied items share one threshold)."""
    rng = np.random.default_rng(seed)
    for _ in range(2000):
        scores, query_labels, gallery_labels = random_case(rng, ties=False)
        result = evaluate_scores(scores, query_labels, gallery_labels, protocol="sklearn", at=())
        q = rng.integers(0, len(scores))
        expected = average_precision_score(gallery_labels == query_labels[q], scores[q])
        assert result.per_query["mAP@all"][q] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_equal_the_slow_definition(protocol, seed):
    rng = np.random.default_rng(seed)
    for case in range(150):
        scores, query_labels, gallery_labels = random_case(rng, ties=case % 2 == 0)
        k = int(rng.integers(1, scores.shape[1] + 1))
        result = evaluate_scores(
            scores, query_labels, gallery_labels, protocol=protocol, at=(k,), ap_at=("all", k)
        )
        values, table = slow_evaluation(scores, query_labels, gallery_labels, protocol, (k,), ("all", k))
        assert set(result.values) == set(values)
        for name in values:
            assert result.values[name] == pytest.approx(values[name], abs=1e-12)
            np.testing.assert_allclose(result.per_query[name], table[name], atol=1e-12)


def slow_ranks(scores, query_labels, gallery_labels):
    ranks = []
    for q, row in enumerate(scores):
        order = slow_order(row)
        ranks += [r for r, i in enumerate(order, 1) if gallery_labels[i] == query_labels[q]]
    return ranks


@pytest.mark.parametrize(
    "kind", ["spread", "ties", "all equal", "tiny spread", "infinite", "huge", "outlier"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranks_by_counting_and_by_sorting_equal_python(kind, dtype, seed):
    """The interval table of the counting path is built from the positives' scores; strain it."""
    rng = np.random.default_rng(seed)
    for _ in range(40):
        num_queries, num_gallery, classes = rng.integers(1, 6), rng.integers(1, 80), rng.integers(1, 5)
        shape = (num_queries, num_gallery)
        if kind == "spread":
            scores = rng.standard_normal(shape)
        elif kind == "ties":
            scores = rng.integers(-2, 3, shape) * rng.choice([-0.0, 1.0, 1e-40])
        elif kind == "all equal":
            scores = np.full(shape, rng.standard_normal())
        elif kind == "tiny spread":
            scores = 1 + rng.integers(0, 4, shape) * np.finfo(dtype).eps
        elif kind == "infinite":
            scores = rng.choice([-np.inf, -1.0, 0.0, 2.0, np.inf], shape)
        elif kind == "huge":
            scores = rng.uniform(-1, 1, shape) * np.finfo(dtype).max
        else:
            scores = rng.standard_normal(shape)
            scores[:, rng.integers(0, num_gallery)] = 1e30
        scores = np.ascontiguousarray(scores.astype(dtype))
        query_classes, gallery_classes = (
            rng.integers(0, classes, num_queries),
            rng.integers(0, classes, num_gallery),
        )
        positives = rank_kernels.Positives(query_classes, gallery_classes, classes)
        rows = slice(0, num_queries)
        expected = slow_ranks(scores, query_classes, gallery_classes)
        counted = rank_kernels.ranks_by_scores(scores, positives, rows, threads=2)
        assert counted.tolist() == expected
        by_sort = rank_kernels.ranks_by_sorting(torch.from_numpy(scores), positives, rows, descending=True)
        assert by_sort.tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_distance_ranks_equal_python(dtype, seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        num_queries, num_gallery, classes = rng.integers(1, 6), rng.integers(1, 90), rng.integers(1, 5)
        largest = int(rng.choice([8, 64, 248] if dtype == np.uint8 else [256, 1024]))
        distances = rng.integers(0, largest + 1, (num_queries, num_gallery)).astype(dtype)
        if rng.random() < 0.3:
            distances //= max(1, largest // 2)
        query_classes, gallery_classes = (
            rng.integers(0, classes, num_queries),
            rng.integers(0, classes, num_gallery),
        )
        positives = rank_kernels.Positives(query_classes, gallery_classes, classes)
        rows = slice(0, num_queries)
        expected = slow_ranks(-distances.astype(np.float64), query_classes, gallery_classes)
        counted = rank_kernels.ranks_by_distances(distances, largest, positives, rows, threads=2)
        assert counted.tolist() == expected
        by_sort = rank_kernels.ranks_by_sorting(
            torch.from_numpy(distances), positives, rows, descending=False
        )
        assert by_sort.tolist() == expected


def small_integers(rng, rows, dimensions=8):
    """Embeddings whose float32 products are exact, with many ties."""
    return rng.integers(-2, 3, (rows, dimensions)).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "hamming"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_metrics_equal_brute_force(metric, protocol, seed):
    rng = np.random.default_rng(seed)
    classes = 4
    gallery_labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 60)])
    query_labels = rng.integers(0, classes, 17)
    if metric == "euclidean":
        queries, gallery = small_integers(rng, 17), small_integers(rng, 64)
        scores = -((queries[:, None].astype(np.float64) - gallery[None]) ** 2).sum(-1)
    elif metric == "hamming":
        bits = int(rng.choice([8, 64, 256]))
        q, g = rng.standard_normal((17, bits)), rng.standard_normal((64, bits))
        scores = -((q[:, None] > 0) != (g[None] > 0)).sum(-1).astype(np.float64)
        queries, gallery = pack_bits(torch.from_numpy(q)), pack_bits(torch.from_numpy(g))
    else:
        queries, gallery = rng.standard_normal((17, 16)), rng.standard_normal((64, 16))
        gallery[3] = 0  # similarity 0, not NaN
        length = np.maximum(np.linalg.norm(gallery, axis=1), 1e-30)
        scores = queries @ gallery.T / np.linalg.norm(queries, axis=1)[:, None] / length
    at, ap_at = (5, 64), ("all", 10)
    result = evaluate_retrieval(
        queries, gallery, query_labels, gallery_labels, metric=metric, protocol=protocol, at=at, ap_at=ap_at
    )
    values, _ = slow_evaluation(scores, query_labels, gallery_labels, protocol, at, ap_at)
    for name in values:
        assert result.values[name] == pytest.approx(values[name], abs=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "hamming"])
def test_blocks_give_what_one_block_gives(metric, seed):
    rng = np.random.default_rng(seed)
    query_labels, gallery_labels = rng.integers(0, 3, 50), np.arange(70) % 3
    if metric == "hamming":
        queries, gallery = (rng.integers(0, 256, (n, 4)).astype(np.uint8) for n in (50, 70))
    elif metric == "cosine":
        # 16 entries +-1: the norm is 4, so that products and sums are exact in any order of summation, and scores
        # that are equal in one block are equal in many, whatever kernel multiplies them.
        queries, gallery = (rng.choice([-1.0, 1.0], (n, 16)) for n in (50, 70))
    else:
        queries, gallery = small_integers(rng, 50), small_integers(rng, 70)
    one, many = (
        evaluate_retrieval(
            queries, gallery, query_labels, gallery_labels, metric=metric, at=(7,), block_bytes=size
        )
        for size in (1 << 30, 70 * 8 * 3)
    )
    for name in one.per_query:
        np.testing.assert_array_equal(one.per_query[name], many.per_query[name])


def test_the_sorting_path_gives_what_the_counting_path_gives(monkeypatch, seed):
    """What a GPU runs, on the CPU."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 9, (30, 200)).astype(np.float32)
    codes = [torch.from_numpy(rng.integers(0, 256, (n, 2)).astype(np.uint8)) for n in (30, 200)]
    query_labels, gallery_labels = rng.integers(0, 5, 30), np.arange(200) % 5
    by_counting = [
        evaluate_scores(scores, query_labels, gallery_labels, protocol="sake"),
        evaluate_retrieval(*codes, query_labels, gallery_labels, metric="hamming", protocol="sake"),
    ]

    def add_by_sorting(self, values, rows, descending):
        self._add(rank_kernels.ranks_by_sorting(values, self.positives, rows, descending), rows)

    monkeypatch.setattr(_Evaluation, "add_scores", lambda self, s, rows: add_by_sorting(self, s, rows, True))
    monkeypatch.setattr(
        _Evaluation, "add_distances", lambda self, d, _, rows: add_by_sorting(self, d, rows, False)
    )
    by_sorting = [
        evaluate_scores(scores, query_labels, gallery_labels, protocol="sake"),
        evaluate_retrieval(*codes, query_labels, gallery_labels, metric="hamming", protocol="sake"),
    ]
    for a, b in zip(by_counting, by_sorting):
        for name in a.per_query:
            np.testing.assert_array_equal(a.per_query[name], b.per_query[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.int16, torch.uint8])
def test_scores_of_other_dtypes_are_ranked_exactly(dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 100, (9, 40), generator=generator).to(dtype)
    labels, gallery_labels = np.arange(9) % 3, np.arange(40) % 3
    given = evaluate_scores(scores, labels, gallery_labels, at=(5,))
    exact = evaluate_scores(scores.to(torch.float64).numpy(), labels, gallery_labels, at=(5,))
    assert given.values == exact.values


def test_float64_scores_are_not_rounded():
    scores = np.array([[1.0, 1.0 + 1e-12]])  # equal in float32, where index 0 would lead
    assert evaluate_scores(scores, [1], [0, 1], at=(1,)).values["Prec@1"] == 1.0


def test_queries_without_positives():
    scores = np.array([[2.0, 1.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match=r"1 queries have no gallery item .*labels cat.*no_positives"):
        evaluate_scores(scores, ["dog", "cat"], ["dog", "cow"], at=(1,))
    for protocol in PROTOCOLS:
        zero = evaluate_scores(
            scores, ["dog", "cat"], ["dog", "cow"], at=(1,), no_positives="zero", protocol=protocol
        )
        skip = evaluate_scores(
            scores, ["dog", "cat"], ["dog", "cow"], at=(1,), no_positives="skip", protocol=protocol
        )
        assert zero.values == {"mAP@all": 0.5, "Prec@1": 0.5}
        assert skip.values == {"mAP@all": 1.0, "Prec@1": 1.0}
        assert np.isnan(skip.per_query["mAP@all"][1])
        assert skip.num_without_positives == 1 and "1 queries have no" in skip.summary()


GOOD = {
    "queries": np.ones((2, 3), np.float32),
    "gallery": np.ones((4, 3), np.float32),
    "query_labels": [0, 1],
    "gallery_labels": [0, 1, 0, 1],
    "at": (2,),
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"query_labels": [0]}, ValueError, "query_labels: expected 2 labels.*found 1"),
        ({"gallery_labels": [0, 1, 0]}, ValueError, "gallery_labels: expected 4 labels.*found 3"),
        ({"gallery_labels": [[0, 1, 0, 1]]}, ValueError, "gallery_labels: .*one dimension"),
        ({"gallery_labels": [0.0, 1.0, 0.0, 1.0]}, TypeError, "gallery_labels: expected integers"),
        ({"gallery_labels": ["a", "b", "a", "b"]}, TypeError, "expected both integers or both names"),
        ({"at": (5,)}, ValueError, r"at: k = 5 is larger than the gallery \(4 items\)"),
        ({"ap_at": (9,)}, ValueError, r"ap_at: k = 9 is larger than the gallery \(4 items\)"),
        ({"at": (0,)}, ValueError, "at: expected positive integers"),
        ({"ap_at": ("most",)}, ValueError, "ap_at: expected positive integers"),
        ({"protocol": "voc"}, ValueError, "protocol: expected one of sake, zse, sklearn, topk; found 'voc'"),
        ({"metric": "l2"}, ValueError, "metric: expected one of cosine, euclidean, hamming"),
        ({"metric": "hamming"}, TypeError, "queries: .*packed uint8"),
        ({"queries": np.ones((2, 3), np.int64)}, TypeError, "queries: .*float embeddings"),
        ({"queries": np.ones((2, 5), np.float32)}, ValueError, "equal dimensions; found 5 and 3"),
        ({"queries": np.ones(3, np.float32)}, ValueError, "queries: expected shape"),
        ({"queries": [[1.0, 1.0, 1.0]] * 2}, TypeError, "queries: expected a tensor or a numpy array"),
        ({"queries": np.ones((0, 3), np.float32)}, ValueError, "queries: expected at least one"),
        ({"gallery": np.array([[1, 1, np.nan]] * 4, np.float32)}, ValueError, "gallery: .*NaN.*row 0"),
        ({"no_positives": "ignore"}, ValueError, "no_positives: expected error, zero or skip"),
    ],
)
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        evaluate_retrieval(**{**GOOD, **change})


def test_codes_of_different_lengths_are_named():
    codes = [np.zeros((2, 8), np.uint8), np.zeros((4, 4), np.uint8)]
    with pytest.raises(ValueError, match=r"equal bytes per code; found 8 and 4"):
        evaluate_retrieval(*codes, [0, 1], [0, 1, 0, 1], metric="hamming", at=(1,))


def test_bad_scores_are_named():
    scores = np.zeros((2, 4))
    scores[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"scores: .*NaN for query 1"):
        evaluate_scores(scores, [0, 1], [0, 1, 0, 1], at=(1,))
    scores[1, 2], scores[1, 3] = np.inf, -np.inf
    assert evaluate_scores(scores, [0, 1], [0, 1, 0, 1], at=(1,)).values["Prec@1"] == 0.5
    with pytest.raises(ValueError, match="scores: expected shape"):
        evaluate_scores(np.zeros(4), [0], [0, 1, 0, 1])


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "hamming"])
def test_topk_orders_by_score_then_id(metric, seed):
    rng = np.random.default_rng(seed)
    if metric == "hamming":
        q, g = rng.integers(0, 2, (6, 16)), rng.integers(0, 2, (40, 16))
        scores = -(q[:, None] != g[None]).sum(-1)
        queries, gallery = (pack_bits(torch.from_numpy(x.astype(np.float32))) for x in (q, g))
    else:
        queries = np.where(rng.random((6, 4)) < 0.5, -1.0, 1.0)
        gallery = np.where(rng.random((40, 4)) < 0.5, -1.0, 1.0)
        scores = queries @ gallery.T / 4
        if metric == "euclidean":
            scores = -np.linalg.norm(queries[:, None] - gallery[None], axis=2)
    best, ids = topk(queries, gallery, 7, metric)
    for q in range(6):
        expected = slow_order(scores[q].round(6))[:7]
        assert ids[q].tolist() == expected
        np.testing.assert_allclose(best[q], scores[q][expected], atol=1e-6)
    with pytest.raises(ValueError, match=r"k: 41 is larger than the gallery \(40 items\)"):
        topk(queries, gallery, 41, metric)


def test_working_memory_stays_within_block_bytes(monkeypatch):
    """No block asks for more than its share, whatever the size of the whole."""
    num_queries, num_gallery, block_bytes = 3000, 2000, 1 << 20
    largest = 0
    ranks_by_scores = rank_kernels.ranks_by_scores

    def watched(scores, positives, rows, threads):
        nonlocal largest
        ranks = ranks_by_scores(scores, positives, rows, threads)
        largest = max(largest, scores.nbytes + ranks.nbytes)
        return ranks

    monkeypatch.setattr(rank_kernels, "ranks_by_scores", watched)
    evaluate_retrieval(
        torch.randn(num_queries, 4),
        torch.randn(num_gallery, 4),
        np.zeros(num_queries, np.int64),  # one class: every gallery item is a positive, the worst case
        np.zeros(num_gallery, np.int64),
        block_bytes=block_bytes,
    )
    assert block_bytes / 2 < largest <= block_bytes
