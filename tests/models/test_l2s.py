"""L2S: four translations and their losses written out, sequences of any length encoded alike, and sampling."""

import dataclasses
import math

import pytest
import torch

from sketchfast.models.l2s import L2S, TRANSLATIONS, L2SConfig, l2s_loss
from sketchfast.nn.sketch_mixture import SketchMixture

SMALL = L2SConfig(
    size=64, channels=(4, 4, 8, 8, 8), features=16, latent=6, hidden=12, mixtures=3, max_points=9, offset_scale=0.5
)  # fmt: skip


def network(seed: int, **changes: object) -> L2S:
    torch.manual_seed(seed)
    return L2S(dataclasses.replace(SMALL, **changes)).eval()  # type: ignore[arg-type]


def sequences(lengths: list[int], rows: int = 10) -> torch.Tensor:
    stroke5 = torch.zeros(len(lengths), rows, 5)
    stroke5[..., 4] = 1
    for sequence, length in zip(stroke5, lengths, strict=True):
        sequence[:length, :2] = torch.randn(length, 2)
        lift = torch.randint(0, 2, (length,))
        sequence[:length, 2:] = torch.nn.functional.one_hot(lift, 3).float()
    return stroke5


def pairs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.rand(3, 3, 64, 64) * 2 - 1, sequences([9, 1, 5]), torch.randn(3, 6)


def test_translations_and_loss_are_the_definition(seed: int) -> None:
    net = network(seed).double()
    photos, stroke5, noise = (values.double() for values in pairs())
    out = net(photos, stroke5, noise)
    losses = dict.fromkeys(TRANSLATIONS, 0.0)
    kl = dict.fromkeys(TRANSLATIONS, 0.0)
    for i, length in enumerate([9, 1, 5]):
        seen = {"p": net.photo_encoder(photos[i : i + 1])}
        _, (h, _) = net.sketch_encoder(stroke5[i : i + 1, :length])
        seen["s"] = torch.cat([h[0], h[1]], dim=1)
        for name in TRANSLATIONS:
            mu, log_variance = net.to_latent[name](seen[name[0]]).chunk(2, dim=1)
            z = mu + log_variance.exp().sqrt() * noise[i]
            kl[name] += float(0.5 * (mu**2 + log_variance.exp() - 1 - log_variance).sum()) / 6 / 3
            if name[2] == "p":
                losses[name] += float(((net.photo_decoder(z) - photos[i]) ** 2).mean()) / 3
                continue
            nll = 0.0
            h, c = net.decoder.start(z).tanh().chunk(2, dim=1)  # type: ignore[misc]
            point = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
            for row in stroke5[i, : length + 1]:
                step = torch.cat([z, point], dim=1)[:, None]
                _, (h, c) = net.decoder.rnn(step, (h.reshape(1, 1, -1), c.reshape(1, 1, -1)))
                y = SketchMixture(net.decoder.output(h[0]))
                nll -= float(y.pen_log_prob(row[2:].argmax()[None]))
                nll -= float(y.log_density(row[None, :2])) if row[4] == 0 else 0.0
                point = row[None]
            losses[name] += nll / (length + 1) / 3
    found = l2s_loss(out, photos, stroke5, kl_weight=0.3, kl_floor=0.0)
    for name in TRANSLATIONS:
        assert float(found[name]) == pytest.approx(losses[name], rel=1e-5)
    assert float(found["kl"]) == pytest.approx(sum(kl.values()), rel=1e-5)
    assert float(found["loss"]) == pytest.approx(sum(losses.values()) + 0.3 * sum(kl.values()), rel=1e-5)
    floor = sorted(kl.values())[1] * 1.0001
    found = l2s_loss(out, photos, stroke5, kl_weight=1.0, kl_floor=floor)
    assert float(found["kl"]) == pytest.approx(sum(max(value, floor) for value in kl.values()), rel=1e-4)
    torch.testing.assert_close(out.mu, out.latents["p2s"][0])
    torch.testing.assert_close(net.drawn_from_mean(photos, stroke5), net(photos, stroke5, noise * 0).y)


def test_every_part_learns_and_padding_does_not_count(seed: int) -> None:
    net = network(seed)
    photos, stroke5, noise = pairs()
    l2s_loss(net(photos, stroke5, noise), photos, stroke5, kl_floor=0.0)["loss"].backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias before instance normalisation changes nothing.
    assert not [name for name in still if not name.endswith(".bias")]
    longer = torch.cat([stroke5, stroke5[:1, -1:].expand(3, 4, 5)], dim=1)
    first, second = (net(photos, rows, noise) for rows in (stroke5, longer))
    torch.testing.assert_close(first.y_of_sketch, second.y_of_sketch[:, :10])
    torch.testing.assert_close(first.photo_of_sketch, second.photo_of_sketch)


def test_sampling_is_that_of_each_photo_alone(seed: int) -> None:
    net = network(seed)
    photos = pairs()[0]
    together = net.sample(photos, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    for i in range(3):
        alone = net.sample(photos[i : i + 1], generator)
        length = int(alone.lengths[0])
        assert int(together.lengths[i]) == length
        torch.testing.assert_close(
            together.offsets[i, :length], alone.offsets[0, :length], rtol=1e-4, atol=1e-5
        )
    # The greedy drawing is what teacher forcing with z = mu makes most likely, step after step.
    drawn = net.sample(photos, greedy=True)
    t = drawn.pen.shape[1]
    rows = torch.cat([drawn.steps, torch.nn.functional.one_hot(drawn.pen, 3).float()], dim=2)
    means, pens = SketchMixture(net.drawn_from_mean(photos, rows)).greedy()
    for i in range(3):
        count = min(int(drawn.lengths[i]) + 1, t)
        assert torch.equal(pens[i, :count], drawn.pen[i, :count])
        last = int(drawn.lengths[i])
        torch.testing.assert_close(means[i, :last], drawn.steps[i, :last], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(drawn.offsets, 0.5 * drawn.steps)


def test_round_trip_and_errors() -> None:
    net = network(3)
    again = L2S.from_metadata(
        {"config": {**dataclasses.asdict(net.config), "channels": [4, 4, 8, 8, 8]}}
    ).eval()
    again.load_state_dict(net.state_dict())
    photos, stroke5, noise = pairs()
    assert torch.equal(again(photos, stroke5, noise).y, net(photos, stroke5, noise).y)
    for changes, message in (
        ({"size": 48}, "size must be a multiple of 32 pixels and at least 64, got 48"),
        ({"channels": (4, 4)}, "channels must be five positive whole numbers"),
        ({"features": 7}, "features must be an even number of at least 2, got 7"),
        ({"latent": 0}, "latent must be at least 1, got 0"),
        ({"dropout": math.nan}, "dropout is a chance"),
    ):
        with pytest.raises(ValueError, match=message):
            network(0, **changes)
    with pytest.raises(ValueError, match=r"noise must have the shape \[3, 6\], got \[3, 5\]"):
        net(photos, stroke5, noise[:, :5])
    with pytest.raises(ValueError, match=r"photos must be \[B, 3, 64, 64\]"):
        net(photos[..., :32], stroke5, noise)
    with pytest.raises(ValueError, match=r"stroke5 must have the shape \[B, R, 5\]"):
        net(photos, stroke5[..., :3], noise)
