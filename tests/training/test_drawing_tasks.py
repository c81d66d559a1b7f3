"""Networks that draw, and the retrieval network, learn a small world through `fit`, and go on bit for bit when stopped."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from drawn_world import BOXES, drawn_world
from safetensors.torch import load_file

from sketchfast.data.augmentation import Augmentation
from sketchfast.data.instance_batches import InstanceBatches
from sketchfast.data.instances import PairedSet
from sketchfast.data.photo_batches import StrokeBatches
from sketchfast.data.picture_pairs import PicturePairs
from sketchfast.data.pixels import normalize
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.metrics.instance_retrieval import score_model
from sketchfast.models import load_run
from sketchfast.models.fine_grained import FineGrainedConfig, FineGrainedNet
from sketchfast.models.l2s import L2S, L2SConfig
from sketchfast.models.photo_to_sketch import PhotoToSketch, PhotoToSketchConfig
from sketchfast.models.pix2pix import Pix2Pix, Pix2PixConfig
from sketchfast.models.stroke_decoder import SketchDecoder, StrokeDecoderConfig
from sketchfast.nn.jigsaw import JigsawNet
from sketchfast.nn.sketch_mixture import SketchMixture
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, Task, fit
from sketchfast.training.cross_category_tasks import Optimisation
from sketchfast.training.generator_tasks import GeneratorTask, L2STask, Pix2PixTask, UnconditionalTask
from sketchfast.training.retrieval_tasks import JigsawTask, SupervisedTask, edge_map_pairs, own_photos_first

SIZE, POINTS, BATCH = 32, 12, 9
MIRRORED = Augmentation(scale=(1, 1), rotation=0, shift=0)  # and nothing else
NETWORK: dict[str, Any] = {"weights": "none", "stem": "small", "width": 0.125}


def adam(lr: float) -> Optimisation:
    return Optimisation(partial(torch.optim.Adam, lr=lr))


class World:
    """What the tasks of one test are made of; both halves are drawn by other hands."""

    def __init__(self, seed: int) -> None:
        pairs, others = drawn_world(seed % 1000), drawn_world(seed % 1000 + 1, 2)
        self.sequences = SketchSequences(pairs.sketches, POINTS, progress=False)
        self.others = SketchSequences(others.sketches, POINTS, scale=self.sequences.scale, progress=False)
        self.pairs, self.held_out = pairs, others
        self.scale = self.sequences.scale

    def strokes(self, preprocess: Preprocess | None) -> tuple[StrokeBatches, StrokeBatches]:
        def batches(sequences: SketchSequences, pairs: PairedSet, size: int) -> StrokeBatches:
            own: dict[str, Any] = {}
            if preprocess is not None:
                own = {"photos": pairs.photos, "photo_of": pairs.photo_of, "preprocess": preprocess}
            return StrokeBatches(sequences, **own, batch_size=size, seed=4)

        return batches(self.sequences, self.pairs, BATCH), batches(self.others, self.held_out, 1)

    def instances(self, pairs: PairedSet, repeats: int = 1) -> InstanceBatches:
        return InstanceBatches(pairs, Preprocess(SIZE), BATCH, 4, repeats, group=BATCH)


def generator(world: World) -> Task:
    config = PhotoToSketchConfig("resnet10", size=SIZE, latent=8, hidden=24, attention_dim=8, mixtures=3,
                                 max_points=POINTS, offset_scale=world.scale, **NETWORK)  # fmt: skip
    source, held_out = world.strokes(Preprocess(SIZE))
    return GeneratorTask(PhotoToSketch(config), source, MIRRORED, adam(1e-2), held_out)


def unconditional(world: World) -> Task:
    model = SketchDecoder(StrokeDecoderConfig(24, 3, POINTS, world.scale))
    source, held_out = world.strokes(None)
    return UnconditionalTask(model, source, MIRRORED, adam(1e-2), held_out)


def l2s(world: World) -> Task:
    model = L2S(L2SConfig(64, (4, 8, 8, 16, 16), 32, 8, 24, 3, POINTS, world.scale))
    source, held_out = world.strokes(model.preprocess)
    return L2STask(model, source, MIRRORED, adam(1e-2), held_out)


def pix2pix(world: World, together: bool = False) -> Task:
    model = Pix2Pix(Pix2PixConfig(SIZE, 8, discriminator_width=4, discriminator_layers=1))
    batch = 3 if together else BATCH
    source = PicturePairs(world.pairs, model.preprocess, batch, 4, together=together)
    held_out = PicturePairs(world.held_out, model.preprocess, 1, 4)
    return Pix2PixTask(model, source, adam(5e-3), held_out, difference="nearest" if together else "mean")


def photosketch(world: World) -> Task:
    return pix2pix(world, together=True)


def accuracy(pairs: PairedSet, model: Any) -> dict[str, float]:
    return {"accuracy@1": score_model(model, pairs, None).scores.accuracy[1].value}


def network() -> FineGrainedNet:
    return FineGrainedNet(FineGrainedConfig("resnet10", size=SIZE, **NETWORK), ["box"], Preprocess(SIZE))


def supervised(world: World) -> Task:
    source, score = world.instances(world.pairs), partial(accuracy, world.held_out)
    return SupervisedTask(network(), source, MIRRORED, adam(3e-3), score)


def jigsaw(world: World) -> Task:
    model = JigsawNet(network(), side=2)
    source = world.instances(edge_map_pairs(world.pairs.photos), repeats=4)
    return JigsawTask(model, source, MIRRORED, adam(1e-2))


def loop(out: Path, epochs: int, **changes: Any) -> LoopConfig:
    return LoopConfig(
        out=str(out), epochs=epochs, accelerator="cpu", precision="32-true", log_every=1, seed=3, **changes
    )


def tensors(out: Path) -> dict[str, torch.Tensor]:
    last = out / "checkpoints" / "last"
    return {**load_file(last / "model.safetensors"), **load_file(last / "training.safetensors")}


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("make", "watched", "falls_to"),
    [
        (generator, "loss", 0.9), (unconditional, "loss", 0.95), (l2s, "loss", 0.93), (pix2pix, "difference", 0.7),
        (photosketch, "difference", 0.7), (supervised, "loss", 0.9), (jigsaw, "loss", 0.9),
    ],
)  # fmt: skip
def test_learns_and_resumes_bit_for_bit(
    make: Callable[[World], Task], watched: str, falls_to: float, seed: int, tmp_path: Path
) -> None:
    """Four steps an epoch (PhotoSketch: three); stopped within the first epoch and right after it."""
    world, epochs = World(seed), 3

    def task(stop: int | None = None) -> Task:
        torch.manual_seed(seed)
        made = make(world)
        take = made.training_step

        def stopping(batch: Any, step: int, context: Any) -> Any:
            if step == stop:
                raise Stop
            return take(batch, step, context)

        made.training_step = stopping
        return made

    whole = fit(task(), loop(tmp_path / "whole", epochs), {})
    found = [record[watched] for record in whole.history if record["kind"] == "train"]
    assert np.mean(found[-3:]) < falls_to * np.mean(found[:3]), found
    assert all(math.isfinite(value) for value in whole.metrics.values())

    out, each = tmp_path / "run", len(found) // epochs
    for stop in (2, each):
        with pytest.raises(Stop):
            fit(task(stop), loop(out, epochs, resume=True, checkpoint_every=1), {})
    fit(task(), loop(out, epochs, resume=True), {})
    again, expected = tensors(out), tensors(tmp_path / "whole")
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], value) for name, value in expected.items())
    if make is not jigsaw:
        model = task().model
        assert type(load_run(tmp_path / "whole")) is type(model)


@pytest.mark.parametrize("make", [generator, unconditional, l2s])
def test_held_out_likelihood_is_that_of_each_sketch_alone(make: Callable[[World], Any], seed: int) -> None:
    torch.manual_seed(seed)
    world = World(seed)
    task = make(world)
    model = task.model.eval()
    fabric = SimpleNamespace(to_device=lambda batch: batch, autocast=torch.no_grad)
    found = task.validate(fabric, 0)
    total = 0.0
    for i in range(len(world.others)):
        length = int(world.others.lengths[i])
        rows = torch.from_numpy(world.others.stroke5[i : i + 1, : length + 1])
        photo = None
        if make is not unconditional:
            pixels = model.preprocess.resize_image(
                world.held_out.photos.load(int(world.held_out.photo_of[i]))
            )
            photo = normalize(torch.from_numpy(pixels)[None], model.preprocess)
        with torch.no_grad():
            y = SketchMixture(task.predicted(photo, rows)[0].double())
        pen = y.pen_log_prob(rows[0, :, 2:].argmax(dim=1)).sum()
        total -= float(pen + y.log_density(rows[0, :, :2].double())[:length].sum()) / (length + 1)
    assert found["held_out_nll"] == pytest.approx(total / len(world.others), rel=1e-4)
    assert found["held_out_nll"] == found["held_out_offset_nll"] + found["held_out_pen_nll"]
    task.held_out = None
    assert math.isnan(task.validate(fabric, 0)["held_out_nll"])


def test_triplets_of_a_batch_by_hand(seed: int) -> None:
    """Three groups of three sketches with a distractor each; the same photo may be in two groups, and is no negative there."""
    torch.manual_seed(seed)
    pairs = drawn_world(seed % 1000)
    source = InstanceBatches(pairs, Preprocess(SIZE), 9, seed % 1000, group=3, distractors=1)
    model: Any = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
    model.preprocess = Preprocess(SIZE)
    still = Augmentation(chance=0.0)
    task = SupervisedTask(model, source, still, adam(1.0), margin=2.0, negatives="all")
    batch = next(iter(source.epoch(0)))
    context: Any = SimpleNamespace(
        model=model, world_size=1, device="cpu", shared_generator=torch.Generator(), local_slice=slice
    )
    found = task.training_step(batch, 0, context)["loss"]
    sketches, photos = (
        model(normalize(batch[side], model.preprocess)).double() for side in ("sketch", "photo")
    )
    losses = []
    for s, sketch in enumerate(batch["row"].tolist()):
        own = 4 * (s // 3) + s % 3
        assert int(batch["photo_row"][own]) == pairs.photo_of[sketch]
        near = (sketches[s] - photos[own]).norm()
        others = [p for p in range(12) if batch["photo_row"][p] != pairs.photo_of[sketch]]
        losses.append(
            np.mean([max(0.0, float(2.0 + near - (sketches[s] - photos[p]).norm())) for p in others])
        )
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-4)
    ordered, rows = own_photos_first(torch.arange(12), batch["photo_row"], 9, 3)
    assert ordered.tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10, 3, 7, 11]
    assert rows[:9].tolist() == pairs.photo_of[batch["row"].numpy()].tolist()
    assert math.isnan(task.validate(None, 0)["accuracy@1"])


def test_edge_maps_stand_in_for_sketches() -> None:
    pairs = edge_map_pairs(drawn_world(0).photos)
    assert len(pairs) == len(BOXES) and pairs.photo_of.tolist() == list(range(len(BOXES)))
    drawn = pairs.sketches.load(8)
    assert set(np.unique(drawn)) == {0, 255} and 20 < (drawn[..., 0] == 0).sum() < 200


def test_scales_and_sources_are_checked(seed: int) -> None:
    world = World(seed)
    source, held_out = world.strokes(None)
    decoder = SketchDecoder(StrokeDecoderConfig(8, 2, POINTS, 2 * world.scale))
    with pytest.raises(ValueError, match=r"model\.config\.offset_scale must be the training sketches'"):
        UnconditionalTask(decoder, source, MIRRORED, adam(1e-2))
    decoder = SketchDecoder(StrokeDecoderConfig(8, 2, POINTS, world.scale))
    held_out.sequences = SketchSequences(drawn_world(seed % 1000 + 2).sketches, POINTS, progress=False)
    with pytest.raises(ValueError, match="held_out must have the training sketches' scale"):
        UnconditionalTask(decoder, source, MIRRORED, adam(1e-2), held_out)
    distracting = InstanceBatches(world.pairs, Preprocess(SIZE), 4, group=2, distractors=1)
    with pytest.raises(ValueError, match="source must have no distractors, got 1"):
        JigsawTask(JigsawNet(network()), distracting, MIRRORED, adam(1e-2))
