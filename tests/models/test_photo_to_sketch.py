"""The generator: eq. 3 by hand, the convolution once a photo, batched sampling against photo by photo, checkpoints."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sketchfast.models import PhotoToSketch, PhotoToSketchConfig, load_run, log_probability
from sketchfast.models.photo_to_sketch import vae_loss
from sketchfast.nn import stroke_nll
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import save_model

SMALL = PhotoToSketchConfig(
    "resnet10",
    "none",
    stem="small",
    width=0.125,
    size=32,
    latent=6,
    hidden=12,
    attention_dim=7,
    mixtures=3,
    max_points=10,
    offset_scale=0.1,
)
KINDS = ["2d", "1d", "none"]


def generator(seed: int, end: float = -1.0, **changes) -> PhotoToSketch:
    """end: bias of the end's logit; few sketches end at once, and with -1e4 none ends at all."""
    torch.manual_seed(seed)
    model = PhotoToSketch(dataclasses.replace(SMALL, **changes), ["chair"]).eval()
    with torch.no_grad():
        model.decoder.output.bias[2] = end
    return model


def sequences(count: int, rows: int) -> Tensor:
    stroke5 = torch.zeros(count, rows, 5)
    for row in range(count):
        length = (2 * row + 1) % rows
        stroke5[row, :length, :2] = torch.randn(length, 2)
        stroke5[row, :length, 2] = 1
        stroke5[row, length:, 4] = 1
    return stroke5


@pytest.mark.parametrize("kind", KINDS)
def test_forward_is_equations_2_and_3(kind: str, seed: int) -> None:
    """z = mu + sigma noise, the start, and the decoder fed with glimpses, or with z where there is no attention."""
    model = generator(seed, attention=kind).double()
    photos, noise = torch.randn(3, 3, 32, 32).double(), torch.randn(3, 6).double()
    stroke5 = sequences(3, 7).double()
    output = model(photos, stroke5, noise)
    features = model.backbone.feature_map(photos)
    mu, log_variance = model.to_latent(features.mean(dim=(2, 3))).split(6, dim=1)
    torch.testing.assert_close(output.mu, mu)
    torch.testing.assert_close(output.log_variance, log_variance)
    z = mu + torch.exp(log_variance / 2) * noise
    state = model.decoder.initial(z)
    if model.attention is None:
        hidden, alpha = model.decoder.unroll(stroke5, state, z)
    else:
        assert model.attention.of_photo.kernel_size == ((3, 3) if kind == "2d" else (1, 1))
        hidden, alpha = model.decoder.unroll(stroke5, state, photo=model.attention.prepare(features))
    torch.testing.assert_close(output.y, model.decoder.output(hidden))
    assert output.y.shape == (3, 7, 21)
    assert (output.attention is None) == (kind == "none")
    if alpha is not None:
        assert output.attention.shape == (3, 7, *features.shape[2:])
        torch.testing.assert_close(output.attention.sum(dim=(2, 3)), torch.ones(3, 7).double())
    loss = vae_loss(output, stroke5, kl_weight=0.7)
    kl = sum(
        0.5 * (float(m) ** 2 + np.exp(float(v)) - 1 - float(v)) / 6
        for m, v in zip(mu.detach().flatten(), log_variance.detach().flatten(), strict=True)
    )
    assert float(loss["kl"].detach()) == pytest.approx(kl / 3, rel=1e-8)
    offset_nll, pen_nll = stroke_nll(output.y, stroke5)
    torch.testing.assert_close(loss["loss"], (offset_nll + pen_nll).mean() + 0.7 * loss["kl"])
    loss["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_attention_convolution_is_computed_once_a_photo(seed: int) -> None:
    model = generator(seed, end=-1e4)
    calls = []
    model.attention.of_photo.register_forward_hook(lambda _, inputs, output: calls.append(len(inputs[0])))
    photos = torch.randn(4, 3, 32, 32)
    model(photos, sequences(4, 8), torch.randn(4, 6))
    assert calls == [4]
    samples = model.sample(photos)
    assert calls == [4, 4] and samples.pen.shape == (4, 10)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_drawn_as_its_photos_one_by_one(kind: str, greedy: bool, seed: int) -> None:
    model = generator(seed, attention=kind).double()
    photos = 2 * torch.randn(5, 3, 32, 32).double()
    batch = model.sample(photos, torch.Generator().manual_seed(seed), greedy=greedy)
    single = torch.Generator().manual_seed(seed)
    for row in range(5):
        one = model.sample(photos[row : row + 1], single, greedy=greedy)
        steps = one.pen.shape[1]
        assert torch.equal(one.lengths[0], batch.lengths[row]) and torch.equal(
            one.pen[0], batch.pen[row, :steps]
        )
        torch.testing.assert_close(one.offsets[0], batch.offsets[row, :steps])
        if kind != "none":
            torch.testing.assert_close(one.attention[0], batch.attention[row, :steps])
    torch.testing.assert_close(batch.offsets, 0.1 * batch.steps)


def test_log_probability_of_samples_trains_the_output_layer_alone(seed: int) -> None:
    """What eq. 9 needs: W_y, b_y have a gradient through what was drawn, nothing else has."""
    model = generator(seed)
    samples = model.sample(torch.randn(4, 3, 32, 32))
    log_probability(model.decoder.output(samples.hidden), samples).sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith("decoder.output."), name


def test_sketches_of_one_photo(tmp_path: Path, seed: int) -> None:
    model = generator(seed, end=-1e4)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    drawings = [
        model.sketch(photo, 3, torch.Generator().manual_seed(seed))
        for photo in (pixels, tmp_path / "photo.png")
    ]
    assert len(drawings[0]) == 3 and torch.equal(drawings[0].offsets, drawings[1].offsets)
    assert not torch.equal(drawings[0].steps[0, 0], drawings[0].steps[1, 0])
    batch = torch.from_numpy(model.preprocess(pixels))[None].expand(3, -1, -1, -1)
    expected = model.sample(batch, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(drawings[0].steps[:, 0], expected.steps[:, 0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        model.sketch(pixels, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load(kind: str, tmp_path: Path, seed: int) -> None:
    model = generator(seed, attention=kind, thickness=3)
    save_model(tmp_path / "model", model)
    loaded = load_run(tmp_path)
    assert type(loaded) is PhotoToSketch and not loaded.training
    assert loaded.config == model.config and loaded.class_names == ["chair"]
    assert loaded.preprocess == model.preprocess == Preprocess(size=32)
    photos = torch.randn(2, 3, 32, 32)
    drawn = [net.sample(photos, torch.Generator().manual_seed(seed)).offsets for net in (model, loaded)]
    assert torch.equal(*drawn)


def test_vgg_16_as_in_the_paper() -> None:
    """An 8x8x512 map at 256 pixels, no batch normalisation, and not the fully connected layers."""
    with torch.device("meta"):
        model = PhotoToSketch(PhotoToSketchConfig(weights="none"))
        assert model.backbone.feature_map(torch.empty(1, 3, 256, 256)).shape == (1, 512, 8, 8)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    assert sum(parameter.numel() for parameter in model.parameters()) < 25e6
    assert model.decoder.output.out_features == 6 * 20 + 3 and model.decoder.rnn.input_size == 512 + 5


def test_errors_name_the_argument() -> None:
    for changes, message in (
        ({"attention": "3d"}, "attention must be '2d', '1d' or 'none', got '3d'"),
        ({"latent": 0}, "latent must be at least 1, got 0"),
        ({"thickness": 0}, "thickness must be at least 1, got 0"),
        ({"max_points": 0}, "max_points must be at least 1, got 0"),
        ({"backbone": "edges"}, "backbone 'edges' is unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            generator(0, **changes)
    with pytest.raises(ValueError, match=r"preprocess.size must be size=32, got 64"):
        PhotoToSketch(SMALL, None, Preprocess(size=64))
    model = generator(0)
    photos, stroke5 = torch.zeros(2, 3, 32, 32), sequences(2, 4)
    with pytest.raises(ValueError, match=r"photos must have the shape \[B, 3, S, S\], got \[2, 1, 32, 32\]"):
        model(photos[:, :1], stroke5, torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"noise must have the shape \[2, 6\], got \[2, 5\]"):
        model(photos, stroke5, torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"stroke5 must have the shape \[2, R, 5\], got \[1, 4, 5\]"):
        model(photos, stroke5[:1], torch.zeros(2, 6))
    with pytest.raises(ValueError, match="temperature must be a number above 0"):
        model.sample(photos, temperature=0.0)
    with pytest.raises(ValueError, match="kl_weight must be 0 or more, got -1"):
        vae_loss(model(photos, stroke5, torch.zeros(2, 6)), stroke5, -1)


def test_a_frozen_encoder_stays_as_it_is(seed: int) -> None:
    """A step in training mode: what the backbone computes is kept for no gradient, and what is made of its map learns."""
    model = generator(seed, freeze_encoder=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=0.1)
    model.train()
    assert model.training and not any(module.training for module in model.backbone.modules())
    code = model.encode(torch.randn(3, 3, 32, 32))
    assert not code.features.requires_grad and code.mu.requires_grad
    stroke5 = sequences(3, 7)
    output = model(torch.randn(3, 3, 32, 32), stroke5, torch.randn(3, 6))
    vae_loss(output, stroke5)["loss"].backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert changed == {name for name in before if not name.startswith("backbone.")}
    again = PhotoToSketch.from_metadata({"config": dataclasses.asdict(model.config)})
    assert not any(p.requires_grad for p in again.backbone.parameters())
