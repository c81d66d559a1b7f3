"""Trait network: eq. 1 and 2 in numpy, the layers one by one, revival of unused descriptors, bad input."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sketchfast.models import load_run
from sketchfast.models.sketch_autoencoder import SketchDecoder, SketchEncoder
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.training import save_model

Array = NDArray[np.float64]
K, M = 12, 16


def tiny(**changes) -> TraitNetwork:
    settings = {"descriptors": K, "dim": M, "channels": (4, 6, 8, 8, 8), "skip": 0.3}
    return TraitNetwork(TraitConfig(**{**settings, **changes}))


def spread(model: nn.Module) -> nn.Module:
    """With statistics and scales of batch normalisation other than 0 and 1, in float64 and evaluation mode."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.01, 0.2)  # the small variances of a network not trained
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0, 0.6)
    return model.double().eval()


def sketches(seed: int, count: int = 6, size: int = 64) -> Tensor:
    """Some strokes each, -1 on 1, float64."""
    random = np.random.default_rng(seed)
    images = np.ones((count, 3, size, size))
    for image in images:
        for _ in range(6):
            start, step = random.integers(4, size - 4, 2), random.uniform(-1, 1, 2)
            line = np.clip(start + step * np.arange(30)[:, None], 0, size - 1).astype(int)
            image[:, line[:, 1], line[:, 0]] = -1
    return torch.from_numpy(images)


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def linear(layer: nn.Linear, features: Array) -> Array:
    return features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


# -- equations 1 and 2


def code_by_hand(model: TraitNetwork, features: Array, assignment: Array) -> Array:
    """Z of eq. 2, sketch by sketch and number by number."""
    dictionary, detail = model.dictionary.numpy(), np.tanh(linear(model.skip, features))
    code = np.zeros((len(features), M))
    for i in range(len(features)):
        for j in range(model.config.descriptors):
            code[i] += assignment[i, j] * dictionary[j] * (1 + model.config.skip * detail[i])
    return code


def test_evaluation_is_the_arg_max_of_eq_1_in_both_modes(seed: int) -> None:
    torch.manual_seed(seed)
    for mode in ("soft", "hard"):
        model, images = spread(tiny(assignment=mode)), sketches(seed)
        nn.init.normal_(model.logits.weight)
        with torch.no_grad():
            output, features = model(images), model.encoder(images).numpy()
            p = linear(model.logits, features)
            p_h = np.eye(K)[p.argmax(axis=1)]
            np.testing.assert_allclose(output.logits.numpy(), p, rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(output.assignment.numpy(), p_h)
            np.testing.assert_allclose(output.code.numpy(), code_by_hand(model, features, p_h), rtol=1e-10)
            assert torch.equal(output.reconstruction, model.decoder(output.code))
            assert torch.equal(model.assign(images), torch.from_numpy(p.argmax(axis=1)))
            np.testing.assert_allclose(
                model.describe(images).numpy(), p_h @ model.dictionary.numpy(), rtol=1e-10
            )


def test_training_with_soft_assignment(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = spread(tiny()).train(), sketches(seed)
    output = model(images)
    p_s = softmax(output.logits.detach().numpy())
    np.testing.assert_allclose(output.assignment.detach().numpy(), p_s, rtol=1e-10)
    features = model.encoder(images).detach().numpy()  # the batch's own statistics: the same again
    np.testing.assert_allclose(output.code.detach().numpy(), code_by_hand(model, features, p_s), rtol=1e-8)
    assert output.reconstruction.shape == (6, 1, 64, 64) and output.reconstruction.abs().max() <= 1
    output.reconstruction.square().sum().backward()
    assert not [name for name, value in model.named_parameters() if not value.grad.any()]


@pytest.mark.parametrize("backward", ["gumbel", "softmax"])
def test_training_with_hard_assignment_and_its_gradient(backward: str, seed: int) -> None:
    """The gradient of W_p, b_p, W_sk and b_sk through eq. 2 and 3, with the Jacobian of the softmax written out."""
    torch.manual_seed(seed)
    model = spread(tiny(assignment="hard", tau=0.7, backward=backward)).train()
    images, uniform = sketches(seed), torch.rand(6, K, dtype=torch.float64)
    output = model(images, uniform)
    features = model.encoder(images).detach().numpy()
    p, g = linear(model.logits, features), -np.log(-np.log(uniform.numpy()))
    p_hg = np.eye(K)[(p + g).argmax(axis=1)]
    np.testing.assert_array_equal(output.assignment.detach().numpy(), p_hg)
    np.testing.assert_allclose(output.code.detach().numpy(), code_by_hand(model, features, p_hg), rtol=1e-8)

    sent_back = np.random.default_rng(seed).normal(size=(6, M))
    (output.code * torch.from_numpy(sent_back)).sum().backward()
    p_g = softmax((p + g) / 0.7) if backward == "gumbel" else softmax(p)
    dictionary, tanh = model.dictionary.numpy(), np.tanh(linear(model.skip, features))
    for_logits, for_skip = np.zeros((6, K)), np.zeros((6, M))
    for i in range(6):
        jacobian = (np.diag(p_g[i]) - np.outer(p_g[i], p_g[i])) / (0.7 if backward == "gumbel" else 1)
        for_logits[i] = jacobian @ (dictionary @ (sent_back[i] * (1 + 0.3 * tanh[i])))
        for_skip[i] = sent_back[i] * (p_hg[i] @ dictionary) * 0.3 * (1 - tanh[i] ** 2)
    for layer, rows in ((model.logits, for_logits), (model.skip, for_skip)):
        np.testing.assert_allclose(layer.bias.grad.numpy(), rows.sum(axis=0), rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(layer.weight.grad.numpy(), rows.T @ features, rtol=1e-7, atol=1e-12)


# -- encoder and decoder


def convolved(layer: nn.Conv2d, x: Array) -> Array:
    """[C, h, w], an output cell at a time."""
    weight, (step, _), (pad, _) = layer.weight.detach().numpy(), layer.stride, layer.padding
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    side, kernel = (x.shape[1] - weight.shape[2]) // step + 1, weight.shape[2]
    out = np.zeros((len(weight), side, side))
    for row in range(side):
        for column in range(side):
            part = x[:, row * step : row * step + kernel, column * step : column * step + kernel]
            out[:, row, column] = (weight * part).sum(axis=(1, 2, 3))
    return out


def spread_out(layer: nn.ConvTranspose2d, x: Array) -> Array:
    """A convolution of stride 1/2 (4x4, stride 2, padding 1): each cell adds its kernel to the output."""
    weight = layer.weight.detach().numpy()
    out = np.zeros((weight.shape[1], 2 * x.shape[1] + 2, 2 * x.shape[2] + 2))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            kernel = (weight * x[:, row, column, None, None, None]).sum(axis=0)
            out[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += kernel
    bias = 0 if layer.bias is None else layer.bias.detach().numpy()[:, None, None]
    return out[:, 1:-1, 1:-1] + bias


def normalised(layer: nn.BatchNorm2d, x: Array) -> Array:
    """ReLU included."""
    named = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    mean, variance, scale, shift = (value.detach().numpy()[:, None, None] for value in named)
    return np.maximum((x - mean) / np.sqrt(variance + layer.eps) * scale + shift, 0)


@pytest.mark.parametrize(("size", "side"), [(32, 1), (64, 2)])
def test_encoder_and_decoder_layer_by_layer(size: int, side: int, seed: int) -> None:
    torch.manual_seed(seed)
    channels = (2, 3, 4, 5, 12)
    encoder, decoder = (
        spread(part) for part in (SketchEncoder(channels, size), SketchDecoder(8, channels, size))
    )
    images, codes = sketches(seed, 1, size), torch.randn(1, 8, dtype=torch.float64)
    convolutions = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    shapes = [(m.out_channels, m.kernel_size[0], m.stride[0], m.bias is None) for m in convolutions]
    assert shapes == [(c, 4, 2, True) for c in channels] + [(12, 1, 1, True)]
    x = images[0, :1].numpy()
    for convolution, norm in zip(convolutions, norms(encoder), strict=True):
        x = normalised(norm, convolved(convolution, x))
    assert x.shape == (12, side, side) and encoder.num_features == x.size and x.any()
    np.testing.assert_allclose(encoder(images)[0].detach().numpy(), x.reshape(-1), rtol=1e-8, atol=1e-10)

    first = next(module for module in decoder.modules() if isinstance(module, nn.Conv2d))
    upsampling = [module for module in decoder.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in upsampling] == [5, 4, 3, 2, 1] and len(norms(decoder)) == 5
    z = normalised(norms(decoder)[0], convolved(first, codes[0].numpy().reshape(8 // side**2, side, side)))
    for layer, norm in zip(upsampling[:-1], norms(decoder)[1:], strict=True):
        z = normalised(norm, spread_out(layer, z))
    z = np.tanh(spread_out(upsampling[-1], z))
    assert z.shape == (1, size, size) and z.std() > 0
    np.testing.assert_allclose(decoder(codes)[0].detach().numpy(), z, rtol=1e-8, atol=1e-10)


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


# -- dictionary, traits, preprocessing


def test_dictionary_is_of_random_directions_that_are_not_trained(seed: int) -> None:
    torch.manual_seed(seed)
    config = TraitConfig(descriptors=300, dim=256, channels=(4, 4, 4, 4, 4))
    model = TraitNetwork(config)
    torch.testing.assert_close(model.dictionary.norm(dim=1), torch.ones(300))
    assert model.dictionary.mean().abs() < 0.002  # 300 x 256 numbers of deviation 1 / 16
    assert "dictionary" in model.state_dict() and "dictionary" not in dict(model.named_parameters())
    assert not torch.equal(TraitNetwork(config).dictionary, model.dictionary)
    torch.manual_seed(seed)
    assert torch.equal(TraitNetwork(config).dictionary, model.dictionary)


def test_traits_are_decoded_descriptors(seed: int) -> None:
    torch.manual_seed(seed)
    model = spread(tiny())
    pictures = model.traits(block=5)
    assert pictures.shape == (K, 1, 64, 64) and not pictures.requires_grad
    for i in (0, 4, 5, 11):
        torch.testing.assert_close(pictures[i], model.decoder(model.dictionary[i : i + 1])[0].detach())


def test_preprocess_scales_and_centres_a_sketch() -> None:
    page = np.full((200, 300, 3), 255, np.uint8)
    page[20:60, 30:50] = 0  # 40 high, in a corner
    preprocess = tiny().preprocess
    picture = preprocess(page, sketch=True)[0]
    assert picture.shape == (64, 64) and picture.max() == 1 and picture.min() == -1
    rows, columns = (np.flatnonzero((picture < 0).any(axis=axis)) for axis in (1, 0))
    assert abs(len(rows) - 0.9 * 64) <= 2 and abs(len(columns) - 0.45 * 64) <= 2
    assert abs(rows.mean() - 31.5) <= 1 and abs(columns.mean() - 31.5) <= 1


def test_autocast_keeps_the_details_of_a_code(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = tiny(skip=0.02).eval(), sketches(seed).float()
    nn.init.zeros_(model.skip.weight)
    with torch.no_grad():
        model.skip.bias.copy_(torch.linspace(-2, 2, M))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        output = model(images)
    assert output.assignment.dtype == output.code.dtype == torch.float32
    detail = output.code / (output.assignment @ model.dictionary) - 1
    tanh = model.skip.bias.detach().bfloat16().float().tanh()  # bfloat16 has nine numbers from 0.98 to 1.02
    torch.testing.assert_close(detail, (0.02 * tanh).expand(6, M), rtol=0, atol=1e-6)


# -- revival


def test_revival_copies_the_most_used_descriptors(seed: int) -> None:
    torch.manual_seed(seed)
    model = tiny(descriptors=8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    storage = [value.data_ptr() for value in (model.dictionary, *model.logits.parameters())]
    noise = torch.randn(8, M)
    # used most: 6, then 1 and 4 (equal counts: the lower first); 0, 2, 3, 5 and 7 are unused
    assert model.revive(torch.tensor([0, 5, 0, 0, 5, 0, 9, 0]), noise, beta=0.1) == 5
    after = model.state_dict()
    for unused, source in ((0, 6), (2, 1), (3, 4), (5, 6), (7, 1)):
        factor = 1 + 0.1 * noise[unused]
        torch.testing.assert_close(after["dictionary"][unused], before["dictionary"][source] * factor)
        row = before["logits.weight"][source].reshape(-1, M) * factor  # 32 features: the noise twice
        torch.testing.assert_close(after["logits.weight"][unused], row.flatten())
        assert after["logits.bias"][unused] == before["logits.bias"][source]
    for name, value in before.items():
        touched = name in ("dictionary", "logits.weight", "logits.bias")
        kept = [1, 4, 6] if touched else slice(None)
        assert torch.equal(
            after[name][kept] if value.ndim else after[name], value[kept] if value.ndim else value
        )
    assert storage == [value.data_ptr() for value in (model.dictionary, *model.logits.parameters())]


def test_a_revived_descriptor_competes_with_what_it_was_copied_from(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = spread(tiny(descriptors=40)), sketches(seed, 24)
    nn.init.normal_(model.logits.weight, std=0.1)
    with torch.no_grad():
        model.logits.bias[3] += 1e3
    before = model.assign(images)
    assert (before == 3).all()
    counts, noise = before.bincount(minlength=40), torch.randn(40, M, dtype=torch.float64)
    assert model.revive(counts, noise) == 39
    after, p = model.assign(images), model(images).logits.detach()
    assert (after != 3).any()
    # by how much a copy is ahead of what it was copied from, for each sketch
    features, weight = model.encoder(images).detach(), model.logits.weight.detach()
    ahead = 0.05 * (features * weight[3]) @ noise.repeat(1, 2).T
    unused = counts == 0
    torch.testing.assert_close((p - p[:, 3:4])[:, unused], ahead[:, unused], rtol=1e-6, atol=1e-9)
    winner = torch.where(unused, ahead, 0).max(dim=1)
    assert torch.equal(after, torch.where(winner.values > 0, winner.indices, 3))


def test_nothing_to_revive_and_bad_counts() -> None:
    model, noise = tiny(descriptors=3), torch.zeros(3, M)
    before = model.dictionary.clone()
    assert model.revive(torch.tensor([1, 2, 3]), noise) == 0
    assert torch.equal(model.dictionary, before)
    for counts, message in (
        (torch.tensor([1, 2]), r"counts must be whole numbers \[3\], got torch.int64 \[2\]"),
        (torch.tensor([1.0, 2.0, 0.0]), r"counts must be whole numbers \[3\], got torch.float32"),
        (torch.tensor([0, 0, 0]), "not all 0"),
        (torch.tensor([2, -1, 0]), "counts must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            model.revive(counts, noise)
    with pytest.raises(ValueError, match=r"noise must be \[3, 16\], got \[16, 3\]"):
        model.revive(torch.tensor([1, 2, 0]), noise.T)
    for beta in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"beta must be .* got {beta}"):
            model.revive(torch.tensor([1, 2, 0]), noise, beta)


# -- checkpoints, bad input


def test_save_and_load(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model, images = tiny().train(), sketches(seed).float()
    model(images)  # moves the running statistics
    model.eval()
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, TraitNetwork) and not loaded.training
    assert loaded.config == model.config and loaded.preprocess == model.preprocess
    assert loaded.descriptor_dim == M
    for found, expected in zip(loaded(images), model(images), strict=True):
        assert torch.equal(found, expected)
    other = dataclasses.replace(model.config, descriptors=K + 1)
    with pytest.raises(RuntimeError, match="dictionary"):
        TraitNetwork(other).load_state_dict(loaded.state_dict())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptors": 1}, "descriptors must be a whole number of at least 2, got 1"),
        ({"descriptors": 0}, "descriptors must be .* got 0"),
        ({"descriptors": True}, "descriptors must be .* got True"),
        ({"descriptors": 20.0}, r"descriptors must be .* got 20\.0"),
        ({"dim": 18}, "dim must be a positive multiple of 4 for sketches of 64 pixels, got 18"),
        ({"dim": 0}, "dim must be .* got 0"),
        ({"size": 48}, "size must be a positive multiple of 32 pixels, got 48"),
        ({"size": 0}, "size must be .* got 0"),
        ({"channels": (4, 4, 4, 4)}, r"channels must be five positive whole numbers, got \(4, 4, 4, 4\)"),
        ({"channels": (4, 4, 0, 4, 4)}, "channels must be"),
        ({"assignment": "both"}, "assignment must be 'soft' or 'hard', got 'both'"),
        ({"tau": 0.0}, r"tau must be above 0, got 0\.0"),
        ({"backward": "hard"}, "backward must be 'gumbel' or 'softmax', got 'hard'"),
        ({"ink_margin": 0.5}, "ink_margin must be"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


def test_bad_input() -> None:
    model = tiny(assignment="hard")
    for shape in ((2, 1, 64, 64), (2, 3, 32, 64), (3, 64, 64)):
        with pytest.raises(ValueError, match=r"images must be .*\[B, 3, 64, 64\], got torch.float32"):
            model(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"images must be .* got torch.uint8"):
        model.assign(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"uniform must be .* for hard assignment in training, got None"):
        model(torch.zeros(2, 3, 64, 64))
    with pytest.raises(ValueError, match=r"uniform must be floating \[2, 12\]"):
        model(torch.zeros(2, 3, 64, 64), torch.rand(2, 11))
