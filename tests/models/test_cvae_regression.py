"""CVAE regression: its loss written out, features of any scale, and the search by generated features."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sketchfast.models.cvae_regression import CVAEConfig, CVAERegression, search_classes

SMALL = CVAEConfig(feature_dim=6, latent=4, hidden=16, dropout=0.0, samples=30, clusters=3)


def features(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return 5 + 0.01 * torch.randn(count, 6), -2 + 100 * torch.randn(count, 6)


def test_loss_is_the_definition_in_standardised_features(seed: int) -> None:
    torch.manual_seed(seed)
    model = CVAERegression(SMALL).double().eval()
    sketches, photos = (values.double() for values in features(9))
    model.standardise_to(sketches, photos)
    s, p = ((x - x.mean(0)) / (x - x.mean(0)).pow(2).mean().sqrt() for x in (sketches, photos))
    noise = torch.randn(9, 4, dtype=torch.float64)
    out = model(sketches, photos, noise)

    hidden = model.encoder(torch.cat([p, s], dim=1))
    mu, log_variance = model.mu(hidden), model.log_variance(hidden)
    generated = model.decoder(torch.cat([mu + log_variance.exp().sqrt() * noise, s], dim=1))
    torch.testing.assert_close(out.photo, generated, rtol=1e-6, atol=1e-6)
    terms = model.loss(out, sketches, photos)
    reconstruction = ((generated - p) ** 2).sum() / 9
    regression = ((model.regressor(generated) - s) ** 2).sum() / 9
    kl = (0.5 * (mu**2 + log_variance.exp() - 1 - log_variance)).sum() / 9
    expected = reconstruction + kl + 10 * regression
    for found, wanted in zip(terms, (expected, reconstruction, kl, regression)):
        assert found.item() == pytest.approx(wanted.item(), rel=1e-4)

    terms.regression.backward()  # reaches the generator through the generated photo
    gradient = model.decoder.get_parameter("0.weight").grad
    assert gradient is not None and gradient.abs().sum() > 0
    with pytest.raises(ValueError, match="photos: the features do not vary"):
        model.standardise_to(sketches, torch.ones(5, 6))


def test_a_query_depends_on_no_other_and_the_nearest_centre_counts(seed: int) -> None:
    torch.manual_seed(seed)
    model = CVAERegression(SMALL).eval()
    sketches, photos = features(5)
    model.standardise_to(sketches, photos)
    generated = model.generate(sketches)
    assert generated.shape == (5, 30, 6)
    s = (sketches[3] - model.sketch_mean) / model.scale[0]
    one = model.decoder(torch.cat([model.test_noise[7], s])) * model.scale[1] + model.photo_mean
    torch.testing.assert_close(generated[3, 7], one, rtol=1e-4, atol=1e-3)

    centres = model.centres(sketches).double()
    assert centres.shape == (5, 3, 6)
    # Every sample is in the mean of those nearest to the same centre: what k-means ends at.
    near = torch.cdist(generated.double(), centres).argmin(dim=2)
    for q in range(5):
        for k in range(3):
            mean = generated[q][near[q] == k].double().mean(dim=0)
            torch.testing.assert_close(mean, centres[q, k], rtol=1e-3, atol=1e-2)
    distances = model.distances(sketches, photos)
    for q in range(5):
        for n in range(5):
            c, p = centres[q], photos[n].double()
            cosines = [float(row @ p / row.norm() / p.norm()) for row in c]
            assert distances[q, n].item() == pytest.approx(1 - max(cosines), abs=1e-5)
    alone = model.distances(sketches[3:4], photos)
    torch.testing.assert_close(alone[0], distances[3], rtol=1e-4, atol=1e-5)

    plain = CVAERegression(CVAEConfig(**{**vars(SMALL), "clusters": 1})).eval()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(plain.centres(sketches), generated.mean(dim=1, keepdim=True))
    assert torch.equal(plain.test_noise, CVAERegression.from_metadata({"config": vars(SMALL)}).test_noise)


def test_search_is_within_each_category(seed: int) -> None:
    torch.manual_seed(seed)
    model = CVAERegression(SMALL).eval()
    sketches, photos = features(8)
    model.standardise_to(sketches, photos)
    rows: list[tuple[list[int], list[int]]] = [
        ([0, 2, 4], [1, 3]),
        ([], [0]),
        ([1, 3, 5, 6, 7], [2, 4, 5, 6, 7]),
    ]
    pairs = SimpleNamespace(
        photos=SimpleNamespace(names=["a", "b", "c"]),
        of_class=lambda y: [np.array(side, np.int64) for side in rows[y]],
    )
    found = search_classes(model, sketches.numpy(), photos.numpy(), pairs, block=2, progress=False)
    assert [part.shape for part in found] == [(3, 2), (0, 1), (5, 5)]
    expected = model.distances(sketches[[1, 3, 5, 6, 7]], photos[[2, 4, 5, 6, 7]])
    np.testing.assert_allclose(found[2], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="feature_dim must be at least 1, got 0"):
        CVAERegression(CVAEConfig())
    with pytest.raises(ValueError, match="clusters must be at most samples=2, got 5 clusters"):
        CVAERegression(CVAEConfig(feature_dim=4, samples=2))
    assert math.isclose(CVAEConfig().regression_weight, 10.0)
