"""More photos: fine-grained retrieval that learns from photos nobody drew (Bhunia et al., CVPR 2021).

A generator G draws a photo p as a sequence of strokes s_c, phi(s_c) being its picture; a retrieval network F finds the photo
of a sketch. Both are first trained on the labelled pairs D_L alone. In joint training (algorithm 1) G draws the unlabelled
photos D_U for F to learn from: such a pair counts as much as the discriminator D_C takes it for a real one (eq. 7), a frozen
copy F^T of F teaches tolerance (eq. 6), and F and D_C reward G for drawings that fit their photos (eq. 8, 9).

    python train/more_photos.py                             the synthetic world, three seeds, minutes on two cores
    python train/more_photos.py table2-full --data.root DIR --data.unlabelled PHOTOS
                                                            the paper's main result, on Chair-V2 or Shoe-V2
    python train/more_photos.py strokes-real --data.root DIR
                                                            the decoder alone, on real strokes of four categories
    python train/more_photos.py --list                      every named config: tables 1-3, figure 4
    python train/more_photos.py NAME --help                 the settings of one, and the decisions below

--methods takes several rows of tables 2 and 3 at once, --generators rows of table 1; networks that they have in common are
trained once. Each network has a folder of its own, OUT/[seed-N/]{retrieval,generator,classifier,...,<method>}; --loop.resume
goes on wherever a run was interrupted. The equations are in sketchfast/nn/semi_supervised.py (4-8) and reinforce.py (9),
sketch_mixture.py and photo_attention.py (1-3); algorithm 1 in sketchfast/training/joint_task.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from sketchfast import atomic
from sketchfast.canvas import MARGIN
from sketchfast.data.augmentation import Augmentation
from sketchfast.data.instances import PairedSet
from sketchfast.data.photo_batches import JointBatches
from sketchfast.data.pixels import Pixels
from sketchfast.data.semi_supervised import SemiSupervisedSplit
from sketchfast.data.stroke_categories import load_stroke_category
from sketchfast.models.fine_grained import FineGrainedConfig, FineGrainedNet
from sketchfast.models.l2s import L2SConfig
from sketchfast.models.patch_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sketchfast.models.photo_to_sketch import PhotoToSketch, PhotoToSketchConfig
from sketchfast.models.pix2pix import Pix2PixConfig
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, Task, fit, load_weights, save_model, stream_seed
from sketchfast.training import more_photos_networks as networks_of
from sketchfast.training.drawing_evaluation import Measures, Pen, by_one_pen, pairs_by_one_pen, shown_decoder
from sketchfast.training.joint_task import JointNetworks, JointSettings, JointTask
from sketchfast.training.more_photos_networks import Common, Competitors, Labelled, Training, score_on
from sketchfast.training.more_photos_results import (
    Components,
    Likelihood,
    MorePhotosResults,
    Timed,
)
from sketchfast.training.recipe_command import check_ranges, check_writable, choose_recipe, run_recipe
from sketchfast.training.report import KeySection, write_report
from sketchfast.training.retrieval_tasks import edge_map_pairs
from sketchfast.training.run_folder import RunFolder
from sketchfast.training.semi_supervised_data import Data, check_data, load_classes, load_split

Histories = dict[str, list[dict[str, Any]]]
SCRIPT = "train/more_photos.py"
DECISIONS = """
Decisions (D), where the paper is silent:
  phi     every sketch, drawn by a person or by G, is fitted into a square (its longer side fills 14/16), reduced to at most
          --generator.max-points points (Ramer-Douglas-Peucker; with --data.epsilon all are first simplified by that tolerance,
          in sides of the square), and drawn at the networks' size with one pen by the rasterize op: D_C must not tell people
          from G by their pens. Offsets are divided by one standard deviation, of all training offsets.
  G       VGG-16 without batch normalisation. The end of a sequence counts in eq. 3 for the pen alone; L_kl is the mean over
          the dimensions of z. A drawing that has not ended after max_points points is cut there.
  F       features of length 1 (--retrieval.no-unit-features: as they are); eq. 4 has distances, not their squares, and the
          negative is another photo of the batch (--loss.negatives). One branch for sketches and photos. In the small configs
          the attention of F is multiplied by the size of its map (--retrieval.scaled-attention): it would hardly count from
          scratch.
  D_C     pix2pix's discriminator of patches with instance normalisation; its certainty is the mean of the patches' sigmoids.
          Each method has its own, trained where something asks it: omega, or the reward of eq. 8. No gradient goes through
          omega, F^T or the rewards (but of pix2pix).
  eq. 7   as many unlabelled photos as labelled pairs in a batch ("on same ratio"); each term is the mean over its pairs.
  eq. 9   one reward for a whole drawing, less a moving average of earlier rewards (--joint.no-baseline: none; the paper names
          none), of labelled and unlabelled photos alike. lambda_G multiplies the mean over drawings. The policy's gradient
          reaches W_y and b_y alone, that of eq. 3 all of G, in the same step: L_vae of the batch's labelled pairs, with omega_kl
          as in pre-training. F, D_C and G as it draws are then in evaluation mode (no statistics of the batch).
  views   pre-training varies the colours of the photos that G sees, and mirrors them with their sequences. In joint training
          G draws a photo as it is or mirrored, a whole batch alike. In steps of F and D_C they see photo and drawing varied as
          labelled pairs are, F^T what F sees; in rewards they see both as they are.
  joint   the paper does not say how long; it starts from F and G as pre-trained, with Adam anew. What counts are the last
          weights (--evaluation.checkpoint best: the best on held-out pairs, where there are any).
  table 2 supervised: F as pre-trained. supervised-longer, ours: trained on for as many steps of F as joint training has,
          without unlabelled photos; what is gained over it is not gained by time. vanilla-ssl: neither weighting nor teacher,
          G as pre-trained. Methods that do not train G leave its steps out: F has as many as in the others, and the learning
          rate falls over as many. pix2pix: gradients of F and D_C reach G through its picture, without a policy; l2s: with
          ours. Edge maps are Canny's. SN-RL and Edge2Sketch-Pretrain, other papers' methods, are not here.
  table 3 no-joint: G stays as pre-trained. no-attention: G is Pix2Seq, which sees z at every step. none: the last row. Beside
          it from the text: absolute-teacher; attention-1d (1x1 convolution); reward-retrieval and reward-certainty, one term
          of eq. 8 each.
  table 1 one drawing of each test photo at --evaluation.temperature. Retrieval: by F as pre-trained, among all test photos.
          Recognition and FID: by a classifier of our own, trained on TU-Berlin (--data.tu-berlin DIR; without it neither is
          given) or, in the synthetic world, on its categories; so the FID is comparable within a table only.
  test    a sketch is searched in all test photos; photos exactly as near as the own one count against the model.
  small   the small configs train from scratch, with AdamW, larger steps and more augmentation; sizes are not the paper's. The
          encoder of G starts as F's backbone, learnt from the same labelled pairs, in ImageNet's place
          (--generator-starts-from-retrieval); --generator.freeze-encoder leaves it as it is from there on. Their lambda_G is
          0.02, since eq. 9 sums over points what eq. 3 averages, omega_kl 0.1, and G draws at temperature 0.3, at which a G that
          has seen 300 sketches draws best.
"""

# When a run is resumed.
MAY_CHANGE = (
    *("data.root", "data.unlabelled", "data.tu_berlin", "data.memory_gib", "evaluation"),
    *("methods", "generators", "decoders", "seeds"),
)


class Method(NamedTuple):
    """A row of tables 2 and 3: where F starts, and what it then learns from."""

    drawn_by: str = ""  # the generator of drawings of unlabelled photos; none: from labelled pairs alone
    weighting: bool = True  # omega in eq. 7
    teacher: Literal["relative", "absolute", "none"] = "relative"  # eq. 6
    joint: bool = True  # whether the generator goes on learning, too
    rewards: tuple[int, int] = (1, 1)  # which terms eq. 8 has
    start: str = "retrieval"
    longer: bool = False  # trained on, on labelled pairs alone

    @property
    def components(self) -> Components:
        """Table 3."""
        return Components(self.weighting, self.teacher != "none", self.drawn_by == OURS, self.joint)


OURS = "generator"
METHODS = {
    "sn-triplet": Method(start="retrieval-sketch-a-net"),
    "edgemap-pretrain": Method(start="retrieval-edgemap"),
    "jigsaw-pretrain": Method(start="retrieval-jigsaw"),
    "supervised": Method(),
    "supervised-longer": Method(longer=True),
    "vanilla-ssl": Method(OURS, weighting=False, teacher="none", joint=False),
    "pix2pix": Method("generator-pix2pix"),
    "l2s": Method("generator-l2s"),
    "full": Method(OURS),
    "no-weighting": Method(OURS, weighting=False),
    "no-teacher": Method(OURS, teacher="none"),
    "absolute-teacher": Method(OURS, teacher="absolute"),
    "no-attention": Method("generator-none"),
    "attention-1d": Method("generator-1d"),
    "no-joint": Method(OURS, joint=False),
    "none": Method("generator-none", weighting=False, teacher="none", joint=False),
    "reward-retrieval": Method(OURS, rewards=(1, 0)),
    "reward-certainty": Method(OURS, rewards=(0, 1)),
}
# Rows of table 1 that no method trains -> the network. Ours-G-Full is the generator of the method `full`.
GENERATORS = {
    "pix2pix": "generator-pix2pix",
    "photosketch": "generator-photosketch",
    "pix2seq": "generator-none",
    "l2s": "generator-l2s",
    "ours-g": OURS,
}
TABLE_2 = ("sn-triplet", "edgemap-pretrain", "jigsaw-pretrain", "supervised", "supervised-longer", "vanilla-ssl", "pix2pix",
           "l2s", "full")  # fmt: skip
ABLATIONS = ("full", "no-weighting", "no-teacher", "no-attention", "no-joint", "none")  # table 3
BASELINE = "supervised"  # what the others are compared with


@dataclass
class Loss:
    margin: float = 0.3  # mu, eq. 4
    negatives: Literal["random", "hard", "all"] = "random"  # photos of the batch that stand for n
    kl: float = 1.0  # omega_kl, eq. 3


@dataclass
class Evaluation:
    at: tuple[int, ...] = (1, 5, 10)
    temperature: float = 1.0  # at which test photos are drawn; 0: greedily
    checkpoint: Literal["best", "last"] = "last"
    """Of F: by Acc@1 on held-out pairs."""


@dataclass
class Recipe:
    methods: tuple[str, ...] = ("full",)
    """Rows of tables 2 and 3: sn-triplet, edgemap-pretrain, jigsaw-pretrain, supervised, supervised-longer, vanilla-ssl,
    pix2pix, l2s, full, no-weighting, no-teacher, absolute-teacher, no-attention, attention-1d, no-joint, none,
    reward-retrieval, reward-certainty."""
    generators: tuple[str, ...] = ()
    """Rows of table 1 besides those methods' generators: pix2pix, photosketch, pix2seq, l2s, ours-g."""
    decoders: tuple[str, ...] = ()
    """Without photos, and so without methods: chair-v2, shoe-v2, a category of SPG, or, without --data.root, a synthetic one."""
    seeds: tuple[int, ...] = (0,)  # of training
    data: Data = field(default_factory=Data)
    retrieval: FineGrainedConfig = field(default_factory=FineGrainedConfig)
    generator: PhotoToSketchConfig = field(default_factory=PhotoToSketchConfig)
    discriminator: PatchDiscriminatorConfig = field(default_factory=PatchDiscriminatorConfig)
    generator_starts_from_retrieval: bool = False
    """G's encoder starts as F's backbone is after pre-training, where no pretrained weights are had."""
    retrieval_training: Training = field(default_factory=lambda: Training(epochs=40, batch=16))
    generator_training: Training = field(default_factory=lambda: Training(epochs=100, batch=64))
    loss: Loss = field(default_factory=Loss)
    joint: JointSettings = field(default_factory=JointSettings)
    joint_training: Training = field(default_factory=lambda: Training(epochs=20, batch=16))
    """Of F, G and D_C; a batch has so many labelled and as many unlabelled photos."""
    joint_steps: int = 500  # of an epoch of joint training
    classifier_training: Training = field(default_factory=lambda: Training(epochs=20, batch=64))
    competitors: networks_of.Competitors = field(default_factory=networks_of.Competitors)
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(scale=(1.0, 1.0), rotation=0.0, shift=0.0)
    )
    evaluation: Evaluation = field(default_factory=Evaluation)
    loop: LoopConfig = field(default_factory=LoopConfig)

    @property
    def memory(self) -> int:
        return int(self.data.memory_gib * 2**30)

    @property
    def pen(self) -> Pen:
        return Pen(self.generator.max_points, self.generator.thickness, self.data.epsilon)


# ---- the networks of one seed, and of one share of labelled photos ----


@dataclass
class Sources:
    """What networks are trained and tested on, the same for all seeds, so that it is read once."""

    recipe: Recipe
    split: SemiSupervisedSplit
    classifier: Any = None  # of sketches: trained once, with the first seed

    def __post_init__(self) -> None:
        self.labelled: dict[float, Labelled] = {}

    def of_share(self, share: float) -> Labelled:
        if share not in self.labelled:
            own = self.split.of_share(share, self.recipe.data.seed)
            self.labelled[share] = Labelled.of(own, *self.recipe.pen)
        return self.labelled[share]

    @cached_property
    def test(self) -> PairedSet:
        return pairs_by_one_pen(self.split.test, self.recipe.pen)


class Trained(NamedTuple):
    """What a method left: F, where photos were drawn G, and D_C where it was trained."""

    F: FineGrainedNet
    G: Any = None
    D_C: PatchDiscriminator | None = None
    seconds: tuple[float, float] = (0.0, 0.0)  # of joint training: in the rasterize op, and all


class Interrupted(Exception):
    """A signal ended the training of a network; everything is saved."""


class Networks:
    """In the folder of the recipe's run: each network is trained, or goes on, when it is first asked for."""

    def __init__(self, recipe: Recipe, sources: Sources, share: float, again: str | None) -> None:
        self.recipe, self.sources, self.again = recipe, sources, again
        self.labelled, self.unlabelled = sources.of_share(share), sources.split.unlabelled
        self.common = common(recipe)
        self.folder = Path(recipe.loop.out)
        self.made: dict[str, Any] = {}
        self.drawn: dict[str, PairedSet] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}

    def once(self, make: Callable[[str], Any], name: str) -> Any:
        if name not in self.made:
            self.made[name] = make(name)
        return self.made[name]

    def train(self, name: str, task: Task, epochs: int, checkpoint: str = "last") -> Any:
        """Train one network in its own folder -> the network in evaluation mode, with the weights that count."""
        model, self.histories[name] = train(
            self.recipe, self.folder / name, task, epochs, checkpoint, self.again
        )
        return model

    def retrieval(self, name: str) -> FineGrainedNet:
        """F before joint training, line 3 of algorithm 1. name: retrieval, retrieval-{sketch-a-net,edgemap,jigsaw}."""
        r, how, kind = self.recipe, self.recipe.competitors.unlabelled_training, name.partition("-")[2]
        config = r.retrieval
        if kind == "sketch-a-net":
            size, unit = max(config.size, 96), config.unit_features
            config = FineGrainedConfig("sketch_a_net", "none", size=size, attention=False, unit_features=unit)
        put = partial(networks_of.retrieval, config, common=self.common)
        task = put(self.labelled.pairs, self.labelled.held_out, r.retrieval_training, title=name)
        if kind == "edgemap":
            before = put(edge_map_pairs(self.unlabelled), None, how, title=kind)
            task.model.load_state_dict(self.train(kind, before, how.epochs).state_dict())
        elif kind == "jigsaw":
            puzzles = networks_of.jigsaw(config, self.unlabelled, r.competitors, self.common, title=kind)
            task.model.load_state_dict(self.train(kind, puzzles, how.epochs).retrieval.state_dict())
        return self.train(name, task, r.retrieval_training.epochs, r.evaluation.checkpoint)

    def generator(self, name: str) -> Any:
        """G before joint training. name: generator, generator-{none,1d,l2s,pix2pix,photosketch}."""
        r, l, c, kind = self.recipe, self.labelled, self.recipe.competitors, name.partition("-")[2]
        how = r.generator_training
        task: Task
        if kind in ("pix2pix", "photosketch"):
            how, many = c.pix2pix_training, kind == "photosketch"
            task = networks_of.pix2pix(c.pix2pix, l, how, self.common, together=many, title=name)
        elif kind == "l2s":
            task = networks_of.l2s(c.l2s, l, how, self.common, title=name)
        else:
            attention: Any = kind or r.generator.attention
            config = replace(r.generator, attention=attention)
            start = self.once(self.retrieval, "retrieval") if r.generator_starts_from_retrieval else None
            task = networks_of.generator(config, l, how, self.common, kl=r.loss.kl, title=name, start=start)
        return self.train(name, task, how.epochs)

    def classifier(self) -> Any:
        r, split = self.recipe, load_classes(self.recipe.data)
        if split is None:
            return None
        sketches, held_out = (by_one_pen(part, r.pen) for part in (split.train, split.test))
        how = r.classifier_training
        task = networks_of.classifier(r.retrieval, sketches, held_out, how, self.common)
        return self.train("classifier", task, how.epochs)

    def method(self, name: str) -> Trained:
        """A row of table 2 or 3."""
        r, row = self.recipe, METHODS[name]
        F = self.once(self.retrieval, row.start)
        if row.longer:
            return Trained(self.longer(name, F))
        if not row.drawn_by:
            return Trained(F)
        G = self.once(self.generator, row.drawn_by)
        torch.manual_seed(stream_seed(r.loop.seed, 3))
        nets = JointNetworks(
            copy.deepcopy(F), copy.deepcopy(G), PatchDiscriminator(r.discriminator), r.joint.momentum
        )
        r1, r2 = (weight * own for weight, own in zip((r.joint.lambda_r1, r.joint.lambda_r2), row.rewards))
        settings = replace(
            r.joint, weighting=row.weighting, teacher=row.teacher, joint=row.joint, lambda_r1=r1, lambda_r2=r2
        )
        F_T = None if row.teacher == "none" else copy.deepcopy(F)
        how, score = r.joint_training, score_on(self.labelled.held_out, r.memory)
        own = self.joint_batches(F, row.joint), settings, r.augmentation, how.optimisation, score
        kept: dict[str, Any] = {"kl": r.loss.kl, "thickness": r.pen.thickness, "title": name}
        kept |= {"margin": r.loss.margin, "negatives": r.loss.negatives}
        task = JointTask(nets, F_T, *own, **kept)
        self.train(name, task, how.epochs, r.evaluation.checkpoint)
        told = {"task": name, "data": self.sources.split.name}
        save_model(self.folder / name / "model", nets.G, told)
        save_model(self.folder / name / "retrieval", nets.F, told)
        return Trained(nets.F, nets.G, nets.D_C if task.judging else None, task.seconds)

    def longer(self, name: str, F: FineGrainedNet) -> FineGrainedNet:
        """F trained on with eq. 4 alone, for as many steps as joint training has for it."""
        r, l = self.recipe, self.labelled
        steps = r.joint_training.epochs * r.joint_steps * r.joint.retrieval_share
        task = networks_of.retrieval(
            r.retrieval, l.pairs, l.held_out, r.joint_training, self.common, title=name
        )
        epochs = max(1, round(steps / len(task.batches(0, 0, 1))))
        task.model.load_state_dict(F.state_dict())
        return self.train(name, task, epochs, r.evaluation.checkpoint)

    def drawings(self, measures: Measures, name: str, G: Any) -> PairedSet:
        """Test photos as drawn by G, scored once. name: as `drawer_of` has it."""
        if name not in self.drawn:
            if self.sources.classifier is None:
                self.sources.classifier = self.classifier()
            F, names_it = self.once(self.retrieval, "retrieval"), self.sources.classifier
            self.drawn[name] = measures.drawings(self.common.seed, name, G, F, names_it)
        return self.drawn[name]

    def joint_batches(self, F: FineGrainedNet, joint: bool) -> JointBatches:
        """joint: whether G is trained in some of the steps; else there are fewer, all of F, so that F has as many either way."""
        r, l = self.recipe, self.labelled
        steps = r.joint_steps if joint else max(1, round(r.joint_steps * r.joint.retrieval_share))
        own = steps, r.joint_training.batch, r.loop.seed, l.sequences, r.memory
        return JointBatches(l.pairs, self.unlabelled, F.preprocess, *own)


def common(recipe: Recipe) -> Common:
    r = recipe
    return Common(r.loop.seed, r.memory, r.augmentation, r.loss.margin, r.loss.negatives)


def drawer_of(method: str) -> str:
    """Whose drawings a method learns from, as tables name it."""
    row = METHODS[method]
    if row.joint and row.drawn_by:
        return "ours-g-full" if method == "full" else f"{method}, jointly trained"
    return {network: name for name, network in GENERATORS.items()}.get(row.drawn_by, row.drawn_by)


def train(
    recipe: Recipe, folder: Path, task: Task, epochs: int, checkpoint: str, again: str | None
) -> tuple[Any, list[dict[str, Any]]]:
    """(the task's model in evaluation mode, with the weights that count, records of its training)."""
    own = replace(recipe.loop, out=str(folder), epochs=epochs)
    result = fit(task, own, resolved(recipe), may_change=MAY_CHANGE, resume_command=again)
    if result.interrupted:
        raise Interrupted
    if path := result.best_path if checkpoint == "best" else result.last_path:
        load_weights(path, task.model)
    return task.model.eval(), result.history


# ---- a run ----


def check(recipe: Recipe) -> None:
    """ValueError or OSError for what would otherwise come to light after hours of training, or never."""
    r = recipe
    for name, known in (
        ("methods", METHODS),
        ("generators", GENERATORS),
        ("decoders", None),
        ("seeds", None),
    ):
        values = getattr(r, name)
        if known is not None and (unknown := [value for value in values if value not in known]):
            raise ValueError(f"--{name}: expected some of {', '.join(known)}; found {', '.join(unknown)}")
        if len(set(values)) < len(values):
            raise ValueError(f"--{name}: expected each once; found {values}")
    if not r.seeds or min(r.seeds) < 0 or r.loop.seed != LoopConfig.seed:
        found = f"--seeds {r.seeds}, --loop.seed {r.loop.seed}"
        raise ValueError(
            f"--seeds are those of training, one or more, 0 or more, and --loop.seed is set from them; found {found}"
        )
    if r.data.epsilon is not None and not 0 <= r.data.epsilon < 1:
        raise ValueError(f"--data.epsilon: expected 0 to below 1, in canvas sides; found {r.data.epsilon}")
    if bool(r.decoders) == bool(r.methods or r.generators):
        raise ValueError(
            "--methods and --generators, or --decoders alone: expected one or more; found "
            + ("both" if r.decoders else "none")
        )
    sizes = {"retrieval": r.retrieval.size, "generator": r.generator.size, "discriminator": r.discriminator.size,
             "competitors.l2s": r.competitors.l2s.size, "competitors.pix2pix": r.competitors.pix2pix.size}  # fmt: skip
    if len(set(sizes.values())) > 1:
        raise ValueError(
            "all networks see pictures of one size: " + ", ".join(f"--{n}.size {s}" for n, s in sizes.items())
        )
    for name in ("weighting", "teacher", "joint"):
        if (value := getattr(r.joint, name)) != getattr(JointSettings, name):
            raise ValueError(f"--joint.{name} is what --methods differ in: choose one of them; found {value}")
    if not r.joint.momentum < 1:
        raise ValueError(f"--joint.momentum: expected 0 to below 1, found {r.joint.momentum}")
    with torch.device("meta"):  # their own checks, before anything is trained
        PatchDiscriminator(r.discriminator)
        PhotoToSketch(replace(r.generator, weights="none"))
    if r.generator_starts_from_retrieval:
        networks_of.check_start(r.generator, r.retrieval)
    if not r.decoders:
        drawing = [m for m in r.methods if METHODS[m].drawn_by]
        unlabelled = [m for m in r.methods if METHODS[m].start in ("retrieval-edgemap", "retrieval-jigsaw")]
        check_data(r.data, bool(drawing + unlabelled))
    elif r.data.root is not None and not Path(r.data.root).is_dir():
        raise NotADirectoryError(f"--data.root: expected a folder, found {r.data.root}, which is none")
    parts = ("retrieval_training", "generator_training", "joint_training", "classifier_training",
             "competitors.pix2pix_training", "competitors.unlabelled_training")  # fmt: skip
    least = {f"{part}.{name}": low for part in parts for name, low in
             (("epochs", 1), ("repeats", 1), ("weight_decay", 0.0), ("warmup", 0.0))}  # fmt: skip
    least |= {f"{part}.batch": 1 if "pix2pix" in part else 2 for part in parts}
    least |= {"loss.margin": 0.0, "loss.kl": 0.0, "joint_steps": 1, "joint.k_r": 1, "joint.k_g": 0, "joint.lambda_kd": 0.0,
              "joint.lambda_G": 0.0, "joint.lambda_r1": 0.0, "joint.lambda_r2": 0.0, "data.memory_gib": 0.0,
              "data.sketches_per_class": 1, "evaluation.at": 1, "evaluation.temperature": 0.0,
              "generator.latent": 1, "generator.hidden": 1, "generator.attention_dim": 1, "generator.mixtures": 1,
              "generator.max_points": 2, "generator.thickness": 1, "discriminator.width": 1, "discriminator.layers": 1,
              "joint.momentum": 0.0, "joint.generator_lr": 0.0, "joint.discriminator_lr": 0.0}  # fmt: skip
    check_ranges(
        r, least, above_0=[*(f"{part}.lr" for part in parts), "joint.temperature", "retrieval.width"]
    )
    out = Path(r.loop.out)
    if not r.loop.out.strip():
        raise ValueError("--loop.out: expected a folder, found an empty name")
    several = sorted(out.glob("*/recipe.json"))
    if several if one_run(r) else (out / "recipe.json").exists():
        there = "several seeds or shares" if several else "one seed"
        raise ValueError(
            f"{out} holds a run of {there}, found --seeds {r.seeds}: choose another folder (--loop.out)"
        )
    check_writable(r.loop.out)


def one_run(recipe: Recipe) -> bool:
    return len(recipe.seeds) == len(recipe.data.labelled_shares) == 1


def resolved(recipe: Recipe) -> dict[str, Any]:
    """What a run folder keeps of a recipe; the loop keeps its own part."""
    return {name: value for name, value in asdict(recipe).items() if name != "loop"}


def run(name: str, recipe: Recipe, again: str | None = None) -> dict[str, Any] | None:
    """Train everything with every seed, evaluate, store, report. again: the command that resumes after an interrupt."""
    check(recipe)
    try:
        results, histories = (of_decoders if recipe.decoders else of_methods)(name, recipe, again)
    except Interrupted:
        return None
    if torch.distributed.is_initialized() and torch.distributed.get_rank():
        return None
    out, found = Path(recipe.loop.out), results.to_dict()
    atomic.write_json(out / "results.json", found)
    print(results)
    config = KeySection("Config", {"config": name, **asdict(recipe)})
    print(f"report  {write_report(out, f'More photos, {name}', [], [*results.sections(histories), config])}")
    return found


def part_of(recipe: Recipe, seed: int, share: float = 1.0) -> Recipe:
    """What is done with one seed and one share, in its folder."""
    folder = Path(recipe.loop.out)
    if len(recipe.seeds) > 1:
        folder /= f"seed-{seed}"
    if len(recipe.data.labelled_shares) > 1:
        folder /= f"share-{share:g}"
    own = replace(recipe, loop=replace(recipe.loop, seed=seed, out=str(folder)))
    RunFolder(folder).keep_recipe(resolved(own), MAY_CHANGE)
    return own


def of_methods(name: str, recipe: Recipe, again: str | None) -> tuple[MorePhotosResults, Histories]:
    """What was found, and the records of the first networks' training."""
    r, split = recipe, load_split(recipe.data)
    sources = Sources(r, split)
    for share in r.data.labelled_shares:
        if (count := len(sources.of_share(share).pairs.drawn)) < r.retrieval_training.batch:
            raise ValueError(
                f"--retrieval-training.batch {r.retrieval_training.batch}: a batch is of different photos; found {count} at a "
                f"share of {share:g} of the labelled ones (--data.labelled-shares), expected at least as many"
            )
    if any(METHODS[m].drawn_by for m in r.methods):
        # A photo that cannot be decoded is named now, not after F and G are trained.
        Pixels(split.unlabelled, Preprocess(size=r.retrieval.size, ink_margin=MARGIN), r.memory)
    print(said := "\n".join([split.summary(), *(f"  {note}" for note in sources.of_share(1.0).notes)]))
    main = "full" if "full" in r.methods else (r.methods or r.generators)[-1]
    measures = Measures(sources.test, r.pen, r.evaluation.at, r.evaluation.temperature, r.memory, r.seeds[0])
    histories: Histories = {}
    for seed in r.seeds:
        for share in r.data.labelled_shares:
            networks = Networks(part_of(r, seed, share), sources, share, again)
            all_is_there = share == max(r.data.labelled_shares)
            first = all_is_there and seed == r.seeds[0]  # what is stored, and shown in the report
            if first:
                histories = networks.histories
            score = partial(networks.drawings, measures)
            for method in r.methods:
                trained = networks.method(method)
                measures.retrieval(seed, method, trained.F, share, drawer_of(method) or None)
                if all_is_there and trained.G is not None:
                    drawings = score(drawer_of(method), trained.G)
                    if trained.D_C is not None:
                        measures.certainty(seed, method, trained.F, trained.D_C, drawings)
                    measures.timed.append(Timed(seed, method, *trained.seconds))
                if first and method == main:
                    save_model(
                        Path(r.loop.out) / "model",
                        trained.F,
                        {"task": method, "recipe": name, "data": split.name},
                    )
            for row_of_table in r.generators if all_is_there else ():
                score(row_of_table, networks.once(networks.generator, GENERATORS[row_of_table]))
    components = {m: METHODS[m].components for m in ABLATIONS}
    return measures.results(said, r.seeds, main, BASELINE, components), histories


def of_decoders(name: str, recipe: Recipe, again: str | None) -> tuple[MorePhotosResults, Histories]:
    """The same of decoders without photos; each is a model of its own, OUT/[seed-N/]<category>/model."""
    likelihoods, shown, said, histories = [], [], [], {}
    for seed in recipe.seeds:
        own = part_of(recipe, seed)
        for category in recipe.decoders:
            strokes = load_stroke_category(category, own.data.root)
            how = own.generator_training
            config, epsilon = own.generator.decoder(), own.data.epsilon
            task = networks_of.decoder(config, strokes, how, common(own), epsilon)
            before = networks_of.held_out_likelihood(task)
            folder = Path(own.loop.out) / category
            model, records = train(own, folder, task, how.epochs, "last", again)
            save_model(folder / "model", model, {"task": task.name, "recipe": name, "data": strokes.name})
            epochs = [record[task.monitor] for record in records if record["kind"] == "validation"]
            likelihoods.append(Likelihood(seed, category, [before, *epochs]))
            if seed == recipe.seeds[0]:
                said.append(strokes.summary())
                parts = [part for part in (task.source, task.held_out) if part is not None]
                lost = [item for part in parts for item in part.sequences.left_out]
                said += [f"  {len(lost)} left out, of too many strokes, such as {lost[0]}"] if lost else []
                histories[category] = records
                shown.append(shown_decoder(model, strokes, own.generator.size, own.pen, seed))
    data = "\n".join(said)
    return MorePhotosResults(data, None, recipe.seeds, likelihoods=likelihoods, shown=shown), histories


# ---- named configs: one for each row of tables 1, 2 and 3, and figure 4 ----


def small(methods: tuple[str, ...], **changes: Any) -> Recipe:
    """From scratch at 64 pixels on a few cores, on cups of the synthetic world."""
    size = 64
    adam: dict[str, Any] = {"weight_decay": 0.05, "warmup": 0.05, "decay": "cosine"}
    recipe = Recipe(
        methods=methods,
        data=Data(
            dataset="synthetic", category="cup", drawn_size=64, train_photos=300, sketches_per_photo=1,
            unlabelled_photos=1000, test_photos=100, epsilon=0.02, sketches_per_class=15,
        ),
        retrieval=FineGrainedConfig("resnet10", "none", "small", width=0.25, size=size, scaled_attention=True),
        generator=PhotoToSketchConfig(
            "resnet10", "none", "small", width=0.25, size=size, latent=32, hidden=192, attention_dim=64, mixtures=5,
            max_points=32, thickness=2, freeze_encoder=True,
        ),
        generator_starts_from_retrieval=True,
        discriminator=PatchDiscriminatorConfig(width=16, layers=2, size=size),
        retrieval_training=Training(epochs=20, batch=32, lr=2e-3, **adam),
        generator_training=Training(epochs=50, batch=32, lr=2e-3, warmup=0.05, decay="cosine"),
        classifier_training=Training(epochs=6, batch=64, lr=2e-3, **adam),
        loss=Loss(negatives="all", kl=0.1),
        joint=JointSettings(lambda_G=0.02, temperature=0.3, generator_lr=0.3, discriminator_lr=2.0),
        joint_training=Training(epochs=2, batch=16, lr=1e-3, **adam),
        joint_steps=60,
        competitors=Competitors(
            L2SConfig(size, (8, 16, 32, 64, 64), 64, 32, 128, 5, 32, thickness=2),
            Pix2PixConfig(size, 8, discriminator_width=8, discriminator_layers=2),
            Training(epochs=10, batch=16, lr=1e-3),
            Training(epochs=4, batch=32, lr=2e-3, **adam),
        ),
        augmentation=Augmentation(
            scale=(0.85, 1.18), rotation=8.0, shift=0.06, pair_together=False, colour=0.4, grey=0.3, thickness=0.3
        ),
        evaluation=Evaluation(temperature=0.3),
        loop=LoopConfig(precision="32-true"),
    )  # fmt: skip
    return replace(recipe, **changes)


def named_configs() -> dict[str, tuple[str, Recipe]]:
    """name -> (what it is, recipe). Building a recipe builds no network."""
    some = (
        "supervised",
        "supervised-longer",
        "vanilla-ssl",
        "full",
        "no-weighting",
        "no-teacher",
        "no-attention",
        "no-joint",
    )
    shares, three = (0.2, 0.4, 0.6, 0.8, 1.0), (0, 1, 2)
    of_shares = replace(small(()).data, labelled_shares=shares)
    strokes = small((), generator_training=Training(epochs=120, batch=64, lr=2e-3, decay="cosine"))
    strokes = replace(strokes, generator=replace(strokes.generator, hidden=256, mixtures=10, max_points=48))
    configs = {
        "demo": ("the synthetic world, eight methods and three seeds, minutes on two cores", small(some, seeds=three)),
        "methods": ("the synthetic world, every row of tables 1 to 3, one seed",
                    small(tuple(METHODS), generators=tuple(GENERATORS))),
        "fractions": ("the synthetic world, shares of the labelled photos (figure 4)",
                      small(("supervised", "full"), data=of_shares)),
        "strokes": ("the decoder alone, on the synthetic world's strokes", replace(strokes, decoders=("chair", "cat"))),
        "strokes-real": ("the decoder alone, on strokes of Chair-V2 and of three categories of SPG",
                         replace(strokes, decoders=("chair-v2", "apple", "face", "ice_cream"), data=Data(epsilon=0.03))),
    }  # fmt: skip
    for row in GENERATORS:
        configs[f"table1-{row}"] = f"table 1: {row}", Recipe((), (row,))
    configs["table1-ours-g-full"] = "table 1: ours-g-full", Recipe()
    for method in METHODS:
        tables = (
            ["table3"] if method not in TABLE_2 else ["table2", "table3"] if method == "full" else ["table2"]
        )
        for table in tables:
            configs[f"{table}-{method}"] = f"{table[:-1]} {table[-1]}: {method}", Recipe((method,))
    configs["figure4"] = (
        "figure 4: shares of the labelled photos",
        Recipe(("supervised", "full"), data=Data(labelled_shares=shares)),
    )
    return configs


def main(arguments: list[str] | None = None) -> None:
    defaults = ("demo", "table2-full")
    chosen = choose_recipe(arguments, named_configs(), SCRIPT, str(__doc__), DECISIONS, defaults=defaults)
    if chosen is None:
        return
    name, recipe, again = chosen
    if recipe.loop.out == LoopConfig().out:
        recipe.loop.out = f"runs/more-photos-{name}"
    run(name, recipe, again)


if __name__ == "__main__":
    run_recipe(main, SCRIPT)
