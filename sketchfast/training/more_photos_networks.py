"""The networks of a run of train/more_photos.py that are trained on their own, each put together: model, batches, task.

Bhunia et al., More Photos are All You Need, CVPR 2021, sections 3.1, 3.2 and 4.1: what joint training starts from, competitors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import torch
from lightning.fabric import Fabric

from sketchfast.canvas import MARGIN
from sketchfast.data.augmentation import Augmentation
from sketchfast.data.class_batches import SketchAugmentation
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instance_batches import InstanceBatches
from sketchfast.data.instances import PairedSet
from sketchfast.data.photo_batches import StrokeBatches
from sketchfast.data.picture_pairs import PicturePairs
from sketchfast.data.semi_supervised import SemiSupervisedSplit
from sketchfast.data.sequence_pictures import with_sequences
from sketchfast.data.stroke_categories import StrokeCategory
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.metrics.instance_retrieval import score_model
from sketchfast.models.fine_grained import FineGrainedConfig, FineGrainedNet
from sketchfast.models.l2s import L2S, L2SConfig
from sketchfast.models.photo_to_sketch import PhotoToSketch, PhotoToSketchConfig
from sketchfast.models.pix2pix import Pix2Pix, Pix2PixConfig
from sketchfast.models.stroke_decoder import SketchDecoder, StrokeDecoderConfig
from sketchfast.nn.jigsaw import JigsawNet
from sketchfast.nn.semi_supervised import Negatives
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.cross_category_networks import SketchTraining, sketch_classifier
from sketchfast.training.cross_category_tasks import Optimisation, Score
from sketchfast.training.describer_tasks import ClassifierTask
from sketchfast.training.generator_tasks import (
    GeneratorTask,
    L2STask,
    Pix2PixTask,
    UnconditionalTask,
)
from sketchfast.training.retrieval_tasks import JigsawTask, SupervisedTask, edge_map_pairs
from sketchfast.training.seeds import stream_seed


@dataclass
class Training:
    """How long a network is trained, and how: AdamW, which without weight decay is Adam."""

    epochs: int
    batch: int  # sketches or photos, over all processes
    repeats: int = 1  # passes over the data that make an epoch
    lr: float = 1e-4
    weight_decay: float = 0.0
    warmup: float = 0.0  # share of the steps over which lr first rises
    decay: Literal["none", "cosine"] = "none"

    @property
    def optimisation(self) -> Optimisation:
        adam = partial(torch.optim.AdamW, lr=self.lr, weight_decay=self.weight_decay)
        return Optimisation(adam, self.factor)

    def factor(self, step: int, total: int) -> float:
        rise = min(1.0, (step + 1) / max(1.0, self.warmup * total))
        return rise * (1.0 if self.decay == "none" else (1 + math.cos(math.pi * step / total)) / 2)


@dataclass
class Competitors:
    """What only some rows have."""

    l2s: L2SConfig = field(default_factory=L2SConfig)
    pix2pix: Pix2PixConfig = field(default_factory=Pix2PixConfig)
    pix2pix_training: Training = field(default_factory=lambda: Training(epochs=200, batch=1, lr=2e-4))
    """Of pix2pix and photosketch, by Adam with beta_1 = 0.5; a batch of photosketch is of photos."""
    unlabelled_training: Training = field(default_factory=lambda: Training(epochs=10, batch=16))
    """Of F on unlabelled photos and their edge maps: edgemap-pretrain, jigsaw-pretrain."""
    jigsaw_side: int = 3  # patches a side


@dataclass(frozen=True)
class Common:
    """What all networks of a seed share. memory: bytes that decoded images may take. margin, negatives: eq. 4."""

    seed: int
    memory: int
    augmentation: Augmentation
    margin: float
    negatives: Negatives


@dataclass(frozen=True)
class Labelled:
    """D_L and what is held out of it, as networks see it: sketches drawn by one pen where their strokes are known.

    sequences: of the sketches of `pairs`, in their order; None where only pictures are known. held_out_sequences: likewise.
    """

    pairs: PairedSet
    held_out: PairedSet | None
    sequences: SketchSequences | None
    held_out_sequences: SketchSequences | None

    @classmethod
    def of(
        cls, split: SemiSupervisedSplit, max_points: int, thickness: int, epsilon: float | None = None
    ) -> Labelled:
        """max_points, epsilon: as `SketchSequences`. Sketches of more strokes than max_points points can show are left out."""
        pairs, held_out, sequences, others = split.train, split.held_out, None, None
        if pairs.sketches.has_strokes:
            sequences = SketchSequences(pairs.sketches, max_points, epsilon, leave_out_long=True)
            pairs = with_sequences(pairs, sequences, thickness)
            if held_out is not None:
                scale = sequences.scale
                others = SketchSequences(held_out.sketches, max_points, epsilon, scale, leave_out_long=True)
                held_out = with_sequences(held_out, others, thickness)
        return cls(pairs, held_out, sequences, others)

    @property
    def notes(self) -> list[str]:
        """What a reader of the results should know."""
        if self.sequences is None:
            return ["only pictures of sketches are known, not their strokes: nothing learns to draw strokes"]
        if not (lost := self.sequences.left_out):
            return []
        total = len(lost) + len(self.sequences)
        return [
            f"{len(lost):,} of {total:,} labelled sketches have more strokes than {self.sequences.max_points} points can show "
            f"and are not trained on, such as {lost[0]}"
        ]

    def strokes(self) -> SketchSequences:
        """`sequences`; ValueError, which names a sketch, where there are none."""
        if self.sequences is None:
            return SketchSequences(self.pairs.sketches)  # refuses
        return self.sequences

    def stroke_batches(
        self, preprocess: Preprocess, how: Training, common: Common
    ) -> tuple[StrokeBatches, StrokeBatches | None]:
        """To train on, and what is held out."""
        train = self._strokes_of(self.pairs, self.strokes(), preprocess, how, common)
        if self.held_out is None or self.held_out_sequences is None:
            return train, None
        one = replace(how, batch=1)
        return train, self._strokes_of(self.held_out, self.held_out_sequences, preprocess, one, common)

    @staticmethod
    def _strokes_of(
        pairs: PairedSet, sequences: SketchSequences, preprocess: Preprocess, how: Training, common: Common
    ) -> StrokeBatches:
        own = how.batch, common.seed, how.repeats, common.memory
        return StrokeBatches(sequences, pairs.photos, pairs.photo_of, preprocess, *own)


def retrieval(
    config: FineGrainedConfig,
    pairs: PairedSet,
    held_out: PairedSet | None,
    how: Training,
    common: Common,
    *,
    title: str,
) -> SupervisedTask:
    """F on pairs by eq. 4. A batch is one group of different photos, each the negative of the others."""
    torch.manual_seed(stream_seed(common.seed, 1))
    model = FineGrainedNet(config, pairs.names)
    own = how.batch, common.seed, how.repeats, how.batch
    source = InstanceBatches(pairs, model.preprocess, *own, memory=common.memory)
    given = model, source, common.augmentation, how.optimisation, score_on(held_out, common.memory)
    return SupervisedTask(*given, margin=common.margin, negatives=common.negatives, title=title)


def score_on(pairs: PairedSet | None, memory: int) -> Score | None:
    """F -> its Acc@1 on held-out pairs, if there are any."""
    return None if pairs is None else partial(accuracy, pairs, memory)


def accuracy(pairs: PairedSet, memory: int, model: Any) -> dict[str, float]:
    """Acc@1 of F on held-out pairs."""
    return {"accuracy@1": float(score_model(model, pairs, None, memory, (1,)).scores.right(1).mean())}


def jigsaw(
    config: FineGrainedConfig, photos: ImageSet, how: Competitors, common: Common, *, title: str
) -> JigsawTask:
    """F's backbone on puzzles of unlabelled photos; ``task.model.retrieval`` is F."""
    torch.manual_seed(stream_seed(common.seed, 1))
    model = JigsawNet(FineGrainedNet(config, photos.names), how.jigsaw_side)
    own, pairs = how.unlabelled_training, edge_map_pairs(photos)
    sizes = own.batch, common.seed, own.repeats
    source = InstanceBatches(pairs, model.preprocess, *sizes, group=2, memory=common.memory)
    return JigsawTask(model, source, common.augmentation, own.optimisation, title=title)


def generator(
    config: PhotoToSketchConfig,
    labelled: Labelled,
    how: Training,
    common: Common,
    *,
    kl: float,
    title: str,
    start: FineGrainedNet | None = None,
) -> GeneratorTask:
    """G on the sequences of labelled pairs by eq. 3. start: F, with whose backbone G's encoder starts; see `check_start`."""
    torch.manual_seed(stream_seed(common.seed, 2))
    model = PhotoToSketch(replace(config, offset_scale=labelled.strokes().scale), labelled.pairs.names)
    if start is not None:
        check_start(config, start.config)
        model.backbone.trunk.load_state_dict(start.backbone.trunk.state_dict())
    source, held_out = labelled.stroke_batches(model.preprocess, how, common)
    own = model, source, common.augmentation.unmoved(), how.optimisation, held_out
    return GeneratorTask(*own, kl_weight=kl, title=title)


def check_start(generator: PhotoToSketchConfig, retrieval: FineGrainedConfig) -> None:
    """ValueError where G's encoder cannot start with F's backbone, or would lose pretrained weights of its own by it."""
    if generator.weights != "none":
        raise ValueError(
            "--generator-starts-from-retrieval puts F's backbone in the place of pretrained weights: expected "
            f"--generator.weights none; found {generator.weights!r}"
        )
    for name in ("backbone", "stem", "stem_stride", "width"):
        own, other = getattr(generator, name), getattr(retrieval, name)
        if own != other:
            flag = name.replace("_", "-")
            raise ValueError(
                "--generator-starts-from-retrieval needs the same backbone in both: "
                f"found --generator.{flag} {own}, --retrieval.{flag} {other}"
            )


def l2s(config: L2SConfig, labelled: Labelled, how: Training, common: Common, *, title: str) -> L2STask:
    """On the same sequences, for as long."""
    torch.manual_seed(stream_seed(common.seed, 2))
    model = L2S(replace(config, offset_scale=labelled.strokes().scale))
    source, held_out = labelled.stroke_batches(model.preprocess, how, common)
    return L2STask(model, source, common.augmentation.unmoved(), how.optimisation, held_out, title=title)


def pix2pix(
    config: Pix2PixConfig, labelled: Labelled, how: Training, common: Common, *, together: bool, title: str
) -> Pix2PixTask:
    """together: a photo with all of its sketches, PhotoSketch."""
    torch.manual_seed(stream_seed(common.seed, 2))
    model, flip = Pix2Pix(config), common.augmentation.flip and common.augmentation.chance > 0
    put = partial(PicturePairs, preprocess=model.preprocess, memory=common.memory)
    source = put(
        labelled.pairs,
        batch_size=how.batch,
        seed=common.seed,
        repeats=how.repeats,
        together=together,
        flip=flip,
    )
    held_out = None if labelled.held_out is None else put(labelled.held_out, batch_size=1)
    adam = Optimisation(partial(torch.optim.Adam, lr=how.lr, betas=(0.5, 0.999)), how.factor)
    return Pix2PixTask(model, source, adam, held_out, title=title)


def decoder(
    config: StrokeDecoderConfig,
    strokes: StrokeCategory,
    how: Training,
    common: Common,
    epsilon: float | None = None,
) -> UnconditionalTask:
    """The stroke decoder alone. epsilon: as `SketchSequences`."""
    put = partial(SketchSequences, max_points=config.max_points, epsilon=epsilon, leave_out_long=True)
    sequences = put(strokes.train)
    others = put(strokes.held_out, scale=sequences.scale)
    torch.manual_seed(stream_seed(common.seed, 2))
    model = SketchDecoder(replace(config, offset_scale=sequences.scale))
    source = StrokeBatches(sequences, batch_size=how.batch, seed=common.seed, repeats=how.repeats)
    held_out, own = StrokeBatches(others, batch_size=1), (common.augmentation, how.optimisation)
    return UnconditionalTask(model, source, *own, held_out, title=strokes.name)


@torch.no_grad()
def held_out_likelihood(task: UnconditionalTask) -> float:
    """What the task monitors, on the CPU, as its model is."""
    task.model.eval()
    return float(task.validate(Fabric(accelerator="cpu", devices=1), 0)[task.monitor])


def classifier(
    like: FineGrainedConfig, sketches: ImageSet, held_out: ImageSet, how: Training, common: Common
) -> ClassifierTask:
    """Of sketches, with F's backbone: recognises generated ones, and has the features of the FID."""
    training = SketchTraining(
        sketches, held_out, how.batch, how.repeats, how.lr, SketchAugmentation(rotation=10.0), common.seed, common.memory
    )  # fmt: skip

    return sketch_classifier(like.backbone_spec(), like.size, MARGIN, training, "classifier")
