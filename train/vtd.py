"""Visual trait descriptors: the very photo that was drawn, in categories never trained on (Pang et al., CVPR 2019).

Stage 1, without labels: an autoencoder learns which of K fixed random vectors D_i describes a sketch best. Such a trait
(dense, leaning left, seen from the front) is shared by many categories. Stage 2: a triplet network F finds the photo, and
D_i = phi(s) of the query weights the dimensions of F for this one query, psi = (1 + eta(phi(s))) F. Being diagonal, the
weights never ask for the photos to be encoded again.

    python train/vtd.py                                     the synthetic world, three seeds, minutes on two cores
    python train/vtd.py sketchy-small --data.root DIR       real sketches and photos from scratch, small (zeroshot0)
    python train/vtd.py traits-real --data.root DIR --data.extra-drawings DIR
                                                            stage 1 alone, on Sketchy's sketches and QuickDraw's
    python train/vtd.py table1-full --data.root DIR         the paper's main result, on Sketchy
    python train/vtd.py --list                              every named config: tables 1-3
    python train/vtd.py NAME --help                         the settings of one, and the decisions below

--methods takes several rows of table 1 at once; the networks that they have in common are trained once. Each network has
a folder of its own, OUT/[seed-N/]{base,traits-soft,...,<method>}; --loop.resume goes on wherever a run was interrupted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from rich.progress import track

from sketchfast import atomic
from sketchfast.data import ImageSet
from sketchfast.data.augmentation import Augmentation
from sketchfast.data.class_batches import ClassBatches, SketchAugmentation, augment_sketches
from sketchfast.data.classification import Relabelled
from sketchfast.data.cross_set import matched_names
from sketchfast.data.drawing_set import DrawingSet, drawing_files
from sketchfast.data.edge_maps import EdgeMaps
from sketchfast.data.instance_batches import InstanceBatches, augment_instances
from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.data.joined_set import JoinedSet
from sketchfast.data.load_instances import load_instances
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.metrics.bootstrap import bootstrap_interval
from sketchfast.metrics.instance_retrieval import (
    InstanceScores,
    evaluate_instances,
    score_model,
)
from sketchfast.metrics.trait_usage import TraitUsage
from sketchfast.metrics.zero_shot import encode
from sketchfast.models import load_run
from sketchfast.models.backbones import build_backbone
from sketchfast.models.cvae_regression import CVAEConfig, CVAERegression
from sketchfast.models.cvae_regression import search_classes as search_generated
from sketchfast.models.sketch_features import ClassifierFeatures, ClassifierFeaturesConfig
from sketchfast.models.sketch_vae import SketchVAE, SketchVAEConfig
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.models.vtd import VTD, VTDConfig, WordDescriber
from sketchfast.nn.crossgrad import CrossGradNet
from sketchfast.nn.dynamic_weights import Negatives, gaussian_kl, group_triplet_loss
from sketchfast.nn.trait_assignment import (
    column_entropy,
    kl_to_uniform,
    reconstruction_error,
    row_entropy,
)
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, StepContext, Task, fit, load_weights, save_model, stream_seed
from sketchfast.training.cross_category_tasks import (
    ClassifierTask,
    CrossGradTask,
    CVAETask,
    Optimisation,
    ReptileTask,
    Triplets,
    VAETask,
)
from sketchfast.training.loop_config import FitResult
from sketchfast.training.recipe_command import check_dataset, check_writable, choose_recipe, run_recipe
from sketchfast.training.report import KeySection, Section, TextSection, history_sections, write_report
from sketchfast.training.reptile import ReptileConfig
from sketchfast.training.run_folder import RunFolder

SCRIPT = "train/vtd.py"
DECISIONS = """
Decisions (D), where the paper is silent:
  L_rec   squared error summed over the pixels of a 64 x 64 sketch with values in -1..1, mean over the batch. Sketches are
          cropped to their ink, which fills 90 % of the square, and centred.
  eq. 6   natural logarithms, over the global batch of --trait-training.batch sketches. "Its maximum 1" holds for base K.
  warm-up lambda_KL, lambda_row and lambda_col rise from epoch to epoch, linearly over the epochs of stage 1.
  revival after each epoch but the last: the n descriptors that no training sketch has become the n most used ones, times
          (1 + 0.05 N(0,1)); the copies' rows of W_p are copied with the same noise, so that they compete at once. The paper
          changes D alone. With hard assignment as well as soft. What is logged as used is counted before it.
  phi     in stage 2 and at test the row of D with the highest logit, whichever way it was trained; the describer is frozen,
          and a mirrored training sketch has the descriptor of its mirror image.
  F       divided by its length (--model.no-unit-features: as it is), distances squared. p- is another photo of the
          category: triplets come in groups of --optimizer.group sketches of one category, with different photos.
  eta     has length 1 (section 4.1); the Gaussian that L_con sees is the one before that. L_con sums over dimensions, mean
          over the batch. The ten samples at test use one table of noise for all queries.
  batch   16 sketches in stage 2, 128 in stage 1; no augmentation but mirror images in stage 2; constant lr; the last epoch.
  test    a sketch is searched in all photos of its own category, those that nobody drew too (--data.gallery drawn: without
          them). Photos exactly as near as the own one count against the model. Sketches in invalid-*.txt are left out, photos
          of testset.txt are not trained on.
  table 1 Ours-VAE: phi is the mean of the latent Gaussian; -Kmeans: its nearest of K centres, found on the training sketches.
          Ours-WordVector: the vector of the category's name, which a query has to come with. Ours-Classify: the feature before
          the classifier of a network that names the sketches of the seen categories. Ours-Full/Edge: stage 1 sees Canny edges
          of the training photos, queries are sketches. Upper-Bound: hard transfer that has also seen half of the photos of
          each test category with their sketches; tested on all, as the paper says, so likely a little high.
  table 2 ours-sketchy takes stage 1 from --traits-from RUN, ours-sketchy-ft trains it further for 10 epochs on the group's
          training sketches (the paper does not say for how long).
  small   the small configs train from scratch with AdamW. In place of ImageNet weights every method's F starts from `base`,
          a plain triplet network trained on the same pairs; sizes and augmentation are not the paper's.
"""

DATA_SETS = ("synthetic", "sketchy", "qmul", "folder")
GROUPS = ("sandal", "toe-shape", "shoe-height", "heel-shape", "topline")  # of table 2
MAY_CHANGE = ("data.root", "data.memory_gib", "evaluation", "methods", "seeds")  # when a run is resumed
# synthetic: field of Data -> option of load_instances
SIZES = {
    "drawn_size": "size", "train_per_class": "train_per_class", "sketches_per_photo": "sketches_per_photo",
    "queries_per_class": "queries_per_class", "gallery_per_class": "gallery_per_class",
    "held_out_per_class": "held_out_per_class",
}  # fmt: skip


class Method(NamedTuple):
    """A row of table 1: the network that phi comes from ("" for none), how F is trained, and whether on test categories."""

    describer: str = ""
    training: Literal["triplet", "crossgrad", "reptile", "cvae"] = "triplet"
    on_target: bool = False


METHODS = {
    "hard-transfer": Method(),
    "cvae-regress": Method(training="cvae"),
    "reptile": Method(training="reptile"),
    "crossgrad": Method(training="crossgrad"),
    "vae": Method("vae"),
    "vae-kmeans": Method("vae-kmeans"),
    "word-vector": Method("words"),
    "classify": Method("classifier"),
    "edge": Method("traits-edge"),
    "hard": Method("traits-hard"),
    "full": Method("traits-soft"),
    "upper-bound": Method(on_target=True),
}
TRAITS = "traits"  # among methods: stage 1 alone
BASELINE = "hard-transfer"  # what the others are compared with


@dataclass
class Data:
    root: str | None = None  # folder of the data set; none: the synthetic world
    dataset: str = "sketchy"  # one of DATA_SETS: synthetic, sketchy, qmul, folder
    group: str | None = None  # qmul: sandal, toe-shape, shoe-height, heel-shape or topline
    gallery: Literal["all", "drawn"] = "all"  # photos that are searched: all, or those that somebody drew
    size: int = 299  # side of the retrieval network's input in pixels
    word_vectors: str | None = None  # of the categories' names, for word-vector: pickle, npz or text
    extra_drawings: str | None = None
    """Folder of QuickDraw's <class>.ndjson: more sketches for stage 1, without those of unseen categories."""
    memory_gib: float = 4.0  # decode a set once into memory when it fits this
    seed: int = 0  # of the split where it is random, of the upper bound's half, and of the synthetic world
    drawn_size: int | None = None  # the sizes of the synthetic world: side of its pictures in pixels
    train_per_class: int | None = None
    sketches_per_photo: int | None = None
    queries_per_class: int | None = None
    gallery_per_class: int | None = None
    held_out_per_class: int | None = None
    unseen: tuple[str, ...] = ()  # names of the unseen categories; none: those published for the data set
    held_out_share: float | None = None  # of seen categories' photos; none: Sketchy's testset.txt


@dataclass
class TraitTraining:
    """Stage 1, and the networks that stand in its place (VAE, classifier)."""

    epochs: int = 200
    batch: int = 128  # sketches, over all processes
    repeats: int = 1  # passes over the sketches that make an epoch
    lr: float = 2e-4
    kl: tuple[float, float] = (0.0, 1.5)  # lambda_KL in the first and in the last epoch
    row: tuple[float, float] = (1.0, 2.0)
    col: tuple[float, float] = (1.0, 10.0)
    revive: bool = True
    beta: float = 0.05
    fine_tune: bool = False  # start from --traits-from, instead of taking it as it is
    augmentation: SketchAugmentation = field(
        default_factory=lambda: SketchAugmentation(rotation=0.0, flip=False)
    )


@dataclass
class Base:
    """In place of ImageNet weights: a plain triplet network, from which every method's F starts."""

    epochs: int = 0  # 0: none
    lr: float = 1e-4


@dataclass
class Loss:
    margin: float = 0.1  # eq. 9
    lambda_con: float = 0.004  # eq. 11
    negatives: Negatives = "random"  # photos of the group that stand for p-: one at random, the hardest, all


@dataclass
class Optimizer:
    kind: Literal["adam", "adamw"] = "adam"
    batch: int = 16  # sketches, each with its own photo, over all processes
    group: int = 2  # sketches of one category with different photos: p- comes from the group
    distractors: int = 0  # more photos of the category in each group
    repeats: int = 1  # passes over the training sketches that make an epoch
    lr: float = 1e-4
    weight_decay: float = 0.0
    warmup: float = 0.0  # share of the steps over which lr first rises
    decay: Literal["none", "cosine"] = "none"

    def make(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        kind = torch.optim.AdamW if self.kind == "adamw" else torch.optim.Adam
        return kind(params, lr=self.lr, weight_decay=self.weight_decay)

    def factor(self, step: int, total: int) -> float:
        rise = min(1.0, (step + 1) / max(1.0, self.warmup * total))
        return rise * (1.0 if self.decay == "none" else (1 + math.cos(math.pi * step / total)) / 2)


@dataclass
class Competitors:
    """What only one row of table 1 has."""

    reptile: ReptileConfig = field(default_factory=ReptileConfig)
    crossgrad_epsilon: float = 1.0
    crossgrad_alpha: float = 0.5
    crossgrad_triplet: float = 1.0  # weight of eq. 9 beside CrossGrad's losses
    cvae: CVAEConfig = field(default_factory=CVAEConfig)
    cvae_epochs: int = 100
    cvae_lr: float = 1e-3
    vae_kl: float = 1.0  # weight of the VAE's divergence


@dataclass
class Evaluation:
    checkpoint: Literal["best", "last"] = (
        "last"  # of stage 2's epochs, by Acc@1 on held-out pairs of seen categories
    )
    at: tuple[int, ...] = (1, 5, 10)


@dataclass
class Recipe:
    methods: tuple[str, ...] = ("full",)
    """Rows of table 1, in the order of the tables: hard-transfer, cvae-regress, reptile, crossgrad, vae, vae-kmeans,
    word-vector, classify, edge, hard, full, upper-bound; or traits, which is stage 1 alone."""
    seeds: tuple[int, ...] = (0,)  # of training
    traits_from: str | None = None  # a run whose trait network is taken, in place of stage 1
    data: Data = field(default_factory=Data)
    traits: TraitConfig = field(default_factory=TraitConfig)
    trait_training: TraitTraining = field(default_factory=TraitTraining)
    base: Base = field(default_factory=Base)
    model: VTDConfig = field(default_factory=VTDConfig)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    competitors: Competitors = field(default_factory=Competitors)
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(scale=(1.0, 1.0), rotation=0.0, shift=0.0)
    )
    evaluation: Evaluation = field(default_factory=Evaluation)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=20))

    @property
    def memory(self) -> int:
        return int(self.data.memory_gib * 2**30)


class TraitTask(Task):
    """Stage 1. s: sketches in -1..1; p: logits [B, K]; eq. 1-7."""

    name, monitor, mode = "traits", "reconstruction", "min"

    def __init__(self, recipe: Recipe, sketches: ImageSet, title: str = "traits") -> None:
        self.recipe, self.sketches, self.title = recipe, sketches, title
        torch.manual_seed(stream_seed(recipe.loop.seed, 1))
        self.model = TraitNetwork(recipe.traits)
        self.source: ClassBatches | None = None

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        self.source = self.source or sketch_batches(self.recipe, self.sketches, self.model)
        return self.source.epoch(epoch, rank, world, start_step)

    def make_optimizer(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, lr=self.recipe.trait_training.lr)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, torch.Tensor]:
        how = self.recipe.trait_training
        s = augment_sketches(batch, how.augmentation, self.model.preprocess)
        last = max(how.epochs - 1, 1)
        lambda_kl, lambda_row, lambda_col = (
            a + (b - a) * context.epoch / last for a, b in (how.kl, how.row, how.col)
        )
        uniform = None
        if (
            self.model.config.assignment == "hard"
        ):  # for the whole global batch, whatever the number of processes
            uniform = torch.rand(len(s) * context.world_size, self.model.config.descriptors,
                                 generator=context.shared_generator).clamp_(1e-7, 1 - 1e-7)  # fmt: skip
            uniform = uniform[context.local_slice(len(s))].to(s.device)
        out = context.model(s, uniform)  # eq. 1-3
        L_rec = reconstruction_error(out.reconstruction, s)
        if self.model.config.assignment == "hard":
            D_KL = kl_to_uniform(out.logits)  # eq. 4
            return {"loss": L_rec + lambda_kl * D_KL, "L_rec": L_rec, "D_KL": D_KL}  # eq. 7
        H_row = row_entropy(out.logits)  # eq. 5
        H_col = column_entropy(context.all_gather(out.logits))  # eq. 6
        loss = L_rec + lambda_row * H_row - lambda_col * H_col  # eq. 7
        return {"loss": loss, "L_rec": L_rec, "H_row": H_row, "H_col": H_col}

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        """Which descriptors the training sketches have; those that none has are revived, in the same checkpoint."""
        how, K = self.recipe.trait_training, self.model.config.descriptors
        own = np.arange(fabric.global_rank, len(self.sketches), fabric.world_size)
        names = self.sketches.names
        with fabric.autocast():
            found = assigned(self.model, self.sketches, self.recipe.memory, own)
            error = self.reconstruction()
        counts = TraitUsage.of(found, self.sketches.labels[own], names, K).counts
        counts = fabric.all_reduce(torch.from_numpy(counts).to(fabric.device), reduce_op="sum").cpu()
        usage = TraitUsage(counts.numpy(), tuple(names)).to_dict()
        revived = 0
        if how.revive and epoch + 1 < how.epochs:
            random = torch.Generator().manual_seed(stream_seed(self.recipe.loop.seed, 2, epoch))
            noise = torch.randn(K, self.model.config.dim, generator=random)
            revived = self.model.revive(counts.sum(dim=0), noise, how.beta)
        return {self.monitor: error, "used": usage["share_used"], "revived": float(revived),
                "per_category": usage["per_category_mean"]}  # fmt: skip

    @torch.no_grad()
    def reconstruction(self) -> float:
        """L_rec of a thousand of the sketches, or of all, as the trained network draws them."""
        rows = np.unique(
            np.linspace(0, len(self.sketches) - 1, min(1000, len(self.sketches))).astype(np.int64)
        )
        errors = [
            float(reconstruction_error(self.model(x).reconstruction, x)) * len(x)
            for x in each_batch(self.model, self.sketches, self.recipe.memory, rows)
        ]
        return sum(errors) / len(rows)


class RetrievalTask(Task):
    """Stage 2. F_s, F_p: features of sketches and photos; phi: descriptors of the sketches; w = 1 + eta; eq. 8-11."""

    name, monitor, mode = "vtd", "accuracy@1", "max"

    def __init__(
        self,
        recipe: Recipe,
        pairs: PairedSet,
        held_out: PairedSet | None,
        describer: Any = None,
        title: str = "vtd",
    ) -> None:
        self.recipe, self.pairs, self.held_out, self.title = recipe, pairs, held_out, title
        self.phi: torch.Tensor | None = None
        if (
            describer is not None
        ):  # it is frozen: descriptors of the sketches and of their mirror images, [2, N, M]
            both = (
                described(describer, pairs.sketches, recipe.memory, mirrored) for mirrored in (False, True)
            )
            self.phi = torch.stack(list(both))
        config = replace(recipe.model, descriptor_dim=0 if self.phi is None else self.phi.shape[2])
        torch.manual_seed(stream_seed(recipe.loop.seed, 2))
        self.model = VTD(config, pairs.names, Preprocess(recipe.data.size), describer)
        self.source: InstanceBatches | None = None

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        self.source = self.source or pair_batches(self.recipe, self.pairs, self.model)
        return self.source.epoch(epoch, rank, world, start_step)

    def prepare(self, device: torch.device) -> None:
        self.phi = None if self.phi is None else self.phi.to(device)

    def make_optimizer(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        return self.recipe.optimizer.make(params)

    def schedule(self, step: int, total: int) -> float:
        return self.recipe.optimizer.factor(step, total)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, torch.Tensor]:
        o, loss, model = self.recipe.optimizer, self.recipe.loss, self.model
        S, P, mirrored = augment_instances(batch, self.recipe.augmentation, model.preprocess, o.group)
        phi = noise = None
        everywhere, here = len(S) * context.world_size, context.local_slice(len(S))
        uniform = torch.rand(everywhere, generator=context.shared_generator)[here].to(S.device)
        if self.phi is not None:
            phi = self.phi[mirrored.long(), batch["row"]]
            noise = torch.randn(everywhere, model.backbone.num_features, generator=context.shared_generator)
            noise = noise[here].to(S.device)
        out = context.model(S, P, phi, noise)  # eq. 8, 10
        photos = out.photo.unflatten(0, (-1, o.group + o.distractors))
        L_tri = group_triplet_loss(
            out.sketch, photos, out.weights, loss.margin, loss.negatives, uniform
        )  # eq. 9
        if out.mu is None:
            return {"loss": L_tri}
        L_con = gaussian_kl(out.mu, out.log_variance)
        return {"loss": L_tri + loss.lambda_con * L_con, "L_tri": L_tri, "L_con": L_con}  # eq. 11

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        with fabric.autocast():
            return held_out_accuracy(self.recipe, self.held_out, self.model)


# ---- the networks of one seed ----


def each_batch(
    network: Any, images: ImageSet, memory: int, rows: np.ndarray | None = None
) -> Iterable[torch.Tensor]:
    """The images, or these rows of them, as the network's input, on its device, batch by batch."""
    rows = np.arange(len(images)) if rows is None else rows
    pixels, device = Pixels(images, network.preprocess, memory), next(network.parameters()).device
    for first in track(
        range(0, len(rows), 256), "describing sketches", transient=True, disable=len(rows) < 4096
    ):
        yield normalize(pixels.take(rows[first : first + 256]).to(device), network.preprocess)


@torch.no_grad()
def assigned(
    network: TraitNetwork, images: ImageSet, memory: int, rows: np.ndarray | None = None
) -> np.ndarray:
    """The number of each sketch's descriptor, int64 [N]."""
    return torch.cat([network.assign(x) for x in each_batch(network, images, memory, rows)]).cpu().numpy()


@torch.no_grad()
def described(describer: Any, images: ImageSet, memory: int, mirrored: bool = False) -> torch.Tensor:
    """phi of each sketch, or of its mirror image, float32 [N, M] on the CPU."""
    if isinstance(describer, WordDescriber):
        return describer.describe_names([images.names[label] for label in images.labels]).float().cpu()
    describer.eval()
    found = [describer.describe(x.flip(3) if mirrored else x) for x in each_batch(describer, images, memory)]
    return torch.cat(found).float().cpu()


def sketch_batches(recipe: Recipe, sketches: ImageSet, model: Any) -> ClassBatches:
    o = recipe.trait_training
    return ClassBatches(sketches, model.preprocess, o.batch, recipe.loop.seed, o.repeats, recipe.memory)


def pair_batches(recipe: Recipe, pairs: PairedSet, model: VTD) -> InstanceBatches:
    o, seed = recipe.optimizer, recipe.loop.seed
    return InstanceBatches(
        pairs, model.preprocess, o.batch, seed, o.repeats, o.group, o.distractors, recipe.memory
    )


def search(
    recipe: Recipe, pairs: PairedSet, model: VTD, generator: CVAERegression | None = None
) -> InstanceScores:
    """Each sketch searched in the photos of its own category; generator: of photo features, for CVAE regression."""
    at = recipe.evaluation.at
    if generator is not None:
        device, memory = next(model.parameters()).device, recipe.memory
        S, P = (encode(model, images, device, memory=memory) for images in (pairs.sketches, pairs.photos))
        return evaluate_instances(search_generated(generator, S, P, pairs), pairs, at)
    phi = None if model.describer is None else described(model.describer, pairs.sketches, recipe.memory)
    return score_model(model, pairs, phi, recipe.memory, at).scores


def held_out_accuracy(recipe: Recipe, held_out: PairedSet | None, model: VTD) -> dict[str, float]:
    if held_out is None:
        return {RetrievalTask.monitor: math.nan}
    return {RetrievalTask.monitor: float(search(recipe, held_out, model).right(1).mean())}


class Interrupted(Exception):
    """A signal ended the training of a network; everything is saved."""


class Networks:
    """The networks of one seed in the folder of its run. Each is trained when it is first asked for, or goes on from there."""

    def __init__(self, recipe: Recipe, split: InstanceSplit, again: str | None) -> None:
        self.recipe, self.split, self.again = recipe, split, again
        self.folder = Path(recipe.loop.out)
        self.curves: list[Section] = []
        self.made: dict[str, Any] = {}

    def train(self, name: str, task: Task, epochs: int, checkpoint: str = "last") -> Any:
        """Train one network in its own folder -> the network, in evaluation mode, with the weights that count."""
        recipe = self.recipe
        own = replace(recipe.loop, out=str(self.folder / name), epochs=epochs)
        result: FitResult = fit(task, own, resolved(recipe), may_change=MAY_CHANGE, resume_command=self.again)
        if result.interrupted:
            raise Interrupted
        path = result.best_path if checkpoint == "best" else result.last_path
        if path is not None:
            load_weights(path, task.model)
        title = f"Training {name}"
        self.curves += [replace(section, title=title) for section in history_sections(result.history)]
        return task.model.eval()

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def base(self) -> VTD:
        r = self.recipe
        own = replace(r, optimizer=replace(r.optimizer, lr=r.base.lr))
        task = RetrievalTask(own, self.split.train, self.split.held_out, title="base")
        return self.train("base", task, r.base.epochs)

    def traits(self, name: str) -> TraitNetwork:
        """traits-soft, traits-hard or traits-edge."""
        r, how = self.recipe, self.recipe.trait_training
        taken = None if r.traits_from is None else trait_network(r)
        if taken is not None and not how.fine_tune:
            return taken.eval()
        assignment: Literal["soft", "hard"] = "hard" if name == "traits-hard" else "soft"
        own = replace(r, traits=replace(r.traits, assignment=assignment))
        sketches = (
            EdgeMaps(self.split.train.photos) if name == "traits-edge" else trait_sketches(r, self.split)
        )
        task = TraitTask(own, sketches, name)
        if taken is not None:
            task.model.load_state_dict(taken.state_dict())
        network = self.train(name, task, how.epochs)
        # What --traits-from of another run finds
        save_model(self.folder / name / "model", network, {"task": TraitTask.name, "data": self.split.name})
        return network

    def describer(self, name: str) -> Any:
        """phi: the frozen network of this name; None for ""."""
        if name == "words":
            vectors = self.split.semantic
            assert vectors is not None
            return WordDescriber(list(vectors), torch.from_numpy(np.stack(list(vectors.values()))))
        if name == "vae-kmeans":
            return self.once(name, lambda: with_centroids(self.describer("vae"), self.recipe, self.split))
        make = {"vae": self.vae, "classifier": self.classifier}.get(name, lambda: self.traits(name))
        return self.once(name, make) if name else None

    def vae(self) -> SketchVAE:
        r, t = self.recipe, self.recipe.traits
        torch.manual_seed(stream_seed(r.loop.seed, 1))
        model = SketchVAE(SketchVAEConfig(t.dim, t.channels, t.size, t.ink_margin))
        sketches = trait_sketches(r, self.split)
        return self.train("vae", VAETask(
            model, sketch_batches(r, sketches, model), r.trait_training.augmentation, self.stage_1(), self.held_sketches(),
            kl_weight=r.competitors.vae_kl, memory=r.memory, title="vae",
        ), r.trait_training.epochs)  # fmt: skip

    def classifier(self) -> ClassifierFeatures:
        r, m, sketches = self.recipe, self.recipe.model, self.split.train.sketches
        torch.manual_seed(stream_seed(r.loop.seed, 1))
        spec = (
            m.backbone,
            m.weights,
            m.stem,
            m.stem_stride,
            m.width,
            len(sketches.names),
            r.data.size,
            r.traits.ink_margin,
        )
        model = ClassifierFeatures(ClassifierFeaturesConfig(*spec), sketches.names)
        return self.train("classifier", ClassifierTask(
            model, sketch_batches(r, sketches, model), r.trait_training.augmentation, self.stage_1(), self.held_sketches(),
            memory=r.memory, title="classifier",
        ), r.trait_training.epochs)  # fmt: skip

    def stage_1(self) -> Optimisation:
        return Optimisation(partial(torch.optim.Adam, lr=self.recipe.trait_training.lr))

    def held_sketches(self) -> ImageSet | None:
        return None if self.split.held_out is None else self.split.held_out.sketches

    def method(self, name: str) -> tuple[VTD, CVAERegression | None]:
        """The retrieval network of a row of table 1, and what generates photo features for it."""
        r, split, row = self.recipe, self.split, METHODS[name]
        start = self.once("base", self.base) if r.base.epochs else None
        pairs = split.train.joined(split.target_half(r.data.seed)) if row.on_target else split.train
        held_out = None if row.on_target else split.held_out
        plain = RetrievalTask(r, pairs, held_out, self.describer(row.describer), title=name)
        if start is not None:
            plain.model.backbone.load_state_dict(start.backbone.state_dict())
        task, epochs = self.task(row, plain)
        model = self.train(name, task, epochs, r.evaluation.checkpoint)
        return plain.model.eval(), model if isinstance(model, CVAERegression) else None

    def task(self, row: Method, plain: RetrievalTask) -> tuple[Task, int]:
        """How F is trained from where `plain` starts, and for how many epochs."""
        r, c, model, pairs = self.recipe, self.recipe.competitors, plain.model, plain.pairs
        score = partial(held_out_accuracy, r, plain.held_out)
        stage_2 = Optimisation(r.optimizer.make, r.optimizer.factor)
        triplets = Triplets(
            pair_batches(r, pairs, model), r.augmentation, r.loss.margin, r.loss.negatives
        ) if row.training in ("reptile", "crossgrad") else None  # fmt: skip
        if row.training == "reptile":  # as many steps as the others
            assert triplets is not None
            steps = r.loop.epochs * len(triplets.source.epoch(0))
            task: Task = ReptileTask(model, triplets, c.reptile, stage_2, score, seed=r.loop.seed, title="reptile")
            return task, max(1, round(steps / c.reptile.steps_per_epoch))
        if row.training == "crossgrad":
            assert triplets is not None
            domain, _ = build_backbone(r.model.backbone_spec())
            most = int(np.bincount(pairs.photos.labels).max())
            net = CrossGradNet(
                model,
                model.backbone.num_features,
                domain,
                most,
                len(pairs.names),
                c.crossgrad_epsilon,
                c.crossgrad_alpha,
            )
            task = CrossGradTask(
                net, triplets, stage_2, score, triplet_weight=c.crossgrad_triplet, title="crossgrad"
            )
            return task, r.loop.epochs
        if row.training == "cvae":
            S, P = (encode(model, images, memory=r.memory) for images in (pairs.sketches, pairs.photos))
            generator = CVAERegression(replace(c.cvae, feature_dim=model.backbone.num_features))
            adam = Optimisation(partial(torch.optim.Adam, lr=c.cvae_lr))
            batch = min(128, len(S))
            task = CVAETask(
                generator,
                S,
                P,
                pairs.photo_of,
                adam,
                seed=r.loop.seed,
                batch_size=batch,
                title="cvae-regress",
            )
            return task, c.cvae_epochs
        return plain, r.loop.epochs


def with_centroids(vae: SketchVAE, recipe: Recipe, split: InstanceSplit) -> SketchVAE:
    """The VAE whose descriptors are the nearest of K centres of the training sketches' latent means."""
    from sklearn.cluster import KMeans

    latent = described(vae, trait_sketches(recipe, split), recipe.memory).numpy()
    K = recipe.traits.descriptors
    if len(latent) < K:
        raise ValueError(f"vae-kmeans: {K} centres need as many training sketches, found {len(latent)}")
    found = KMeans(K, n_init=4, random_state=recipe.loop.seed).fit(latent)
    clustered = SketchVAE(vae.config)
    clustered.load_state_dict(vae.state_dict())
    clustered.set_centroids(torch.from_numpy(found.cluster_centers_).float())
    return clustered.eval()


def trait_network(recipe: Recipe) -> TraitNetwork:
    """The trait network of --traits-from. ValueError when the run has none, or one with another number of descriptors."""
    root, wanted = Path(str(recipe.traits_from)), recipe.traits.descriptors
    own = root / "traits-soft"
    found = load_run(own if own.is_dir() else root)
    found = found.describer if isinstance(found, VTD) else found
    if not isinstance(found, TraitNetwork):
        raise ValueError(f"--traits-from {root}: expected a trait network, found {type(found).__name__}")
    if found.config.descriptors != wanted:
        raise ValueError(
            f"--traits-from {root}: its dictionary has K = {found.config.descriptors} descriptors, this config has "
            f"--traits.descriptors {wanted}"
        )
    expected = replace(recipe.traits, assignment=found.config.assignment)
    if found.config != expected:
        raise ValueError(f"--traits-from {root}: its network is {found.config}, this config's {expected}")
    return found


def trait_sketches(recipe: Recipe, split: InstanceSplit) -> ImageSet:
    """What stage 1 sees: the training sketches, and other drawings but for those of unseen categories."""
    own = split.train.sketches
    if recipe.data.extra_drawings is None:
        return own
    files = drawing_files(recipe.data.extra_drawings)
    unseen = set(matched_names(list(files), split.unseen_names))
    drawings = DrawingSet({name: path for name, path in files.items() if name not in unseen})
    known = matched_names(drawings.names, own.names)
    names = own.names + [name for name in drawings.names if name not in known]
    place = {name: i for i, name in enumerate(names)}
    labels = np.array([place[known.get(name, name)] for name in drawings.names])[drawings.labels]
    return JoinedSet([Relabelled(own, names, own.labels), Relabelled(drawings, names, labels)])


# ---- a run ----


@dataclass
class Result:
    """One method with one seed of training."""

    seed: int
    method: str
    scores: InstanceScores
    model: VTD
    generator: CVAERegression | None

    def to_dict(self) -> dict[str, Any]:
        return {"seed": self.seed, "method": self.method, **self.scores.to_dict()}


def check(recipe: Recipe) -> None:
    """ValueError or OSError for what would otherwise come to light after hours of training, or never."""
    check_dataset(recipe.data.dataset, DATA_SETS)
    data, how, o, e = recipe.data, recipe.trait_training, recipe.optimizer, recipe.evaluation
    known = (TRAITS, *METHODS)
    if not recipe.methods or (wrong := [name for name in recipe.methods if name not in known]):
        raise ValueError(
            f"--methods: expected some of {', '.join(known)}; found {', '.join(wrong) or 'none'}"
        )
    for name, values in (("methods", recipe.methods), ("seeds", recipe.seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"--{name}: expected one or more, each once; found {values}")
    if min(recipe.seeds) < 0 or recipe.loop.seed != LoopConfig.seed:
        raise ValueError("--seeds holds the seeds of training, 0 or more: leave out --loop.seed")
    if data.dataset == "synthetic" and (data.root or data.word_vectors):
        raise ValueError(
            "--data.root and --data.word-vectors belong to a data set, but --data.dataset is synthetic; name "
            f"{', '.join(DATA_SETS[1:-1])} or {DATA_SETS[-1]}"
        )
    if data.dataset != "synthetic" and data.root is None:
        raise ValueError(f"data set {data.dataset!r} needs its folder: --data.root DIR")
    if (data.dataset == "qmul") != (data.group is not None) or data.group not in (None, *GROUPS):
        raise ValueError(
            f"--data.group: expected one of {', '.join(GROUPS)} for data set qmul, none for others; found {data.group!r} "
            f"for {data.dataset!r}"
        )
    for name in SIZES if data.dataset != "synthetic" else ():
        if getattr(data, name) is not None:
            raise ValueError(
                f"--data.{name.replace('_', '-')} is a size of the synthetic world, not of {data.dataset!r}"
            )
    if recipe.model.descriptor_dim or recipe.model.describer != "none":
        raise ValueError("--model.descriptor-dim and --model.describer follow from the method")
    if recipe.traits.assignment == "hard" and set(recipe.methods) != {TRAITS}:
        raise ValueError(
            "--traits.assignment follows from the methods hard and full; it is for --methods traits alone"
        )
    if recipe.traits.descriptors < 2:
        raise ValueError(f"--traits.descriptors: expected at least 2, found {recipe.traits.descriptors}")
    if "word-vector" in recipe.methods and data.dataset != "synthetic" and data.word_vectors is None:
        raise ValueError(
            "method word-vector needs vectors of the categories' names: --data.word-vectors FILE"
        )
    if how.fine_tune and recipe.traits_from is None:
        raise ValueError("--trait-training.fine-tune needs a trait network to start from: --traits-from RUN")
    if recipe.model.weights == "none" and recipe.base.epochs == 0 and recipe.data.dataset != "synthetic":
        print("from scratch and without --base.epochs: every method's F starts at random")
    for folder in (data.root, data.extra_drawings, recipe.traits_from):
        if folder is not None and not Path(folder).is_dir():
            raise NotADirectoryError(f"no such folder: {folder}")
    for name, value, least in (
        ("optimizer.batch", o.batch, 2), ("optimizer.group", o.group, 1), ("optimizer.distractors", o.distractors, 0),
        ("optimizer.repeats", o.repeats, 1), ("trait-training.batch", how.batch, 2),
        ("trait-training.repeats", how.repeats, 1), ("trait-training.epochs", how.epochs, 1),
        ("trait-training.beta", how.beta, 0.0), ("base.epochs", recipe.base.epochs, 0),
        ("loop.epochs", recipe.loop.epochs, 1), ("data.size", data.size, 32), ("data.memory-gib", data.memory_gib, 0.0),
        ("loss.margin", recipe.loss.margin, 0.0), ("loss.lambda-con", recipe.loss.lambda_con, 0.0),
        ("evaluation.at", min(e.at, default=0), 1),
    ):  # fmt: skip
        if not least <= value < math.inf:
            raise ValueError(f"--{name}: expected at least {least}, found {value}")
    for name, value in (
        ("optimizer.lr", o.lr), ("trait-training.lr", how.lr), ("base.lr", recipe.base.lr), ("model.width", recipe.model.width)
    ):  # fmt: skip
        if not 0 < value < math.inf:
            raise ValueError(f"--{name}: expected a number above 0, found {value}")
    if o.group + o.distractors < 2 or o.batch % o.group:
        raise ValueError(
            f"--optimizer.group: expected a divisor of --optimizer.batch {o.batch} that leaves a negative (with "
            f"--optimizer.distractors at least 2 photos); found {o.group} and {o.distractors}"
        )
    if recipe.traits_from is not None:
        trait_network(recipe)
    check_writable(recipe.loop.out)


def load_split(recipe: Recipe) -> InstanceSplit:
    data = recipe.data
    options: dict[str, Any] = {"gallery": data.gallery, "seed": data.seed}
    if data.dataset == "synthetic":
        options |= {SIZES[name]: value for name in SIZES if (value := getattr(data, name)) is not None}
    for name in ("group", "word_vectors", "held_out_share"):
        if getattr(data, name) is not None:
            options[name] = getattr(data, name)
    if data.unseen:
        options["unseen"] = data.unseen
    return load_instances(data.dataset, data.root, **options)


def resolved(recipe: Recipe) -> dict[str, Any]:
    """What a run folder keeps of a recipe; the loop keeps its own part."""
    return {name: value for name, value in dataclasses.asdict(recipe).items() if name != "loop"}


def run(name: str, recipe: Recipe, again: str | None = None) -> dict[str, Any] | None:
    """Train every method with every seed, evaluate, store, report. again: the command that resumes after an interrupt."""
    check(recipe)
    out, split = Path(recipe.loop.out), load_split(recipe)
    print(split.summary())
    found: list[Result] = []
    networks: list[Networks] = []
    for seed in recipe.seeds:
        folder = out / f"seed-{seed}" if len(recipe.seeds) > 1 else out
        own = replace(recipe, loop=replace(recipe.loop, seed=seed, out=str(folder)))
        RunFolder(folder).keep_recipe(resolved(own), MAY_CHANGE)
        here = Networks(own, split, again)
        networks.append(here)
        try:
            for method in recipe.methods:
                if method == TRAITS:
                    here.describer(f"traits-{recipe.traits.assignment}")
                    continue
                model, generator = here.method(method)
                found.append(
                    Result(seed, method, search(own, split.test, model, generator), model, generator)
                )
                print(f"seed {seed}, {method}: {found[-1].scores.summary()}")
        except Interrupted:
            return None
    if not is_main():
        return None

    main = main_method(recipe.methods)
    first = networks[0]
    model = (
        first.describer(f"traits-{recipe.traits.assignment}")
        if main == TRAITS
        else found_of(found, main)[0].model
    )
    # Before anything else that takes long or may fail.
    save_model(out / "model", model, {"task": main, "recipe": name, "data": split.name})
    at = tuple(recipe.evaluation.at)
    results = {
        "data": split.summary(),
        "chance": {} if not found else found[0].scores.to_dict()["chance"],
        "rows": [result.to_dict() for result in found],
        "means": means(found, recipe.methods, at),
        "traits": [row for here in networks for row in trait_rows(here, split)],
    }
    atomic.write_json(out / "results.json", results)
    print(f"model   {out / 'model'}")
    sections: list[Section] = [TextSection("Data", split.summary())]
    sections += [section for here in networks[:1] for section in here.curves]
    if not (out / "config.json").exists():  # else the report shows that
        sections.append(KeySection("Config", {"config": name, **dataclasses.asdict(recipe)}))
    print(f"report  {write_report(out, f'Visual traits, {name}: {split.name}', [], sections)}")
    return results


def main_method(methods: Iterable[str]) -> str:
    """Whose model is stored with the run: the full model, else the last that was not trained on test categories."""
    names = list(methods)
    honest = [name for name in names if name == TRAITS or not METHODS[name].on_target]
    return "full" if "full" in names else (honest or names)[-1]


def found_of(found: list[Result], method: str) -> list[Result]:
    return [result for result in found if result.method == method]


def means(found: list[Result], methods: Iterable[str], at: tuple[int, ...]) -> list[dict[str, Any]]:
    """For each method the mean of the seeds, and how much more often it is right than hard transfer on the same queries.

    The interval of the difference is over queries, each with the mean of the seeds."""
    rows = []
    for method in methods:
        own, base = found_of(found, method), found_of(found, BASELINE)
        row: dict[str, Any] = {"method": method, "accuracy": {}, "difference": {}}
        for k in at if own else ():
            right = np.mean([result.scores.right(k) for result in own], axis=0)
            row["accuracy"][str(k)] = float(right.mean())
            if base and method != BASELINE:
                gain = right - np.mean([result.scores.right(k) for result in base], axis=0)
                row["difference"][str(k)] = [float(gain.mean()), *bootstrap_interval(gain)]
        if own:
            rows.append(row)
    return rows


def trait_rows(networks: Networks, split: InstanceSplit) -> list[dict[str, Any]]:
    """How training and test sketches use the descriptors of each trait network of a seed."""
    r, rows = networks.recipe, []
    for name, network in networks.made.items():
        if not isinstance(network, TraitNetwork):
            continue
        for part, images in (("train", split.train.sketches), ("test", split.test.sketches)):
            usage = TraitUsage.of(
                assigned(network, images, r.memory), images.labels, images.names, r.traits.descriptors
            )
            rows.append({"seed": r.loop.seed, "network": name, "sketches of": part, **usage.to_dict()})
    return rows


def is_main() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


# ---- named configs: one for each row of tables 1, 2 and 3 ----


def paper(methods: tuple[str, ...], **changes: Any) -> Recipe:
    return Recipe(methods=methods, **changes)


def on_shoes(group: str, row: str) -> Recipe:
    """Table 2: within QMUL-Shoe-V2, 10 epochs; the traits are those learnt on Sketchy (--traits-from)."""
    method = "full" if row.startswith("ours") else row
    how = TraitTraining(epochs=10, fine_tune=True) if row == "ours-sketchy-ft" else TraitTraining()
    return Recipe(
        (method,), data=Data(dataset="qmul", group=group), trait_training=how, loop=LoopConfig(epochs=10)
    )


def small(methods: tuple[str, ...], data: Data, **changes: Any) -> Recipe:
    """From scratch at 64 pixels on a few cores: small networks, fewer descriptors, larger steps, more augmentation."""
    recipe = Recipe(
        methods=methods,
        data=replace(data, size=64),
        traits=TraitConfig(descriptors=50, dim=128, channels=(16, 32, 64, 128, 128)),
        trait_training=TraitTraining(
            epochs=30, batch=96, lr=1e-3, augmentation=SketchAugmentation(rotation=5.0, scale=(0.9, 1.1))
        ),
        base=Base(epochs=12, lr=2e-3),
        model=VTDConfig("resnet10", "none", width=0.5),
        loss=Loss(negatives="all"),
        optimizer=Optimizer("adamw", 64, group=4, lr=1e-3, weight_decay=0.05, warmup=0.05, decay="cosine"),
        augmentation=Augmentation(
            scale=(0.8, 1.25),
            rotation=10.0,
            shift=0.05,
            pair_together=False,
            colour=0.4,
            grey=0.3,
            thickness=0.3,
        ),
        loop=LoopConfig(epochs=8, precision="auto"),
    )
    return replace(recipe, **changes)


def named_configs() -> dict[str, tuple[str, Recipe]]:
    """name -> (what it is, recipe). Building a recipe builds no network."""
    synthetic = Data(
        dataset="synthetic", drawn_size=64, train_per_class=24, sketches_per_photo=2,
        queries_per_class=40, gallery_per_class=60, held_out_per_class=0,
    )  # fmt: skip
    sketchy = Data(dataset="sketchy")
    four = ("hard-transfer", "hard", "full", "upper-bound")
    scratch = tuple(METHODS)  # needs no pretrained weights: all of table 1
    configs: dict[str, tuple[str, Recipe]] = {
        "demo": (
            "the synthetic world, four methods and three seeds, minutes on two cores",
            small(four, synthetic, seeds=(0, 1, 2)),
        ),
        "methods": (
            "the synthetic world, every method of table 1 from scratch, one seed",
            small(scratch, synthetic),
        ),
        "sketchy-small": (
            "real sketches and photos from scratch: zeroshot0 of a cut-down Sketchy",
            small(four, sketchy, seeds=(0, 1, 2)),
        ),
        "traits-real": (
            "stage 1 alone on real sketches: Sketchy's seen categories and --data.extra-drawings",
            small((TRAITS,), sketchy, traits=TraitConfig()),
        ),
    }
    for method in METHODS:
        configs[f"table1-{method}"] = f"table 1: {method}", paper((method,))
    for group in GROUPS:
        for row in ("hard-transfer", "ours-sketchy", "ours-sketchy-ft", "upper-bound"):
            configs[f"table2-{group}-{row}"] = f"table 2: {group}, {row}", on_shoes(group, row)
    for K in (20, 100, 300, 1000):
        for method, said in (("hard", "hard"), ("full", "soft")):
            recipe = paper((method,), traits=TraitConfig(descriptors=K))
            configs[f"table3-{said}-{K}"] = f"table 3: {K} descriptors, {said} assignment", recipe
    return configs


def main(arguments: list[str] | None = None) -> None:
    defaults = ("demo", "table1-full")
    chosen = choose_recipe(arguments, named_configs(), SCRIPT, str(__doc__), DECISIONS, defaults=defaults)
    if chosen is None:
        return
    name, recipe, again = chosen
    if recipe.loop.out == LoopConfig().out:
        recipe.loop.out = f"runs/vtd-{name}"
    run(name, recipe, again)


if __name__ == "__main__":
    run_recipe(main, SCRIPT)
