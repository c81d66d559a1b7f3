"""Each competitor learns a small world through `fit`, and Reptile's runs resume bit for bit."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sketchfast.data.augmentation import Augmentation
from sketchfast.data.class_batches import ClassBatches, SketchAugmentation
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instance_batches import InstanceBatches
from sketchfast.data.instances import PairedSet
from sketchfast.metrics.instance_retrieval import evaluate_instances, score_model
from sketchfast.models.backbones import BackboneSpec, build_backbone
from sketchfast.models.cvae_regression import CVAEConfig, CVAERegression, search_classes
from sketchfast.models.sketch_features import ClassifierFeatures, ClassifierFeaturesConfig
from sketchfast.models.sketch_vae import SketchVAE, SketchVAEConfig
from sketchfast.models.vtd import VTD, VTDConfig
from sketchfast.nn.crossgrad import CrossGradNet
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, fit
from sketchfast.training.cross_category_tasks import (
    CrossGradTask,
    CVAETask,
    Optimisation,
    ReptileTask,
    Triplets,
    photo_numbers,
)
from sketchfast.training.describer_tasks import ClassifierTask, VAETask
from sketchfast.training.reptile import ReptileConfig

SIZE, CATEGORIES, PHOTOS = 16, 4, 4
STILL = SketchAugmentation(rotation=0.0, flip=False)


class Stripes(ImageSet):
    """Photo i of a category has stripes of width i + 1, and so have its sketches, in black on white."""

    def __init__(self, modality: str, each: int, seed: int) -> None:
        self.random, self.numbers = np.random.default_rng(seed), []
        labels, ids = [], []
        for category in range(CATEGORIES):
            for photo in range(PHOTOS):
                for copy in range(each):
                    labels.append(category)
                    ids.append(f"{category}/{photo}-{copy}")
                    self.numbers.append(photo)
        self.starts = self.random.integers(0, 4, len(ids))
        super().__init__([f"category {c}" for c in range(CATEGORIES)], labels, ids, modality)

    def load(self, i: int) -> np.ndarray:
        y, x = np.mgrid[:SIZE, :SIZE]
        number, category = self.numbers[i], self.labels[i]
        ink = (x + y + self.starts[i]) % 6 <= number
        # What tells categories apart: which corner is left empty.
        half = SIZE // 2
        ink[half * (category // 2) :, half * (category % 2) :][:half, :half] = False
        if self.modality == "sketch":
            return np.repeat(np.where(ink, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
        colours = np.array([[200, 60, 40], [60, 200, 40], [40, 60, 200], [180, 180, 40]], np.uint8)
        return np.where(ink[:, :, None], colours[category], np.uint8(230)).astype(np.uint8)


def world(seed: int, sketches: int = 2) -> PairedSet:
    drawn, photos = Stripes("sketch", sketches, seed), Stripes("photo", 1, seed + 1)
    return PairedSet(drawn, photos, np.repeat(np.arange(len(photos)), sketches))


def adam(lr: float) -> Optimisation:
    return Optimisation(partial(torch.optim.Adam, lr=lr))


def loop(out: Path, epochs: int, **changes: Any) -> LoopConfig:
    settings: dict[str, Any] = {"accelerator": "cpu", "precision": "32-true", "log_every": 1, "seed": 3}
    return LoopConfig(out=str(out), epochs=epochs, **{**settings, **changes})


def network(seed: int) -> VTD:
    torch.manual_seed(seed)
    config = VTDConfig("resnet10", "none", stem="small", width=0.125, freeze_batch_norm=True)
    return VTD(config, [f"category {c}" for c in range(CATEGORIES)], Preprocess(SIZE))


def triplets(pairs: PairedSet, seed: int) -> Triplets:
    source = InstanceBatches(pairs, Preprocess(SIZE), batch_size=8, seed=seed, group=4)
    still = Augmentation(chance=0.0)
    return Triplets(source, still, margin=0.2, negatives="all")


def accuracy_at_1(pairs: PairedSet, model: VTD) -> dict[str, float]:
    return {"accuracy@1": score_model(model, pairs, None).scores.accuracy[1].value}


def losses(result: Any, name: str) -> list[float]:
    return [record[name] for record in result.history if record["kind"] == "train"]


def tensors(out: Path) -> dict[str, torch.Tensor]:
    last = out / "checkpoints" / "last"
    return {**load_file(last / "model.safetensors"), **load_file(last / "training.safetensors")}


class Stop(Exception):
    pass


def test_reptile_learns_and_resumes_bit_for_bit(seed: int, tmp_path: Path) -> None:
    """Stopped before a step of every phase: within either inner run, at the borders, and after an epoch."""
    pairs = world(seed % 1000)

    def task(stop: int | None = None) -> ReptileTask:
        made = ReptileTask(
            network(5), triplets(pairs, 9), ReptileConfig(inner_steps=6), adam(3e-3),
            partial(accuracy_at_1, pairs), seed=11,
        )  # fmt: skip
        take = made.training_step

        def stopping(batch: Any, step: int, context: Any) -> Any:
            if step == stop:
                raise Stop
            return take(batch, step, context)

        made.training_step = stopping  # type: ignore[method-assign]
        return made

    config = {"x": 1}
    whole = fit(task(), loop(tmp_path / "whole", 2), config)
    assert whole.metrics["accuracy@1"] > 0.4  # chance is 0.25
    out = tmp_path / "run"
    for stop in (6, 9, 12):
        with pytest.raises(Stop):
            fit(task(stop), loop(out, 2, resume=True, checkpoint_every=1), config)
    again = fit(task(), loop(out, 2, resume=True, checkpoint_every=1), config)
    found, expected = tensors(out), tensors(tmp_path / "whole")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert losses(again, "loss") == losses(whole, "loss")
    with pytest.raises(ValueError, match=r"loop\.accumulate must be 1 with Reptile"):
        fit(task(), loop(tmp_path / "other", 1, accumulate=2), config)


def test_crossgrad_learns_both_labels_and_a_metric(seed: int, tmp_path: Path) -> None:
    pairs = world(seed % 1000)
    assert photo_numbers(pairs).tolist() == list(range(PHOTOS)) * CATEGORIES
    retrieval = network(5)
    domain, _ = build_backbone(BackboneSpec("resnet10", "none", "small", width=0.125))
    net = CrossGradNet(retrieval, retrieval.backbone.num_features, domain, PHOTOS, CATEGORIES)
    score = partial(accuracy_at_1, pairs)
    task = CrossGradTask(net, triplets(pairs, 9), adam(3e-3), score, monitor="accuracy@1")
    result = fit(task, loop(tmp_path, 4), {})
    for name in ("J_l", "J_d"):
        found = losses(result, name)
        assert np.mean(found[-4:]) < 0.85 * np.mean(found[:4])
    assert result.metrics["accuracy@1"] > 0.4  # chance is 0.25


def test_cvae_finds_photos_of_a_noisy_linear_world(seed: int, tmp_path: Path) -> None:
    """A photo's feature is a turned sketch's feature and something of its own."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(8, 8)))[0]
    pairs = world(0)

    def features() -> tuple[np.ndarray, np.ndarray]:
        codes = random.normal(size=(CATEGORIES * PHOTOS, 8))
        drawn = codes[pairs.photo_of] + 0.1 * random.normal(size=(len(pairs), 8))
        return drawn.astype(np.float32), (0.1 * codes @ turn + 0.3).astype(np.float32)

    parts = [features() for _ in range(20)]
    sketches, photos = (np.concatenate(side) for side in zip(*parts))
    photo_of = np.concatenate([pairs.photo_of + i * len(pairs.photos) for i in range(20)])
    held_out = features()
    torch.manual_seed(seed)
    model = CVAERegression(CVAEConfig(8, latent=4, hidden=64, dropout=0.0, samples=20, clusters=2))
    task = CVAETask(
        model, sketches, photos, photo_of, adam(1e-2), (*held_out, pairs.photo_of), seed=seed, batch_size=64
    )
    result = fit(task, loop(tmp_path, 5), {})
    found = [record["held_out_loss"] for record in result.history if record["kind"] == "validation"]
    assert found[-1] < 0.5 * found[0] and losses(result, "KL")[-1] > 0
    model.eval()
    searched = [search_classes(model, *features(), pairs, progress=False) for _ in range(8)]
    accuracy = np.mean([evaluate_instances(distances, pairs).accuracy[1].value for distances in searched])
    assert accuracy > 1.4 / PHOTOS  # of 256 sketches; chance is 1 / PHOTOS
    with pytest.raises(ValueError, match="batch_size is 128, but there are only 32 sketches"):
        CVAETask(model, *held_out, pairs.photo_of, adam(1e-3), seed=0)


def test_vae_and_classifier_learn_their_sketches(seed: int, tmp_path: Path) -> None:
    sketches, others = world(seed % 1000, 4).sketches, world(seed % 1000 + 5).sketches
    torch.manual_seed(seed)
    vae = SketchVAE(SketchVAEConfig(latent=16, channels=(8, 8, 16, 16, 16), size=32))
    task: Any = VAETask(vae, ClassBatches(sketches, vae.preprocess, 8, seed), STILL, adam(1e-2), others)
    result = fit(task, loop(tmp_path / "vae", 2), {})
    errors = losses(result, "L_rec")
    assert errors[-1] < 0.8 * errors[0] and math.isfinite(result.metrics["held_out_loss"])

    names = sketches.names
    spec = ClassifierFeaturesConfig("resnet10", "none", "small", 2, 0.125, CATEGORIES, SIZE)
    net = ClassifierFeatures(spec, names)
    task = ClassifierTask(net, ClassBatches(sketches, net.preprocess, 16, seed), STILL, adam(1e-2), others)
    result = fit(task, loop(tmp_path / "classifier", 4), {})
    assert result.metrics["held_out_accuracy"] > 0.5  # chance is 0.25
    task = ClassifierTask(net, ClassBatches(sketches, net.preprocess, 16, seed), STILL, adam(1e-2))
    assert math.isnan(task.validate(None, 0)["held_out_accuracy"])
