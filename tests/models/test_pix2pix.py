"""Pix2Pix: its losses written out, whose parameters each of them moves, and sketches that depend on one photo alone."""

import dataclasses

import pytest
import torch

from sketchfast.models.pix2pix import Pix2Pix, Pix2PixConfig

SMALL = Pix2PixConfig(size=32, width=4, discriminator_width=4, discriminator_layers=1)


def network(seed: int, **changes: object) -> Pix2Pix:
    torch.manual_seed(seed)
    return Pix2Pix(dataclasses.replace(SMALL, **changes)).eval()  # type: ignore[arg-type]


def batch(size: int = 32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three photos with two, one and three sketches, in no order."""
    owner = torch.tensor([2, 0, 1, 2, 0, 2])
    return torch.rand(3, 3, size, size) * 2 - 1, torch.rand(6, 1, size, size) * 2 - 1, owner


@pytest.mark.parametrize(("size", "levels"), [(24, 3), (64, 6), (96, 5), (512, 8)])
def test_unet_halves_up_to_eight_times(size: int, levels: int, seed: int) -> None:
    unet = network(seed, size=size, width=1).unet
    assert len(unet.down) == levels and len(unet.up) == levels - 1
    if size < 512:
        drawn = unet(torch.rand(2, 3, size, size))
        assert drawn.shape == (2, 1, size, size) and drawn.abs().max() <= 1


def test_paper_layers() -> None:
    """C64-C128-C256-C512 x 5 down; CD512 x 3, C512, C256, C128, C64 up, twice as many where a layer down joins."""
    with torch.device("meta"):
        unet = Pix2Pix(Pix2PixConfig()).unet
    convs = [m for m in unet.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convs] == [64, 128, 256, 512, 512, 512, 512, 512]
    ups = [m for m in unet.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [m.in_channels for m in ups] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert [m.out_channels for m in ups] == [512, 512, 512, 512, 256, 128, 64, 1]
    dropping = [any(isinstance(m, torch.nn.Dropout) for m in block.modules()) for block in unet.up]
    assert dropping == [True] * 3 + [False] * 4


@pytest.mark.parametrize("difference", ["mean", "nearest"])
def test_terms_are_the_definition(difference: str, seed: int) -> None:
    net = network(seed).double()
    photos, sketches, owner = (
        values.double() if values.is_floating_point() else values for values in batch()
    )
    drawn = net(photos)
    found = net.terms(photos, drawn, sketches, owner, difference)  # type: ignore[arg-type]

    def d(photo: int, sketch: torch.Tensor) -> torch.Tensor:
        """D of every patch."""
        return net.discriminator(photos[photo : photo + 1], sketch.expand(1, 3, -1, -1)).sigmoid()

    real, fake, fooled, apart = [], [], [], []
    for p in range(3):
        own = [s for s in range(6) if owner[s] == p]
        real.append(sum(-d(p, sketches[s : s + 1]).log().mean() for s in own) / len(own))
        fake.append(-(1 - d(p, drawn[p : p + 1])).log().mean())
        fooled.append(-d(p, drawn[p : p + 1]).log().mean())
        differences = [(sketches[s] - drawn[p]).abs().mean() for s in own]
        apart.append(min(differences) if difference == "nearest" else sum(differences) / len(own))
    expected = (sum(real) + sum(fake)) / 6, sum(fooled) / 3, sum(apart) / 3
    for value, wanted in zip(found, expected, strict=True):
        assert value.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_each_network_learns_from_its_own_loss_only(seed: int) -> None:
    net = network(seed)
    photos, sketches, owner = batch()

    def gradients(*names: str) -> dict[str, torch.Tensor]:
        net.zero_grad(set_to_none=True)
        terms = net.terms(photos, net(photos), sketches, owner, "mean")
        sum(getattr(terms, name) for name in names).backward()
        return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}

    everything = gradients("discriminator", "adversarial", "difference")
    own, drawing = gradients("discriminator"), gradients("adversarial", "difference")
    assert own and all(name.startswith("discriminator.") for name in own)
    assert drawing and all(name.startswith("unet.") for name in drawing)
    assert everything.keys() == own.keys() | drawing.keys() == dict(net.named_parameters()).keys()
    for name, gradient in everything.items():
        torch.testing.assert_close(gradient, {**own, **drawing}[name])


def test_a_sketch_depends_on_its_photo_alone(seed: int) -> None:
    net = network(seed)
    photos = batch()[0].requires_grad_()
    pictures = net.images(photos)
    assert pictures.shape == (3, 32, 32) and pictures.dtype == torch.uint8
    for mode in (True, False):
        net.train(mode)
        torch.manual_seed(seed)
        (gradient,) = torch.autograd.grad(net(photos)[1].sum(), photos)
        assert gradient[1].abs().sum() > 0 and not gradient[0].any() and not gradient[2].any()
    again = Pix2Pix.from_metadata({"config": dataclasses.asdict(net.config)}).eval()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again.images(photos), net.images(photos))


def test_errors_name_the_setting() -> None:
    for changes, message in (
        ({"size": 36}, "size must be a positive multiple of 8 pixels, got 36"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout is a chance"),
    ):
        with pytest.raises(ValueError, match=message):
            network(0, **changes)
    with pytest.raises(ValueError, match=r"photos must be \[B, 3, 32, 32\], got \[2, 3, 16, 16\]"):
        network(0)(torch.zeros(2, 3, 16, 16))
