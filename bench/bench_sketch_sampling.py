"""Drawing photos: a batch at once against photo by photo, and what one training step of the generator costs.

One thread and its CPU time, so that other processes count little; medians of alternating rounds. Both ways draw the same 64
photos from the same random numbers, always to the longest allowed sequence (the end is switched off), which favours neither:
the decoder alone, and with the small encoder too. Checked to agree before they count.

    pytest bench/bench_sketch_sampling.py -s                          # writes bench/results/sketch_sampling--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_sketch_sampling.py -s    # the small network only, writes nothing
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from bench.alternating import alternate
from bench.results_file import processor, write_results
from sketchfast.models import PhotoToSketch, PhotoToSketchConfig, SketchSamples
from sketchfast.models.photo_to_sketch import PhotoCode, vae_loss

QUICK = os.environ.get("SKETCHFAST_BENCH_QUICK", "0") not in ("", "0")
ROUNDS = 3
BATCH = 64
TARGET = 10  # times photo by photo
NETWORKS: dict[str, PhotoToSketchConfig] = {
    "resnet10, small stem, width 0.25": PhotoToSketchConfig(
        "resnet10", "none", "small", width=0.25, size=64, hidden=256, attention_dim=128, max_points=50
    )
}
if not QUICK:
    NETWORKS["vgg16"] = PhotoToSketchConfig(weights="none")


def network(name: str) -> PhotoToSketch:
    torch.manual_seed(0)
    model = PhotoToSketch(NETWORKS[name])
    with torch.no_grad():
        model.decoder.output.bias[2] = -1e4
    return model


@pytest.fixture(scope="module")
def results() -> Iterator[list[dict[str, Any]]]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    yield rows
    torch.set_num_threads(before)
    print(f"\n{processor()}")
    for row in rows:
        print("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    if not QUICK and len(rows) == 2 * len(NETWORKS):
        write_results("sketch_sampling", rows, ("torch", "torchvision"), threads=1)


@pytest.mark.timeout(1800)  # VGG-16 at 256 pixels takes a second a photo on one core
@pytest.mark.parametrize("name", NETWORKS)
def test_batched_sampling(name: str, results: list[dict[str, Any]]) -> None:
    model = network(name).eval()
    config = model.config
    channels, side = (512, 8) if config.backbone == "vgg16_plain" else (128, 4)
    features = torch.randn(BATCH, channels, side, side).relu()
    code = PhotoCode(features, torch.randn(BATCH, config.latent), torch.zeros(BATCH, config.latent))
    codes = [PhotoCode(*parts) for parts in zip(*(part.split(1) for part in code), strict=True)]

    def batched() -> SketchSamples:
        return model.sample_code(code, torch.Generator().manual_seed(0))

    def one_by_one() -> list[SketchSamples]:
        generator = torch.Generator().manual_seed(0)
        return [model.sample_code(one, generator) for one in codes]

    together, apart = batched(), torch.cat([one.steps for one in one_by_one()])
    same = (together.steps - apart).flatten(1).abs().amax(
        1
    ) < 1e-2  # rounding may choose another component, rarely
    assert same.float().mean() > 0.9, int(same.sum())
    contenders: dict[str, Callable[[], Any]] = {"batched": batched, "one by one": one_by_one}
    if name != "vgg16":  # a second a photo, however many at once
        photos = torch.randn(BATCH, 3, config.size, config.size)
        contenders["encoder, batched"] = lambda: encode(model, [photos])
        contenders["encoder, one by one"] = lambda: encode(model, list(photos.split(1)))
    taken = alternate(contenders, ROUNDS, time.process_time)
    row: dict[str, Any] = {
        "op": "sampling",
        "network": name,
        "batch": BATCH,
        "points": config.max_points,
        "ms": round(1e3 * taken["batched"], 1),
        "photo_by_photo_ms": round(1e3 * taken["one by one"], 1),
        "times_photo_by_photo": round(taken["one by one"] / taken["batched"], 2),
    }
    if name != "vgg16":
        total = taken["batched"] + taken["encoder, batched"]
        row["encoder_ms"] = round(1e3 * taken["encoder, batched"], 1)
        row["encoder_photo_by_photo_ms"] = round(1e3 * taken["encoder, one by one"], 1)
        row["times_with_encoder"] = round((taken["one by one"] + taken["encoder, one by one"]) / total, 2)
    results.append(row)  # before the assertion: the results file holds losses too
    assert results[-1]["times_photo_by_photo"] >= TARGET, results[-1]


@torch.no_grad()
def encode(model: PhotoToSketch, batches: list[torch.Tensor]) -> None:
    for photos in batches:
        model.encode(photos)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NETWORKS)
def test_training_step(name: str, results: list[dict[str, Any]]) -> None:
    """Eq. 3 forward and backward and Adam's step; and its decoder alone, from a map that is there already."""
    model = network(name).train()
    config = model.config
    batch = BATCH if config.size <= 64 else 8  # the rest of the paper's 64 is more of the same
    photos = torch.randn(batch, 3, config.size, config.size)
    stroke5 = torch.zeros(batch, config.max_points, 5)
    stroke5[..., :2].normal_()
    stroke5[..., 2], stroke5[:, -1, 2], stroke5[:, -1, 4] = 1, 0, 1
    noise = torch.randn(batch, config.latent)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    with torch.no_grad():
        features = model.encode(photos).features

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        vae_loss(model(photos, stroke5, noise), stroke5)["loss"].backward()
        optimizer.step()

    def decoder() -> None:
        optimizer.zero_grad(set_to_none=True)
        assert model.attention is not None
        attended = model.attention.prepare(features)
        hidden, _ = model.decoder.unroll(stroke5, model.decoder.initial(noise), photo=attended)
        model.decoder.output(hidden).sum().backward()

    taken = alternate({"step": step, "decoder": decoder}, ROUNDS, time.process_time)
    results.append(
        {
            "op": "training_step",
            "network": name,
            "batch": batch,
            "points": config.max_points,
            "map": list(features.shape[1:]),
            "ms": round(1e3 * taken["step"], 1),
            "decoder_ms": round(1e3 * taken["decoder"], 1),
        }
    )
