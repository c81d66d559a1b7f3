"""Fusion over n: the weights are the best ones, and the ensemble of one network for each n."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sketchfast.models import LandmarkEnsemble, LandmarkNet, LandmarkNetConfig, fit_fusion, load_run
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import save_model
from tests.models.test_landmark import NAMES, SIDE, moving, sketches


def draw(seed: int, count: int, members: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Members that know the label to different degrees."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    logits = random.normal(size=(count, members, classes))
    logits[np.arange(count), :, labels] += random.uniform(0, 4, members)
    scores = np.exp(logits)
    return scores / scores.sum(axis=2, keepdims=True), labels


def loss(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    fused = np.einsum("nmk,m->nk", scores, weights)
    return float(-np.log(fused[np.arange(len(labels)), labels]).mean())


def test_no_other_weights_are_better(seed: int) -> None:
    random = np.random.default_rng(seed)
    members = int(random.integers(2, 10))
    scores, labels = draw(seed, 300, members, 7)
    weights = fit_fusion(scores, labels)
    assert weights.dtype == np.float64 and weights.shape == (members,)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    best = loss(scores, labels, weights)
    for concentration in (0.1, 1.0, 10.0):
        for other in random.dirichlet(np.full(members, concentration), 100):
            assert loss(scores, labels, other) >= best - 1e-6
    for step in (1e-2, 1e-3):  # and close by
        for other in random.dirichlet(np.ones(members), 50):
            assert loss(scores, labels, (1 - step) * weights + step * other) >= best - 1e-6
    assert np.array_equal(weights, fit_fusion(torch.from_numpy(scores), torch.from_numpy(labels)))


def test_two_members_against_a_fine_grid(seed: int) -> None:
    scores, labels = draw(seed, 200, 2, 5)
    grid = np.linspace(0, 1, 2001)
    losses = [loss(scores, labels, np.array([w, 1 - w])) for w in grid]
    weights = fit_fusion(scores, labels)
    assert loss(scores, labels, weights) <= min(losses) + 1e-6


def test_a_member_that_is_always_right_takes_all_and_equal_members_share() -> None:
    labels = np.arange(4).repeat(5)
    right = np.eye(4)[labels]
    scores = np.stack([np.full_like(right, 0.25), right], axis=1)
    assert fit_fusion(scores, labels)[1] == pytest.approx(1, abs=1e-3)
    assert fit_fusion(scores[:, [0, 0, 0]], labels) == pytest.approx([1 / 3] * 3)
    wrong = np.roll(scores, 1, axis=2)  # members that give the label a score of 0 exactly
    assert np.isfinite(fit_fusion(wrong, labels)).all()


def test_tensors_of_any_kind() -> None:
    scores, labels = draw(0, 6, 2, 3)
    given = torch.tensor(scores, dtype=torch.bfloat16, requires_grad=True)
    expected = fit_fusion(given.detach().double().numpy(), labels)
    np.testing.assert_array_equal(fit_fusion(given, torch.tensor(labels)), expected)


def test_errors() -> None:
    scores, labels = draw(0, 6, 2, 3)
    for bad, wrong in ((scores[0], labels), (scores, labels[:5]), (scores[:0], labels[:0])):
        with pytest.raises(ValueError, match=r"scores must be \[N, M, K\]"):
            fit_fusion(bad, wrong)
    for other in (labels + 3, labels - 3, labels.astype(float)):
        with pytest.raises(ValueError, match=r"labels must be whole numbers in 0\.\.2"):
            fit_fusion(scores, other)
    for value in (np.nan, -0.1, np.inf):
        broken = scores.copy()
        broken[1, 1, 1] = value
        with pytest.raises(ValueError, match="finite and at least 0"):
            fit_fusion(broken, labels)


def test_ensemble_is_its_members_and_survives_saving(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    members = [moving(landmarks=(n,), class_aware=n != 7) for n in (7, 3, 12)]
    ensemble, images = LandmarkEnsemble(members).eval(), sketches(seed)
    with torch.no_grad():
        expected = torch.stack([member.classify(images) for member in members], dim=1)
        scores = ensemble.member_scores(images)
        torch.testing.assert_close(scores, expected)
        torch.testing.assert_close(ensemble.classify(images), expected.mean(dim=1))
        weights = fit_fusion(scores, [0, 1, 2])
        ensemble.set_fusion(weights, (7, 3, 12))
        found = ensemble.classify(images)
        torch.testing.assert_close(
            found.double(), torch.einsum("bmk,m->bk", expected.double(), torch.from_numpy(weights))
        )
        assert torch.equal(ensemble.describe(images, 12), members[2].describe(images))
        assert torch.equal(ensemble.encode_photo(images), members[0].describe(images))
        f, joint = ensemble.descriptors(images, 12)
        views = [F.normalize(members[2](view).features[0], dim=1) for view in (images, images.flip(3))]
        torch.testing.assert_close(f, F.normalize(views[0] + views[1], dim=1))  # f_s has no part in it
        assert torch.equal(joint, ensemble.describe(images, 12))
        save_model(tmp_path / "run" / "model", ensemble)
        loaded = load_run(tmp_path / "run")
        assert isinstance(loaded, LandmarkEnsemble) and loaded.config == ensemble.config
        assert loaded.class_names == NAMES and loaded.preprocess == ensemble.preprocess
        assert torch.equal(loaded.classify(images), found)
    with pytest.raises(ValueError, match=r"a fusion fitted on another set of n.*\(7, 3, 12\)"):
        ensemble.set_fusion(weights, (3, 7, 12))


def test_members_that_do_not_go_together() -> None:
    one, two = moving(landmarks=(3,)), moving(landmarks=(5,))
    with pytest.raises(ValueError, match="at least one LandmarkNet"):
        LandmarkEnsemble([])
    with pytest.raises(ValueError, match=r"different numbers of landmarks, got \(3, 3\)"):
        LandmarkEnsemble([one, moving(landmarks=(3,))])
    with pytest.raises(ValueError, match=r"one serves \(5, 9\)"):
        LandmarkEnsemble([one, moving(landmarks=(5, 9))])
    with pytest.raises(ValueError, match="one serves"):
        LandmarkEnsemble([one, moving(pooling="global")])
    renamed = LandmarkNet(two.config, NAMES[::-1], two.preprocess)
    resized = LandmarkNet(two.config, NAMES, Preprocess(size=2 * SIDE))
    for other in (renamed, resized):
        with pytest.raises(ValueError, match="those for n=3 and n=5 differ"):
            LandmarkEnsemble([one, other])
    settings = {"backbone": "resnet10", "weights": "none", "stem": "small", "width": 0.125}
    nameless = [LandmarkNet(LandmarkNetConfig(**settings, num_classes=k, landmarks=(k,))) for k in (2, 3)]
    with pytest.raises(ValueError, match="share num_classes, got 2 and 3"):
        LandmarkEnsemble(nameless)
