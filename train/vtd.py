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
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from sketchfast import atomic
from sketchfast.data import ImageSet
from sketchfast.data.augmentation import Augmentation
from sketchfast.data.class_batches import ClassBatches, SketchAugmentation, augment_sketches
from sketchfast.data.drawing_set import drawing_files
from sketchfast.data.edge_maps import EdgeMaps
from sketchfast.data.extra_drawings import with_drawings
from sketchfast.data.instance_batches import InstanceBatches, augment_instances
from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.data.qmul_groups import GROUPS
from sketchfast.models.cvae_regression import CVAEConfig, CVAERegression
from sketchfast.models.sketch_vae import SketchVAEConfig
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.models.vtd import VTD, VTDConfig, WordDescriber
from sketchfast.nn.dynamic_weights import Negatives, gaussian_kl, group_triplet_loss
from sketchfast.nn.trait_assignment import column_entropy, kl_to_uniform, reconstruction_error, row_entropy
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, StepContext, Task, fit, load_weights, save_model, stream_seed
from sketchfast.training import cross_category_networks as networks_of_others
from sketchfast.training.cross_category_networks import Competitors, SketchTraining
from sketchfast.training.cross_category_tasks import Optimisation, Triplets
from sketchfast.training.instance_data import Data, check_data, load_split
from sketchfast.training.recipe_command import check_ranges, check_writable, choose_recipe, run_recipe
from sketchfast.training.report import KeySection, write_report
from sketchfast.training.reptile import ReptileConfig
from sketchfast.training.run_folder import RunFolder
from sketchfast.training.sketch_descriptors import describe_set, read_trait_network, with_centroids
from sketchfast.training.task import shared_normal, shared_uniform
from sketchfast.training.trait_results import Result, Search, TraitResults, describe_split
from sketchfast.training.trait_results import search as search_pairs
from sketchfast.training.trait_validation import drawn_again, usage_everywhere

SCRIPT = "train/vtd.py"
DECISIONS = """
Decisions (D), where the paper is silent:
  L_rec   squared error summed over the pixels of a 64 x 64 sketch with values in -1..1, mean over the batch. Sketches are
          cropped to their ink, which fills 90 % of the square, and centred.
  eq. 3   the gradient is that of softmax((p + g) / tau), as in the equation; --traits.backward softmax: of softmax(p), as in
          footnote 1. Kernels are 4x4; E(s) is 512 x 2 x 2, and Z is seen as 64 x 2 x 2 by the decoder.
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
          a plain triplet network trained on the same pairs; sizes and augmentation are not the paper's. Their lambda_con is
          1e-5: over so few steps 0.004 takes the heads of eta back to N(0, 1), whatever the descriptor. Their lambda_row
          (10 to 100) and lambda_col (50 to 500) are larger, as they have a hundredth of the steps, and Adam's lr falls as a
          cosine; a larger lambda_KL was tried (100), used no more descriptors, and was left at the paper's.
"""

MAY_CHANGE = ("data.root", "data.memory_gib", "evaluation", "methods", "seeds")  # when a run is resumed


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
    "vae": Method("sketch-vae"),
    "vae-kmeans": Method("sketch-vae-kmeans"),
    "word-vector": Method("words"),
    "classify": Method("classifier"),
    "edge": Method("traits-edge"),
    "hard": Method("traits-hard"),
    "full": Method("traits-soft"),
    "upper-bound": Method(on_target=True),
}
STAGE_1 = {"traits": "", "traits-without-revival": "-without-revival"}  # stage 1 alone -> end of its folder
BASELINE = "hard-transfer"  # what the others are compared with


@dataclass
class TraitTraining:
    """Stage 1, and the networks that stand in its place (VAE, classifier)."""

    epochs: int = 200
    batch: int = 128  # sketches, over all processes
    repeats: int = 1  # passes over the sketches that make an epoch
    lr: float = 2e-4
    decay: Literal["none", "cosine"] = "none"  # of the trait network's lr
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
class Evaluation:
    checkpoint: Literal["best", "last"] = "last"
    """Of stage 2's epochs, by Acc@1 on held-out pairs of seen categories."""
    at: tuple[int, ...] = (1, 5, 10)


@dataclass
class Recipe:
    methods: tuple[str, ...] = ("full",)
    """Rows of table 1, in the order of the tables: hard-transfer, cvae-regress, reptile, crossgrad, vae, vae-kmeans,
    word-vector, classify, edge, hard, full, upper-bound; or stage 1 alone: traits, traits-without-revival."""
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
        self.shown: ImageSet | None = None

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        o, seed = self.recipe.trait_training, self.recipe.loop.seed
        own = self.model.preprocess, o.batch, seed, o.repeats, self.recipe.memory
        self.source = self.source or ClassBatches(self.sketches, *own)
        return self.source.epoch(epoch, rank, world, start_step)

    def make_optimizer(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, lr=self.recipe.trait_training.lr)

    def schedule(self, step: int, total: int) -> float:
        constant = self.recipe.trait_training.decay == "none"
        return 1.0 if constant else (1 + math.cos(math.pi * step / total)) / 2

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, torch.Tensor]:
        how, config = self.recipe.trait_training, self.model.config
        s = augment_sketches(batch, how.augmentation, self.model.preprocess)
        share = context.epoch / max(how.epochs - 1, 1)
        lambda_kl, lambda_row, lambda_col = (a + (b - a) * share for a, b in (how.kl, how.row, how.col))
        uniform = None
        if config.assignment == "hard":
            uniform = shared_uniform(context, len(s), config.descriptors)
        out = context.model(s, uniform)  # eq. 1-3
        L_rec = reconstruction_error(out.reconstruction, s)
        if config.assignment == "hard":
            D_KL = kl_to_uniform(out.logits)  # eq. 4
            return {"loss": L_rec + lambda_kl * D_KL, "L_rec": L_rec, "D_KL": D_KL}  # eq. 7
        H_row = row_entropy(out.logits)  # eq. 5
        H_col = column_entropy(context.all_gather(out.logits))  # eq. 6
        loss = L_rec + lambda_row * H_row - lambda_col * H_col  # eq. 7
        return {"loss": loss, "L_rec": L_rec, "H_row": H_row, "H_col": H_col}

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        """Which descriptors the training sketches have; those that none has are revived, in the same checkpoint."""
        how = self.recipe.trait_training
        shown = np.linspace(0, len(self.sketches) - 1, min(1000, len(self.sketches)))
        self.shown = self.shown or self.sketches.subset(np.unique(shown.astype(np.int64)))
        with fabric.autocast():
            usage = usage_everywhere(self.model, self.sketches, fabric, self.recipe.memory)
            error, revived = drawn_again(self.model, self.shown, self.recipe.memory), 0
        if how.revive and epoch + 1 < how.epochs:  # a copy made after the last epoch would never compete
            random = torch.Generator().manual_seed(stream_seed(self.recipe.loop.seed, 2, epoch))
            noise = torch.randn(self.model.dictionary.shape, generator=random)
            revived = self.model.revive(torch.from_numpy(usage.counts.sum(axis=0)), noise, how.beta)
        return {
            self.monitor: error,
            "used": usage.share_used,
            "revived": float(revived),
            "per_category": float(usage.per_category.mean()),
        }


class RetrievalTask(Task):
    """Stage 2. F_s, F_p: features of sketches and photos; phi: descriptors of the sketches; w = 1 + eta; eq. 8-11."""

    name, monitor, mode = "vtd", "accuracy@1", "max"

    def __init__(
        self, recipe: Recipe, pairs: PairedSet, held_out: PairedSet | None, describer: Any = None, title: str = "vtd"
    ) -> None:  # fmt: skip
        self.recipe, self.pairs, self.held_out, self.title = recipe, pairs, held_out, title
        self.phi: torch.Tensor | None = None
        if describer is not None:  # it is frozen
            own = [describe_set(describer, pairs.sketches, flip, recipe.memory) for flip in (False, True)]
            self.phi = torch.stack(own)  # of the sketches and of their mirror images, [2, N, M]
        config = replace(recipe.model, descriptor_dim=0 if self.phi is None else self.phi.shape[2])
        torch.manual_seed(stream_seed(recipe.loop.seed, 2))
        self.model = VTD(config, pairs.names, Preprocess(recipe.data.size), describer)
        self.source: InstanceBatches | None = None

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        if self.source is None:
            self.source = pair_batches(self.recipe, self.pairs, self.model)
            for note in self.source.notes:
                print(f"{self.title}: {note}")
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
        uniform, phi, noise = shared_uniform(context, len(S)), None, None
        if self.phi is not None:
            phi = self.phi[mirrored.long(), batch["row"]]
            noise = shared_normal(context, len(S), model.backbone.num_features)
        out = context.model(S, P, phi, noise)  # eq. 8, 10
        photos = out.photo.unflatten(0, (-1, o.group + o.distractors))
        # eq. 9
        L_tri = group_triplet_loss(out.sketch, photos, out.weights, loss.margin, loss.negatives, uniform)
        if out.mu is None:
            return {"loss": L_tri}
        L_con = gaussian_kl(out.mu, out.log_variance)
        return {"loss": L_tri + loss.lambda_con * L_con, "L_tri": L_tri, "L_con": L_con}  # eq. 11

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        with fabric.autocast():
            return held_out_accuracy(self.recipe, self.held_out, self.model)


# ---- the networks of one seed ----


@dataclass
class Sources:
    """What networks are trained on, the same for all seeds, so that it is decoded once."""

    recipe: Recipe
    split: InstanceSplit

    @cached_property
    def sketches(self) -> ImageSet:
        """Of stage 1: the training sketches, and other drawings but for those of unseen categories."""
        own, folder = self.split.train.sketches, self.recipe.data.extra_drawings
        if folder is None:
            return own
        return with_drawings(own, folder, self.split.unseen_names, canvas=self.recipe.traits.size)

    @cached_property
    def edges(self) -> ImageSet:
        """Of stage 1 in Ours-Full/Edge."""
        return EdgeMaps(self.split.train.photos)

    @cached_property
    def with_target(self) -> PairedSet:
        """Of the upper bound."""
        return self.split.train.joined(self.split.target_half(self.recipe.data.seed))


def pair_batches(recipe: Recipe, pairs: PairedSet, model: VTD) -> InstanceBatches:
    o, seed = recipe.optimizer, recipe.loop.seed
    return InstanceBatches(
        pairs, model.preprocess, o.batch, seed, o.repeats, o.group, o.distractors, recipe.memory
    )


def search(recipe: Recipe, pairs: PairedSet, model: VTD, generator: CVAERegression | None = None) -> Search:
    """generator: of photo features, for CVAE regression."""
    return search_pairs(model, pairs, recipe.evaluation.at, recipe.memory, generator)


def held_out_accuracy(recipe: Recipe, held_out: PairedSet | None, model: VTD) -> dict[str, float]:
    right = math.nan if held_out is None else float(search(recipe, held_out, model).scores.right(1).mean())
    return {RetrievalTask.monitor: right}


class Interrupted(Exception):
    """A signal ended the training of a network; everything is saved."""


class Networks:
    """The networks of one seed, in the folder of its run: each is trained, or goes on, when it is first asked for."""

    def __init__(self, recipe: Recipe, sources: Sources, again: str | None) -> None:
        self.recipe, self.sources, self.split, self.again = recipe, sources, sources.split, again
        self.folder = Path(recipe.loop.out)
        self.made: dict[str, Any] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def train(self, name: str, task: Task, epochs: int, checkpoint: str = "last") -> Any:
        """Train one network in its own folder -> the network in evaluation mode, with the weights that count."""
        own = replace(self.recipe.loop, out=str(self.folder / name), epochs=epochs)
        result = fit(task, own, resolved(self.recipe), may_change=MAY_CHANGE, resume_command=self.again)
        if result.interrupted:
            raise Interrupted
        if path := result.best_path if checkpoint == "best" else result.last_path:
            load_weights(path, task.model)
        self.histories[name] = result.history
        return task.model.eval()

    def traits(self, name: str) -> TraitNetwork:
        """name: traits-soft, traits-hard or traits-edge, with "-without-revival" behind it where nothing is revived."""
        r, (_, kind, *without) = self.recipe, name.split("-", 2)
        how = replace(r.trait_training, revive=r.trait_training.revive and not without)
        config = replace(r.traits, assignment="hard" if kind == "hard" else "soft")
        taken = None if r.traits_from is None else read_trait_network(r.traits_from, config, name)
        if taken is not None and not how.fine_tune:
            return taken
        sketches = self.sources.edges if kind == "edge" else self.sources.sketches
        task = TraitTask(replace(r, traits=config, trait_training=how), sketches, name)
        if taken is not None:
            task.model.load_state_dict(taken.state_dict())
        network = self.train(name, task, how.epochs)
        # For --traits-from of another run
        save_model(self.folder / name / "model", network, {"task": task.name, "data": self.split.name})
        return network

    def describer(self, name: str) -> Any:
        """phi: the frozen network of this name; None for ""."""
        r, vectors = self.recipe, self.split.semantic
        if name == "words":
            assert vectors is not None
            return WordDescriber(list(vectors), torch.from_numpy(np.stack(list(vectors.values()))))
        if name == "sketch-vae-kmeans":
            K, seed = r.traits.descriptors, r.loop.seed
            vae = self.describer("sketch-vae")
            return self.once(name, lambda: with_centroids(vae, self.sources.sketches, K, seed, r.memory))
        make = self.other_describer if name in ("sketch-vae", "classifier") else self.traits
        return self.once(name, partial(make, name)) if name else None

    def other_describer(self, name: str) -> Any:
        """The VAE or the classifier, trained as the trait network in whose place it stands."""
        r, how, t, held_out = self.recipe, self.recipe.trait_training, self.recipe.traits, self.split.held_out
        sketches = self.sources.sketches if name == "sketch-vae" else self.split.train.sketches
        own = how.batch, how.repeats, how.lr, how.augmentation, r.loop.seed, r.memory
        training = SketchTraining(sketches, None if held_out is None else held_out.sketches, *own)
        if name == "sketch-vae":
            config = SketchVAEConfig(t.dim, t.channels, t.size, t.ink_margin)
            task: Task = networks_of_others.sketch_vae(config, training, r.competitors.vae_kl, name)
        else:
            net = r.model.backbone_spec()
            task = networks_of_others.sketch_classifier(net, r.data.size, t.ink_margin, training, name)
        return self.train(name, task, how.epochs)

    def base(self) -> VTD:
        r = self.recipe
        own = replace(r, optimizer=replace(r.optimizer, lr=r.base.lr))
        task = RetrievalTask(own, self.split.train, self.split.held_out, title="base")
        return self.train("base", task, r.base.epochs)

    def method(self, name: str) -> tuple[VTD, CVAERegression | None]:
        """The retrieval network of a row of table 1, and what generates photo features for it."""
        r, row = self.recipe, METHODS[name]
        start = self.once("base", self.base) if r.base.epochs else None
        pairs, held_out = self.split.train, self.split.held_out
        if row.on_target:
            pairs, held_out = self.sources.with_target, None
        plain = RetrievalTask(r, pairs, held_out, self.describer(row.describer), title=name)
        if start is not None:
            plain.model.backbone.load_state_dict(start.backbone.state_dict())
        task, epochs = self.task(row, plain)
        trained = self.train(name, task, epochs, r.evaluation.checkpoint)
        return plain.model.eval(), trained if isinstance(trained, CVAERegression) else None

    def task(self, row: Method, plain: RetrievalTask) -> tuple[Task, int]:
        """How F is trained from where `plain` starts, and for how many epochs."""
        r, c, model, pairs = self.recipe, self.recipe.competitors, plain.model, plain.pairs
        own: dict[str, Any] = {"seed": r.loop.seed, "title": plain.title}
        if row.training == "triplet":
            return plain, r.loop.epochs
        if row.training == "cvae":
            where = {"accelerator": r.loop.accelerator, "memory": r.memory}
            return networks_of_others.cvae_regression(model, pairs, c, **where, **own), c.cvae_epochs
        triplets = Triplets(pair_batches(r, pairs, model), r.augmentation, r.loss.margin, r.loss.negatives)
        score = partial(held_out_accuracy, r, plain.held_out)
        how = c, Optimisation(r.optimizer.make, r.optimizer.factor), score
        if row.training == "reptile":
            return networks_of_others.reptile(model, triplets, *how, epochs=r.loop.epochs, **own)
        net = r.model.backbone_spec()
        crossgrad = networks_of_others.crossgrad(model, triplets, *how, backbone=net, title=plain.title)
        return crossgrad, r.loop.epochs


# ---- a run ----


def check(recipe: Recipe) -> None:
    """ValueError or OSError for what would otherwise come to light after hours of training, or never."""
    data, model, how, o = recipe.data, recipe.model, recipe.trait_training, recipe.optimizer
    known = (*METHODS, *STAGE_1)
    if unknown := [name for name in recipe.methods if name not in known]:
        raise ValueError(f"--methods: expected some of {', '.join(known)}; found {', '.join(unknown)}")
    for name, values in (("methods", recipe.methods), ("seeds", recipe.seeds)):
        if not values or len(set(values)) < len(values):
            raise ValueError(f"--{name}: expected one or more, each once; found {values}")
    if min(recipe.seeds) < 0 or recipe.loop.seed != LoopConfig.seed:
        found = f"--seeds {recipe.seeds}, --loop.seed {recipe.loop.seed}"
        raise ValueError(
            f"--seeds are those of training, 0 or more, and --loop.seed is set from them; found {found}"
        )
    check_data(data)
    if model.descriptor_dim or model.describer != "none" or model.describer_config:
        raise ValueError("--model.descriptor-dim, .describer and .describer-config follow from the method")
    if recipe.traits.assignment == "hard" and not set(recipe.methods) <= set(STAGE_1):
        raise ValueError(
            "--traits.assignment follows from the methods hard and full; it is for stage 1 alone"
        )
    if "word-vector" in recipe.methods and data.dataset != "synthetic" and data.word_vectors is None:
        raise ValueError(
            "method word-vector needs vectors of the categories' names: --data.word-vectors FILE"
        )
    if how.fine_tune and recipe.traits_from is None:
        raise ValueError("--trait-training.fine-tune needs a trait network to start from: --traits-from RUN")
    if data.dataset == "qmul" and "full" in recipe.methods and recipe.traits_from is None:
        raise ValueError(
            "table 2 takes its traits from Sketchy, shoes being too few to learn them: --traits-from RUN, a run of train/vtd.py"
        )
    folders = {
        "data.root": data.root,
        "data.extra-drawings": data.extra_drawings,
        "traits-from": recipe.traits_from,
    }
    for flag, folder in folders.items():
        if folder is not None and not Path(folder).is_dir():
            raise NotADirectoryError(f"--{flag}: expected a folder, found {folder}, which is none")
    if data.extra_drawings is not None:
        drawing_files(data.extra_drawings)
    least = {
        "traits.descriptors": 2, "trait_training.epochs": 1, "trait_training.batch": 2, "trait_training.repeats": 1,
        "trait_training.beta": 0.0, "base.epochs": 0, "loop.epochs": 1, "optimizer.batch": 2, "optimizer.group": 1,
        "optimizer.distractors": 0, "optimizer.repeats": 1, "loss.margin": 0.0, "loss.lambda_con": 0.0, "data.size": 32,
        "data.memory_gib": 0.0, "evaluation.at": 1, "trait_training.kl": 0.0, "trait_training.row": 0.0,
        "trait_training.col": 0.0, "optimizer.weight_decay": 0.0, "optimizer.warmup": 0.0, "competitors.cvae_epochs": 1,
        "competitors.vae_kl": 0.0, "competitors.crossgrad_epsilon": 0.0, "competitors.crossgrad_triplet": 0.0,
    }  # fmt: skip
    check_ranges(recipe, least, above_0=("optimizer.lr", "trait_training.lr", "base.lr", "model.width"))
    with torch.device("meta"):  # its own checks, before anything is trained
        TraitNetwork(recipe.traits)
    if o.batch % o.group or o.group + o.distractors < 2:
        raise ValueError(
            f"--optimizer.group and .distractors: expected at least 2 photos in a group, and a batch of whole groups; "
            f"found {o.group} and {o.distractors} with --optimizer.batch {o.batch}"
        )
    if recipe.traits_from is not None:
        for network in dict.fromkeys(map(partial(stage_1_of, recipe), recipe.methods)):
            read_trait_network(recipe.traits_from, recipe.traits, network)
    out = Path(recipe.loop.out)
    if not recipe.loop.out.strip():
        raise ValueError("--loop.out: expected a folder, found an empty name")
    alone, several = out / "recipe.json", sorted(out.glob("seed-*/recipe.json"))
    if several if len(recipe.seeds) == 1 else alone.exists():
        there = "several seeds" if several else "one seed"
        raise ValueError(
            f"{out} holds a run of {there}, found --seeds {recipe.seeds}: choose another folder (--loop.out)"
        )
    check_writable(recipe.loop.out)


def stage_1_of(recipe: Recipe, method: str) -> str | None:
    """The trait network of a method, or that of stage 1 alone; None for a method without one."""
    if method in STAGE_1:
        return f"traits-{recipe.traits.assignment}{STAGE_1[method]}"
    name = METHODS[method].describer
    return name if name.startswith("traits-") else None


def resolved(recipe: Recipe) -> dict[str, Any]:
    """What a run folder keeps of a recipe; the loop keeps its own part."""
    return {name: value for name, value in dataclasses.asdict(recipe).items() if name != "loop"}


def run(name: str, recipe: Recipe, again: str | None = None) -> dict[str, Any] | None:
    """Train every method with every seed, evaluate, store, report. again: the command that resumes after an interrupt."""
    check(recipe)
    out, split = Path(recipe.loop.out), load_split(recipe.data)
    print(split.summary())
    sources, found, all_networks = Sources(recipe, split), [], []
    for seed in recipe.seeds:
        folder = out / f"seed-{seed}" if len(recipe.seeds) > 1 else out
        own = replace(recipe, loop=replace(recipe.loop, seed=seed, out=str(folder)))
        RunFolder(folder).keep_recipe(resolved(own), MAY_CHANGE)
        networks = Networks(own, sources, again)
        all_networks.append(networks)
        try:
            for method in recipe.methods:
                if method in STAGE_1:
                    networks.describer(str(stage_1_of(recipe, method)))
                    continue
                model, generator = networks.method(method)
                found.append(Result(seed, method, model, search(own, split.test, model, generator)))
                print(f"seed {seed}, {method}: {found[-1].found.scores.summary()}")
        except Interrupted:
            return None
    if not is_main():
        return None

    chosen, first = main_method(recipe.methods), all_networks[0]
    models = [r.model for r in found if r.seed == recipe.seeds[0] and r.method == chosen]
    stored = models[0] if models else next(iter(first.made.values()))
    # Before anything else that takes long or may fail. What CVAE regression searches with is more than its features.
    if keeps := chosen != "cvae-regress":
        save_model(out / "model", stored, {"task": chosen, "recipe": name, "data": split.name})
    each = ((own.recipe.loop.seed, own.made) for own in all_networks)
    described = [d for seed, made in each for d in describe_split(seed, made, split, recipe.memory)]
    summary = TraitResults(split, recipe.seeds, chosen, BASELINE, found, described)
    results = summary.to_dict()
    atomic.write_json(out / "results.json", results)
    print(summary)
    config = KeySection("Config", {"config": name, **dataclasses.asdict(recipe)})
    sections = [*summary.sections(first.histories), config]
    print(
        f"model   {out / 'model' if keeps else 'none that can be indexed: cvae-regress generates features'}"
    )
    print(f"report  {write_report(out, f'Visual traits, {name}: {split.name}', [], sections)}")
    return results


def main_method(methods: Iterable[str]) -> str:
    """Whose network is kept as the run's model: full, else the last that was not trained on test categories."""
    names = list(methods)
    fair = [name for name in names if name in METHODS and not METHODS[name].on_target]
    return "full" if "full" in names else (fair or names)[-1]


def is_main() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


# ---- named configs: one for each row of tables 1, 2 and 3 ----


def on_shoes(group: str, row: str) -> Recipe:
    """Table 2: within QMUL-Shoe-V2, 10 epochs; the traits are those learnt on Sketchy (--traits-from)."""
    method = "full" if row.startswith("ours") else row
    how = TraitTraining(epochs=10, fine_tune=True) if row == "ours-sketchy-ft" else TraitTraining()
    data = Data(dataset="qmul", group=group)
    return Recipe((method,), data=data, trait_training=how, loop=LoopConfig(epochs=10))


SMALL_CHANNELS = (16, 32, 64, 128, 128)  # of the trait network: a quarter of the paper's


def small(methods: tuple[str, ...], data: Data, **changes: Any) -> Recipe:
    """From scratch at 64 pixels on a few cores: small networks, fewer descriptors, larger steps, more augmentation."""
    recipe = Recipe(
        methods=methods,
        data=replace(data, size=64),
        traits=TraitConfig(descriptors=50, dim=128, channels=SMALL_CHANNELS),
        trait_training=TraitTraining(
            epochs=10, batch=96, lr=1e-3, decay="cosine", row=(10.0, 100.0), col=(50.0, 500.0),
            augmentation=SketchAugmentation(rotation=5.0, scale=(0.9, 1.1)),
        ),
        base=Base(epochs=6, lr=2e-3),
        model=VTDConfig("resnet10", "none", width=0.5),
        loss=Loss(margin=0.3, lambda_con=1e-5, negatives="all"),
        competitors=Competitors(ReptileConfig(inner_steps=10), cvae=CVAEConfig(latent=64, hidden=256, samples=50)),
        optimizer=Optimizer("adamw", 64, group=4, lr=1e-3, weight_decay=0.05, warmup=0.05, decay="cosine"),
        augmentation=Augmentation(
            scale=(0.8, 1.25), rotation=10.0, shift=0.05, pair_together=False, colour=0.4, grey=0.3, thickness=0.3
        ),
        loop=LoopConfig(epochs=3, precision="auto"),
    )  # fmt: skip
    return replace(recipe, **changes)


def named_configs() -> dict[str, tuple[str, Recipe]]:
    """name -> (what it is, recipe). Building a recipe builds no network."""
    synthetic = Data(
        dataset="synthetic", drawn_size=64, train_per_class=24, sketches_per_photo=2,
        queries_per_class=40, gallery_per_class=60, held_out_per_class=0,
    )  # fmt: skip
    four = ("hard-transfer", "hard", "full", "upper-bound")
    # For all of it to take minutes
    tiny = {"traits": TraitConfig(descriptors=50, dim=128, channels=tuple(c // 2 for c in SMALL_CHANNELS))}
    scratch = tuple(METHODS)  # needs no pretrained weights: all of table 1
    real = small(four, Data(dataset="sketchy"), seeds=(0, 1, 2), base=Base(epochs=16, lr=2e-3))
    real = replace(
        real, loop=replace(real.loop, epochs=5), trait_training=replace(real.trait_training, epochs=12)
    )
    # Many test categories of the cut-down Sketchy have two drawn photos in the upper bound's half.
    real = replace(real, optimizer=replace(real.optimizer, batch=48, group=2, distractors=1))
    stage_1 = replace(real.trait_training, epochs=14, batch=128)
    configs: dict[str, tuple[str, Recipe]] = {
        "demo": ("the synthetic world, four methods and three seeds, minutes on two cores",
                 small(four, synthetic, seeds=(0, 1, 2), **tiny)),
        "methods": ("the synthetic world, every method of table 1 from scratch, one seed", small(scratch, synthetic, **tiny)),
        "sketchy-small": ("real sketches and photos from scratch: zeroshot0 of a cut-down Sketchy", real),
        "traits-real": ("stage 1 alone on real sketches: Sketchy's seen categories and --data.extra-drawings",
                        small(tuple(STAGE_1), Data(), traits=TraitConfig(channels=SMALL_CHANNELS), trait_training=stage_1)),
    }  # fmt: skip
    for method in METHODS:
        configs[f"table1-{method}"] = f"table 1: {method}", Recipe((method,))
    for group in GROUPS:
        for row in ("hard-transfer", "ours-sketchy", "ours-sketchy-ft", "upper-bound"):
            configs[f"table2-{group}-{row}"] = f"table 2: {group}, {row}", on_shoes(group, row)
    for K in (20, 100, 300, 1000):
        for method, said in (("hard", "hard"), ("full", "soft")):
            recipe = Recipe((method,), traits=TraitConfig(descriptors=K))
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
