"""The retrieval network: eq. 8 at test, what is trained and what is frozen, checkpoints with each kind of describer."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sketchfast.models import (
    VTD,
    ClassifierFeatures,
    ClassifierFeaturesConfig,
    SketchVAE,
    SketchVAEConfig,
    TraitConfig,
    TraitNetwork,
    VTDConfig,
    WordDescriber,
    load_run,
)
from sketchfast.nn import gaussian_kl, group_triplet_loss
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import save_model

CHANNELS = (4, 4, 8, 8, 8)
SMALL = VTDConfig("resnet10", "none", stem="small", width=0.125, samples=3)  # 64 features
DIM = 8  # of every small describer


def classifier(size: int = 32) -> ClassifierFeatures:
    fields = {"weights": "none", "stem": "small", "width": 0.015625, "num_classes": 3, "size": size}
    return ClassifierFeatures(ClassifierFeaturesConfig("resnet10", **fields), ["ant", "bee", "cat"])


def describer(kind: str) -> nn.Module:
    if kind == "traits":
        return TraitNetwork(TraitConfig(descriptors=5, dim=DIM, channels=CHANNELS))
    if kind.startswith("vae"):
        vae = SketchVAE(SketchVAEConfig(latent=DIM, channels=CHANNELS))
        if kind == "vae with centroids":
            vae.set_centroids(torch.randn(4, DIM))
        return vae
    return classifier() if kind == "classifier" else WordDescriber(["ant", "bee", "dog"], torch.randn(3, DIM))


KINDS = ["traits", "vae", "vae with centroids", "classifier", "words"]


def vtd(phi: nn.Module | None = None, **changes) -> VTD:
    dim = DIM if phi is None else phi.descriptor_dim
    config = dataclasses.replace(SMALL, **{"descriptor_dim": dim, **changes})
    return VTD(config, ["ant", "bee", "cat"], Preprocess(size=32), phi)


def descriptors_of(phi: nn.Module, seed: int) -> Tensor:
    """Of three sketches, in evaluation mode."""
    if isinstance(phi, WordDescriber):
        return phi.describe_names(["dog", "ant", "dog"])
    torch.manual_seed(seed)
    size = phi.preprocess.size
    return phi.eval().describe(torch.randn(3, 3, size, size).clamp(-1, 1))


@pytest.mark.parametrize("unit_weights", [True, False])
def test_a_query_weighs_the_features_as_in_eq_8(unit_weights: bool, seed: int) -> None:
    """psi = eta F + F of both sides, for each of the fixed samples of eta; a query's weights do not depend on its batch."""
    torch.manual_seed(seed)
    model = vtd(unit_weights=unit_weights).eval().double()
    descriptors, sketches, photos = (
        torch.randn(*shape, dtype=torch.float64) for shape in ((2, DIM), (2, 3, 32, 32), (4, 3, 32, 32))
    )
    w = model.weights(descriptors)
    assert w.shape == (2, 3, 64) and model.test_noise.shape == (3, 64)
    s, p = model.encode_sketch(sketches), model.encode_photo(photos)
    torch.testing.assert_close(s.norm(dim=1), torch.ones_like(s[:, 0]))
    for row, phi in enumerate(descriptors):
        for sample, noise in enumerate(model.test_noise):
            mu, log_variance = model.eta.mu(phi), model.eta.log_variance(phi)
            eta = mu + torch.exp(log_variance / 2) * noise
            if unit_weights:
                eta = eta / eta.square().sum().sqrt()
            psi_s, psi_p = eta * s[row] + s[row], eta * p + p
            expected = (psi_s - psi_p).square().sum(dim=1)
            found = (w[row, sample] ** 2 * (s[row] - p) ** 2).sum(dim=1)
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(model.weights(descriptors.flip(0)).flip(0), w)
    torch.testing.assert_close(model.weights(descriptors[1:]), w[1:])


def test_test_noise_is_the_same_for_every_model() -> None:
    torch.manual_seed(0)
    first = vtd().test_noise
    torch.manual_seed(1)
    assert torch.equal(first, vtd().test_noise)
    assert torch.equal(first, vtd(WordDescriber(["ant"], torch.ones(1, 5))).test_noise)


def test_forward_is_features_and_one_sample_of_the_weights(seed: int) -> None:
    torch.manual_seed(seed)
    model = vtd(unit_features=False).eval()
    sketches, photos = torch.randn(2, 3, 32, 32), torch.randn(5, 3, 32, 32)
    descriptors, noise = torch.randn(2, DIM), torch.randn(2, 64)
    out = model(sketches, photos, descriptors, noise)
    torch.testing.assert_close(out.sketch, model.features(sketches), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.photo, model.features(photos), rtol=1e-4, atol=1e-5)
    assert (out.sketch.norm(dim=1) - 1).abs().max() > 1e-3
    eta, mu, log_variance = model.eta(descriptors, noise[:, None])
    for found, expected in zip(
        (out.weights, out.mu, out.log_variance), (1 + eta[:, 0], mu, log_variance), strict=True
    ):
        assert torch.equal(found, expected)


def test_batch_normalisation_sees_sketches_and_photos_together(seed: int) -> None:
    torch.manual_seed(seed)
    model = vtd(descriptor_dim=0).train()
    sketches, photos = torch.randn(2, 3, 32, 32), 2 + torch.randn(3, 3, 32, 32)
    out = model(sketches, photos)
    together = model.features(torch.cat([photos, sketches]))
    torch.testing.assert_close(torch.cat([out.photo, out.sketch]), together, rtol=1e-4, atol=1e-5)


def test_hard_transfer_has_no_weights(seed: int) -> None:
    torch.manual_seed(seed)
    model = vtd(descriptor_dim=0).eval()
    out = model(torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32))
    assert out[2:] == (None, None, None) and model.eta is None and model.test_noise is None
    assert all(name.startswith("backbone.") for name in model.state_dict())
    with pytest.raises(RuntimeError, match="descriptor_dim is 0"):
        model.weights(torch.zeros(1, DIM))


def test_training_reaches_all_but_the_describer(seed: int) -> None:
    """Eq. 11 with a describer on board: its weights and running statistics stay, everything else has a gradient."""
    torch.manual_seed(seed)
    model = vtd(describer("traits")).train()
    before = {name: value.clone() for name, value in model.describer.state_dict().items()}
    assert not any(module.training for module in model.describer.modules())
    phi = model.describer.describe(torch.randn(4, 3, 64, 64))
    out = model(torch.randn(4, 3, 32, 32), torch.randn(6, 3, 32, 32), phi, torch.randn(4, 64))
    photos = out.photo.unflatten(0, (2, 3))
    loss = group_triplet_loss(out.sketch, photos, out.weights, 1.0, "all")
    (loss + 0.004 * gaussian_kl(out.mu, out.log_variance)).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == name.startswith("describer."), name
        assert parameter.grad is None or parameter.grad.abs().sum() > 0, name
    assert all(torch.equal(value, before[name]) for name, value in model.describer.state_dict().items())
    frozen = vtd(freeze_batch_norm=True).train()
    modes = {type(m).__name__: m.training for m in frozen.backbone.modules() if not list(m.children())}
    assert modes["Conv2d"] and not modes["BatchNorm2d"]


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load_with_each_describer(kind: str, tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    phi = describer(kind)
    model = vtd(phi).eval()
    with torch.no_grad():
        model.test_noise.normal_()  # so that the stored table counts, not the one that is made again
    descriptors = descriptors_of(phi, seed)
    weights = model.weights(descriptors)
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert type(loaded) is VTD and not loaded.training
    assert loaded.config == model.config and loaded.config.describer == kind.split()[0]
    assert loaded.class_names == ["ant", "bee", "cat"] and loaded.preprocess == model.preprocess
    assert type(loaded.describer) is type(phi)
    assert torch.equal(descriptors_of(loaded.describer, seed), descriptors)
    assert torch.equal(loaded.weights(descriptors), weights)
    assert not any(parameter.requires_grad for parameter in loaded.describer.parameters())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded.encode_sketch(images), model.encode_sketch(images))
    assert torch.equal(loaded.encode_photo(images), model.encode_photo(images))
    if kind == "words":
        with pytest.raises(RuntimeError, match="describe_names"):
            loaded.trait_weights(images)
        return
    assert loaded.describer.preprocess == phi.preprocess
    size = phi.preprocess.size
    pictures = torch.randn(3, 3, size, size).clamp(-1, 1)
    assert torch.equal(loaded.trait_weights(pictures), model.weights(phi.describe(pictures)))


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_describer_loads_as_a_run_of_its_own(kind: str, tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    phi = describer(kind)
    descriptors = descriptors_of(phi, seed)
    save_model(tmp_path / "model", phi)
    loaded = load_run(tmp_path)
    assert type(loaded) is type(phi) and torch.equal(descriptors_of(loaded, seed), descriptors)


def test_pretrained_weights_are_not_fetched_again(tmp_path: Path, seed: int) -> None:
    import torchvision

    torch.manual_seed(seed)
    net = torchvision.models.resnet18()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    file = tmp_path / "weights.pth"
    model = VTD(VTDConfig("resnet18", str(file)), ["ant"]).eval()
    images = torch.randn(1, 3, 64, 64)
    pooled = nn.Sequential(*list(net.eval().children())[:-1])(images).flatten(1)
    torch.testing.assert_close(model.features(images), nn.functional.normalize(pooled))
    save_model(tmp_path / "model", model)
    file.unlink()
    loaded = load_run(tmp_path)
    assert loaded.config.weights == str(file) and torch.equal(loaded.features(images), model.features(images))
    assert loaded.preprocess.size == 299


def test_words() -> None:
    vectors = torch.arange(6.0).view(3, 2)
    words = WordDescriber(["ant", "bee", "dog"], vectors)
    assert torch.equal(words.describe_names(["dog", "ant", "dog"]), vectors[[2, 0, 2]])
    with pytest.raises(ValueError, match="no word vector for cat, eel"):
        words.describe_names(["eel", "ant", "cat", "eel"])
    with pytest.raises(RuntimeError, match="belongs to a category, not to an image"):
        words.describe(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"vectors must have the shape \[2, M\].*\[3, 2\]"):
        WordDescriber(["ant", "bee"], vectors)
    with pytest.raises(ValueError, match=r"names must be different, 'ant'"):
        WordDescriber(["ant", "bee", "ant"], vectors)
    with pytest.raises(ValueError, match="finite"):
        WordDescriber(["ant", "bee", "dog"], vectors.log())


def test_errors_name_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"descriptor_dim=9 must be the length of the traits .*, 8"):
        vtd(describer("traits"), descriptor_dim=9)
    with pytest.raises(ValueError, match=r"descriptor_dim=0 must be the length of the words .*, 8"):
        vtd(describer("words"), descriptor_dim=0)
    with pytest.raises(ValueError, match=r"describer must be.*'edges'"):
        vtd(describer="edges")
    with pytest.raises(ValueError, match=r"describer must be None or one of TraitNetwork.*got Linear"):
        VTD(SMALL, describer=nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"config.describer is 'vae', the describer given is 'words'"):
        vtd(describer("words"), describer="vae")
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        vtd(samples=0)
    with pytest.raises(ValueError, match=r"descriptor_dim.*-1"):
        vtd(descriptor_dim=-1)
    model = vtd()
    images, phi, noise = torch.zeros(2, 3, 32, 32), torch.zeros(2, DIM), torch.zeros(2, 64)
    with pytest.raises(ValueError, match="descriptors must be given: descriptor_dim=8"):
        model(images, images, None, noise)
    with pytest.raises(ValueError, match="noise must be given: descriptor_dim=8"):
        model(images, images, phi)
    for few, drawn in ((phi[:1], noise), (phi, noise[:1]), (phi, noise[:, :5])):
        with pytest.raises(ValueError, match=r"a row for each of 2 sketches"):
            model(images, images, few, drawn)
    with pytest.raises(ValueError, match=r"descriptors must have the shape \[B, 8\], got \[2, 5\]"):
        model.weights(phi[:, :5])
    with pytest.raises(RuntimeError, match="no describer"):
        model.trait_weights(torch.zeros(1, 3, 64, 64))


def test_damaged_descriptions_are_errors_that_name_the_file(tmp_path: Path) -> None:
    model = vtd(describer("traits"))
    save_model(tmp_path / "model", model)
    file = tmp_path / "model" / "metadata.json"
    text = file.read_text()
    for old, new, message in (
        ('"descriptors": 5', '"descriptors": 1', "descriptors must be .* at least 2, got 1"),
        ('"describer": "traits"', '"describer": "edges"', "describer must be"),
        ('"descriptor_dim": 8', '"descriptor_dim": 4', "descriptor_dim=4"),
        ('"descriptors": 5', '"descriptors": 6', r"describer.dictionary: shape"),
    ):
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message) as error:
            load_run(tmp_path)
        assert "model" in str(error.value)
