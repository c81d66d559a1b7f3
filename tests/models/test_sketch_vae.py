"""Sketch VAE: its parts, the descriptors with and without centroids, checkpoints, bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sketchfast.models import SketchVAE, SketchVAEConfig, load_run
from sketchfast.training import save_model

LATENT = 8


def tiny(**changes) -> SketchVAE:
    return SketchVAE(SketchVAEConfig(**{"latent": LATENT, "channels": (4, 6, 8, 8, 8), **changes}))


def images(count: int = 5) -> Tensor:
    return torch.rand(count, 3, 64, 64) * 2 - 1


def test_forward_samples_the_code_and_decodes_it(seed: int) -> None:
    torch.manual_seed(seed)
    model, x, noise = tiny().double().eval(), images().double(), torch.randn(5, LATENT).double()
    with torch.no_grad():
        output, features = model(x, noise), model.encoder(x).numpy()
        mu, log_variance = (
            features @ layer.weight.numpy().T + layer.bias.numpy() for layer in (model.mu, model.log_variance)
        )
        np.testing.assert_allclose(output.mu.numpy(), mu, rtol=1e-10)
        np.testing.assert_allclose(output.log_variance.numpy(), log_variance, rtol=1e-10)
        code = torch.from_numpy(mu + np.sqrt(np.exp(log_variance)) * noise.numpy())
        torch.testing.assert_close(output.reconstruction, model.decoder(code))
        torch.testing.assert_close(model(x).reconstruction, model.decoder(torch.from_numpy(mu)))
        torch.testing.assert_close(model.describe(x), output.mu)
    assert output.reconstruction.shape == (5, 1, 64, 64)


def test_every_parameter_learns(seed: int) -> None:
    torch.manual_seed(seed)
    model = tiny().train()
    model(images(), torch.randn(5, LATENT)).reconstruction.square().sum().backward()
    assert not [name for name, value in model.named_parameters() if not value.grad.any()]


def test_the_nearest_centroid_describes_a_sketch(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model, x = tiny().eval(), images(20)
    with pytest.raises(RuntimeError, match="no centroids: fit k-means"):
        model.assign(x)
    mu = model.describe(x)
    centroids = mu[:7] + 0.01 * mu.std(dim=0) * torch.randn(7, LATENT)
    model.set_centroids(centroids)
    # no product of matrices: the squared distances themselves
    distances = (mu.double()[:, None] - centroids.double()[None]).square().sum(dim=2)
    nearest = distances.argmin(dim=1)
    assert torch.equal(model.assign(x), nearest) and nearest[:7].tolist() == list(range(7))
    assert torch.equal(model.describe(x), centroids[nearest])
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, SketchVAE) and loaded.config.centroids == 7 and loaded.descriptor_dim == LATENT
    assert loaded.preprocess == model.preprocess
    assert torch.equal(loaded.describe(x), model.describe(x))


def test_bad_input() -> None:
    for changes, message in (
        ({"latent": 6}, "dim must be a positive multiple of 4 for sketches of 64 pixels, got 6"),
        ({"size": 50}, "size must be a positive multiple of 32 pixels, got 50"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny(**changes)
    config = SketchVAEConfig(latent=LATENT, channels=(4, 4, 4, 4, 4))
    model = SketchVAE(config)
    with pytest.raises(ValueError, match=r"noise must be \[5, 8\], got \[5, 7\]"):
        model(images(), torch.randn(5, 7))
    with pytest.raises(ValueError, match=r"images must be .*\[B, 3, 64, 64\]"):
        model(torch.zeros(2, 3, 32, 32))
    for wrong in (torch.zeros(1, LATENT), torch.zeros(3, LATENT + 1), torch.zeros(LATENT)):
        with pytest.raises(ValueError, match=r"centroids must be \[K, 8\] with K >= 2, got"):
            model.set_centroids(wrong)
    with pytest.raises(ValueError, match="centroids must be finite"):
        model.set_centroids(torch.full((3, LATENT), torch.nan))
    model.set_centroids(torch.zeros(3, LATENT))
    assert config.centroids == 0 and model.config.centroids == 3
