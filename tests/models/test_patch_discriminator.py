"""PatchGAN of pairs: pix2pix's layers and receptive field, certainty, checkpoints, bad input."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from sketchfast.models import PatchDiscriminator, PatchDiscriminatorConfig, load_run
from sketchfast.models.patch_discriminator import certainty_of
from sketchfast.training import save_model


def tiny(**changes: int) -> PatchDiscriminator:
    return PatchDiscriminator(PatchDiscriminatorConfig(**{"width": 4, "layers": 2, "size": 32, **changes}))


def test_the_papers_layers() -> None:
    with torch.device("meta"):
        model = PatchDiscriminator(PatchDiscriminatorConfig())
        images = torch.empty(2, 3, 256, 256)
        assert model(images, images).shape == (2, 1, 30, 30)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    # C64-C128-C256-C512 and a last layer to one channel; 4x4, stride 2 but for the last two.
    assert [(c.in_channels, c.out_channels) for c in layers] == [
        (6, 64), (64, 128), (128, 256), (256, 512), (512, 1)
    ]  # fmt: skip
    assert [c.stride[0] for c in layers] == [2, 2, 2, 1, 1]
    assert all(c.kernel_size == (4, 4) and c.padding == (1, 1) for c in layers)
    assert sum(isinstance(m, nn.InstanceNorm2d) for m in model.modules()) == 3  # none after the first
    assert all(m.negative_slope == 0.2 for m in model.modules() if isinstance(m, nn.LeakyReLU))
    assert model.receptive_field == 70


@pytest.mark.parametrize(("layers", "side"), [(1, 16), (2, 34), (3, 70)])
def test_receptive_field_is_where_a_logit_has_its_gradient(layers: int, side: int) -> None:
    model = PatchDiscriminator(PatchDiscriminatorConfig(width=1, layers=layers, size=128))
    for i, module in enumerate(model.net):
        if isinstance(module, nn.InstanceNorm2d):
            model.net[i] = nn.Identity()  # its statistics are of the whole image
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    images = torch.ones(1, 3, 128, 128, requires_grad=True)
    logits = model(images, images)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    rows, columns = images.grad.abs().sum(dim=(0, 1)).nonzero().unbind(1)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == side == model.receptive_field


def test_certainty_is_the_mean_of_the_patches_sigmoids(seed: int) -> None:
    torch.manual_seed(seed)
    model, photos, sketches = tiny(), torch.randn(3, 3, 32, 32), torch.randn(3, 3, 32, 32)
    nn.init.normal_(model.net[-1].weight)
    logits = model(photos, sketches)
    found = model.certainty(photos, sketches)
    for i in range(3):
        patches = [1 / (1 + math.exp(-x)) for x in logits[i].flatten().tolist()]
        assert found[i].item() == pytest.approx(sum(patches) / len(patches), rel=1e-5)
    torch.testing.assert_close(certainty_of(logits), found)
    # Whatever else is in the batch, and whatever the mode.
    torch.testing.assert_close(model.eval().certainty(photos[1:2], sketches[1:2]), found[1:2])
    assert (model.certainty(photos, sketches.roll(1, 0)) - found).abs().max() > 1e-4  # of the pair
    assert (model.certainty(sketches, photos) - found).abs().max() > 1e-4


def test_learns_to_tell_pairs(seed: int) -> None:
    # Both sides are the same images: only whether they belong together tells real pairs from others.
    from sketchfast.nn import discriminator_loss

    torch.manual_seed(seed)
    model = tiny(width=8)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3, betas=(0.5, 0.999))
    photos = (
        torch.randn(16, 1, 4, 4).sign().repeat_interleave(8, 2).repeat_interleave(8, 3).expand(-1, 3, -1, -1)
    )
    wrong = -photos
    for _ in range(40):
        loss = discriminator_loss(model(photos, photos), model(photos, wrong))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.certainty(photos, photos).mean() > 0.8 > 0.2 > model.certainty(photos, wrong).mean()


def test_checkpoint(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model, images = tiny().eval(), torch.randn(2, 3, 32, 32)
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, PatchDiscriminator) and loaded.config == model.config
    assert torch.equal(loaded(images, images), model(images, images))


def test_errors_name_the_setting() -> None:
    with pytest.raises(ValueError, match="width must be a whole number of at least 1, got 0"):
        tiny(width=0)
    with pytest.raises(ValueError, match="layers must be a whole number of at least 1, got True"):
        tiny(layers=True)
    with pytest.raises(ValueError, match="size must be at least 24 pixels with layers=3, got 23"):
        tiny(layers=3, size=23)
    # The least size is enough, in training too.
    assert tiny(layers=3, size=24)(torch.randn(1, 3, 24, 24), torch.randn(1, 3, 24, 24)).shape == (1, 1, 1, 1)
    images = torch.zeros(2, 3, 32, 32)
    with pytest.raises(
        ValueError, match=r"sketches must have the shape \[2, 3, 32, 32\], got \[2, 1, 32, 32\]"
    ):
        tiny()(images, images[:, :1])
    with pytest.raises(ValueError, match=r"sketches .* got \[1, 3, 32, 32\]"):
        tiny()(images, images[:1])
    with pytest.raises(ValueError, match="photos must have the shape"):
        tiny()(images[:, :, 1:], images)
