"""Landmark network: what the diversity losses cost in a training step, and what one trunk pass for all n saves.

One thread and its CPU time, so that other processes count little; medians of alternating rounds. A training step is forward,
L_total of eq. 8, backward and the SGD step; the two diversity losses (eq. 6 and 7, K = 250) are timed forward and backward on
the same weight and responses, so their share is of a step that holds them. Scores for nine n come from one pass of the trunk
with nine heads, or from nine passes of the same trunk with one head each; contour points are found each time. Both are
checked to agree.

    pytest bench/bench_landmark_net.py -s                        # writes bench/results/landmark_net--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_landmark_net.py -s    # small networks only, writes nothing
"""

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.alternating import alternate
from bench.results_file import processor, write_results
from sketchfast.models import LandmarkNet, LandmarkNetConfig
from sketchfast.nn import filter_diversity, response_diversity
from sketchfast.runtime.preprocess import Preprocess

QUICK = os.environ.get("SKETCHFAST_BENCH_QUICK", "0") not in ("", "0")
ROUNDS = 3
CATEGORIES = 250
LANDMARKS = (5, 10, 15, 20, 25, 30, 40, 50, 60)
BETA = 1e-3
SHARE_TARGET = 0.05  # of a training step, ResNet-101
# name in the table: (settings, side of the images, images in a training step, images in scoring)
NETWORKS: dict[str, tuple[dict[str, Any], int, int, int]] = {
    "resnet18, small stem, width 0.25": (
        {"backbone": "resnet18", "stem": "small", "width": 0.25},
        64,
        32,
        32,
    ),
}
if not QUICK:
    NETWORKS["resnet101"] = ({"backbone": "resnet101"}, 256, 4, 2)


def network(name: str, landmarks: tuple[int, ...]) -> LandmarkNet:
    settings, side, _, _ = NETWORKS[name]
    config = LandmarkNetConfig(weights="none", landmarks=landmarks, num_classes=CATEGORIES, **settings)
    return LandmarkNet(config, None, Preprocess(size=side))


def sketches(side: int, count: int) -> Tensor:
    """Black curves on white, normalised."""
    random = np.random.default_rng(0)
    images = np.full((count, side, side, 3), 255, np.uint8)
    steps = np.linspace(0, 2 * np.pi, 8 * side)
    for image in images:
        for _ in range(4):
            (x, y), (width, height) = random.uniform(0.35, 0.65, 2), random.uniform(0.05, 0.3, 2)
            columns = (side * (x + width * np.cos(steps))).astype(int)
            rows = (side * (y + height * np.sin(steps * random.integers(1, 4)))).astype(int)
            image[rows, columns] = 0
    return torch.from_numpy(Preprocess(size=side).normalize(images))


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
        write_results("landmark_net", rows, ("torch", "torchvision"), threads=1)


@pytest.mark.timeout(1800)  # on a busy machine a step of ResNet-101 takes a minute
@pytest.mark.parametrize("name", NETWORKS)
def test_diversity_losses_in_a_training_step(name: str, results: list[dict[str, Any]]) -> None:
    torch.manual_seed(0)
    _, side, batch, _ = NETWORKS[name]
    model = network(name, (30,)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    images, labels = sketches(side, batch), torch.randint(CATEGORIES, (batch,))
    assert model.category_filters is not None
    weight = model.category_filters.weight.detach().clone().requires_grad_()
    found = model(images).responses
    assert found is not None
    psi = found.detach().clone().requires_grad_()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        output = model(images)
        assert model.category_filters is not None and output.responses is not None
        assert output.class_logits is not None
        diversity = filter_diversity(model.category_filters.weight) + response_diversity(output.responses)
        branch = diversity + F.cross_entropy(output.class_logits, labels)
        (F.cross_entropy(output.logits[0], labels) + BETA * branch).backward()
        optimizer.step()

    def losses() -> None:
        weight.grad = psi.grad = None
        (filter_diversity(weight) + response_diversity(psi)).backward()

    seconds = alternate({"step": step, "losses": losses}, ROUNDS, time.process_time)
    row: dict[str, Any] = {
        "op": "diversity_losses",
        "network": name,
        "side": side,
        "batch": batch,
        "categories": CATEGORIES,
        "ms": round(1e3 * seconds["losses"], 1),
        "step_ms": round(1e3 * seconds["step"], 1),
        "share": round(seconds["losses"] / seconds["step"], 4),
    }
    results.append(row)  # before the assertion: the results file holds losses too
    if name == "resnet101":
        assert row["share"] < SHARE_TARGET, row


@pytest.mark.timeout(1800)  # on a busy machine a step of ResNet-101 takes a minute
@pytest.mark.parametrize("name", NETWORKS)
def test_one_trunk_pass_for_all_n(name: str, results: list[dict[str, Any]]) -> None:
    torch.manual_seed(0)
    _, side, _, batch = NETWORKS[name]
    model = network(name, LANDMARKS).eval()
    singles = []
    for number, n in enumerate(LANDMARKS):
        single = network("resnet18, small stem, width 0.25", (n,)).eval()  # a shell, for what follows
        single.backbone, single.preprocess = model.backbone, model.preprocess
        single.category_filters = model.category_filters
        for part in ("classifiers", "offset_layers"):
            getattr(single, part)[0] = getattr(model, part)[number]
        singles.append(single)
    images = sketches(side, batch)

    def together() -> Tensor:
        return model.member_scores(images, mirrored=False)

    def apart() -> Tensor:
        return torch.cat([single.member_scores(images, mirrored=False) for single in singles], dim=1)

    with torch.no_grad():
        torch.testing.assert_close(together(), apart(), rtol=1e-4, atol=1e-6)
        contenders = {"together": together, "apart": apart}
        contenders["one n"] = lambda: singles[5].member_scores(images, mirrored=False)
        seconds = alternate(contenders, ROUNDS, time.process_time)
    results.append(
        {
            "op": "all_n",
            "network": name,
            "side": side,
            "batch": batch,
            "landmarks": list(LANDMARKS),
            "ms": round(1e3 * seconds["together"], 1),
            "separate_ms": round(1e3 * seconds["apart"], 1),
            "one_n_ms": round(1e3 * seconds["one n"], 1),
            "times_separate": round(seconds["apart"] / seconds["together"], 2),
            "of_one_n": round(seconds["together"] / seconds["one n"], 2),
        }
    )
