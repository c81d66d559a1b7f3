"""Landmark-aware network: sketch recognition and retrieval (Zhang et al., TIP 2019).

Points spread evenly over the strokes are projected to the last feature map of a CNN, an offset layer moves each of them
to a place worth looking at, and the features there are averaged into f, which is classified. Beside it one filter for
each category answers on the whole map; a diversity loss keeps the filters, and their responses, apart. How many points
serve best differs between categories, so the predictions for several n are fused.

    python train/landmark.py                                the synthetic world, minutes on two cores
    python train/landmark.py spg-small --data.root DIR      real drawings from scratch, small (SPG's 20 classes)
    python train/landmark.py sketchy-small --data.root DIR  real sketches, small; sketchy-retrieval-small finds photos
    python train/landmark.py table2-64-ensemble --data.root DIR
                                                            the paper's main result, on TU-Berlin
    python train/landmark.py --list                         every named config: tables I-III, figures 8, 9
    python train/landmark.py NAME --help                    the settings of one, and the decisions below

Add --evaluation.cross quickdraw --evaluation.cross-root DIR to try the network on drawings of another data set.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from sketchfast import atomic
from sketchfast.data import ImageSet
from sketchfast.data.class_batches import ClassBatches, SketchAugmentation, augment_sketches
from sketchfast.data.classification import ClassificationSplit, read_split
from sketchfast.data.cross_set import CrossSet, overlapping
from sketchfast.data.joined_set import JoinedSet
from sketchfast.data.load_classification import load_classification, options_of
from sketchfast.data.synthetic import nearest_pixel_class_scores
from sketchfast.metrics import PROTOCOLS
from sketchfast.metrics.classification import evaluate_classification, format_classification_rows
from sketchfast.metrics.landmark_scores import (
    Scored,
    recognise,
    recognise_cross_set,
    retrieve,
    through,
    validate,
)
from sketchfast.metrics.zero_shot import Row, Search, format_rows
from sketchfast.models.landmark import LandmarkNet, LandmarkNetConfig, check_landmarks
from sketchfast.models.landmark_fusion import LandmarkEnsemble
from sketchfast.nn.diversity import filter_diversity, response_diversity
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, StepContext, Task, fit, load_weights, save_model, stream_seed
from sketchfast.training.landmark_sections import methods_table, recognition_sections
from sketchfast.training.loop_config import FitResult
from sketchfast.training.recipe_command import (
    check_dataset,
    check_ranges,
    check_writable,
    choose_recipe,
    run_recipe,
)
from sketchfast.training.report import KeySection, Section, TextSection, history_sections, write_report
from sketchfast.training.retrieval_sections import result_tables, retrieval_grids
from sketchfast.training.run_folder import RunFolder

SCRIPT = "train/landmark.py"
DECISIONS = """
Decisions (D), where the paper is silent:
  points  farthest-point sampling of the skeleton's pixels, from the topmost, leftmost one: the points for a smaller n
          are the first of those for a larger one. They are found anew after every augmentation, on what the network
          sees; ink is what is darker than 208. A blank sketch has all of them in its middle.
  f       read before the classifier (III-C), where IV-E says "the last fully connected layer". f and f_s are joined as they
          are, without balancing their lengths. Figure 6's softmax is over the categories.
  map     the paper's 1-based ceil is floor(p / 32) from 0 on.
  offsets the 1x1 convolution starts at zero. Landmark i reads channels 2i, 2i + 1 (x, y) at its own cell.
  eq. 5   softmax cross entropy: the printed minus signs cancel. With several n in one network (--ensemble shared)
          L_cls is the mean over n.
  eq. 6   a position counts where neither filter is zero. eq. 6 and 7 are sums over i != j; --loss.reduction mean divides
          them by K (K - 1), which the small configs do. eq. 7 is the mean over the batch.
  L_c     softmax cross entropy of the responses' global average. Classification at test uses the landmark branch alone.
  beta    table I's text shows 1e-3, "without" and 0; the other cells are taken for 1e-4, 1e-2 and 1e-1. "beta = 0" is
          described as the branch without diversity regularisation that still learns patterns, so L_c stays at 1e-3
          there (with eq. 8 as printed no gradient would reach the branch). Its scores are on 8 validation sketches of a class:
          the rows "validation" of results.json, of the tested epoch.
  lr      "a momentum of 0.0005" is the weight decay; momentum 0.9, batch 32, cosine decay to 0. No layer is frozen.
  crop    to the ink, which then fills the square but for a margin of 5 % on each side (--data.ink-margin), and again
          after a rotation. Rotations are uniform in +-60 degrees; half of the sketches are mirrored.
  test    softmax scores of the image and its mirror image, whose points are found anew, averaged.
  fusion  one weight for each n, positive, with sum 1, on softmax scores; they minimise the negative log likelihood of
          the validation sketches. "Ensemble" of table II and figure 9: nine networks (--ensemble separate), each with
          random numbers of its own. --ensemble shared: one trunk, an offset layer and a classifier for each n.
  split   the validation fifth is taken from the training sketches, class by class. The best epoch on it is tested;
          --evaluation.checkpoint last, where it is too small to tell one epoch from the next. The mirror image is
          left out there.
  fig. 8  "results produced by the landmark discovery module": landmarks+offset without the category-aware branch; 30
          landmarks in 8a.
  table3  30 landmarks. f_s is the maximum over categories of psi at each place. Both descriptors are scored for networks
          with the branch; the table's baselines are "f", its full model is "f and f_s"; the descriptors of an image and
          of its mirror image are added. Top-1 accuracy is Prec@1.
          Edges of the photos are Canny's, not HED's; --data.photos DIR takes edge maps made elsewhere. "The remaining
          images are used as the training set": --data.train-on-photos trains on the edge maps of the photos as well, of those
          that no held-out sketch was drawn from. With 200 + 50 of a class's some 604 sketches (6 of a photo) held out, these
          are few, about 4 of 100 photos.
  cross   --evaluation.cross: every drawing of a class that both data sets have, told apart among all classes, and among
          those that both have. Drawings that are in both sets (SPG's come from QuickDraw) are left out.
  small   the small configs train from scratch with AdamW; their network, sizes and augmentation are not the paper's.
"""

NO_VALIDATION = (
    "without validation sketches neither the best epoch nor the fusion over n can be found: give "
    "--data.validation-share or .validation-per-class, or --evaluation.checkpoint last and one n"
)
MAY_CHANGE = ("data.root", "data.memory_gib", "evaluation")  # when a run is resumed
STROKES = {"spg", "quickdraw"}  # SPG's drawings are QuickDraw's
DATA_SETS = ("synthetic", "tu_berlin", "sketchy", "quickdraw", "spg", "folder")
# The paper's variants (section IV-D): pooling, offset layer, category-aware branch, diversity losses
VARIANTS: dict[str, tuple[Literal["landmarks", "global"], bool, bool, bool]] = {
    "resnet": ("global", False, False, False),
    "only-landmarks": ("landmarks", False, False, False),
    "landmarks+offset": ("landmarks", True, False, False),
    "landmarks+diversity": ("landmarks", False, True, True),
    "landmarks+offset+class-aware": ("landmarks", True, True, False),
    "full": ("landmarks", True, True, True),
}


@dataclass
class Data:
    root: str | None = None  # folder of the data set; none: the synthetic world
    dataset: str = "tu_berlin"  # one of DATA_SETS: synthetic, tu_berlin, sketchy, quickdraw, spg, folder
    size: int = 256  # side of the network's input in pixels
    ink_margin: float | None = (
        0.05  # sketches are cropped to their ink; share of the side left free around it
    )
    train_per_class: int | None = None  # training sketches of a class; none: what is left
    validation_share: float | None = (
        None  # of these, for validation (TU-Berlin, QuickDraw, folder); none: 0.2
    )
    validation_per_class: int | None = None  # beside them (Sketchy: none is 50; synthetic)
    test_per_class: int | None = None  # none: what is left, for Sketchy 200
    classes: tuple[str, ...] = ()  # only these; none: all
    split_file: str | None = None  # a run's split.json, in place of all sizes, classes and the seed
    photos: str | None = None  # searched: "canny" edges of the photos, or a folder of edge maps
    train_on_photos: bool = False  # edge maps of photos are training examples as well
    memory_gib: float = 4.0  # decode a set once into memory when it fits this
    seed: int = 0  # of the split, and of the synthetic world
    drawn_size: int | None = None  # synthetic, QuickDraw, SPG: side of the drawings in pixels
    photos_per_class: int | None = None  # synthetic: photos to search


@dataclass
class Loss:
    beta: float = 1e-3  # eq. 8
    diversity: bool = True  # L_f + L_r, eq. 6 and 7
    reduction: Literal["sum", "mean"] = "sum"  # of eq. 6 and 7 over pairs of filters


@dataclass
class Optimizer:
    kind: Literal["sgd", "adamw"] = "sgd"
    batch: int = 32  # sketches, over all processes
    repeats: int = 1  # passes over the training sketches that make an epoch
    lr: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.0  # share of the steps over which lr first rises; then it falls as a cosine


@dataclass
class Evaluation:
    checkpoint: Literal["best", "last"] = "best"  # of the epochs, by accuracy on the validation sketches
    at: tuple[int, ...] = (1, 5)  # k of accuracy@k
    protocols: tuple[str, ...] = ("sklearn", "sake")  # of retrieval
    baseline: bool = False  # train the same backbone with global pooling equally long beside it
    cross: str | None = None  # another data set whose classes overlap: quickdraw, spg, sketchy, ...
    cross_root: str | None = None  # its folder


@dataclass
class Recipe:
    variant: str | None = None
    """One of the paper's names, which sets --model.pooling, .offsets, .class-aware and --loss.diversity: resnet,
    only-landmarks, landmarks+offset, landmarks+diversity, landmarks+offset+class-aware, full."""
    ensemble: Literal["separate", "shared"] = "separate"
    """Several --model.landmarks: a network for each n, trained in turn (the paper), or all n on one trunk."""
    data: Data = field(default_factory=Data)
    model: LandmarkNetConfig = field(default_factory=LandmarkNetConfig)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    augmentation: SketchAugmentation = field(default_factory=SketchAugmentation)
    evaluation: Evaluation = field(default_factory=Evaluation)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(epochs=120))


class LandmarkTask(Task):
    """One network. I: sketches, f: landmark features, l: landmarks on the map, psi: responses of the K filters."""

    name, monitor, mode = "landmark", "validation_accuracy", "max"

    def __init__(
        self, recipe: Recipe, split: ClassificationSplit, training: ImageSet, title: str = ""
    ) -> None:
        self.recipe, self.split, self.training, self.title = recipe, split, training, title
        names, data = split.train.names, recipe.data
        # Each n has a stream of its own, the same whether it is trained alone or in an ensemble.
        self.seed = stream_seed(recipe.loop.seed, *recipe.model.landmarks)
        torch.manual_seed(self.seed)
        self.model = LandmarkNet(
            replace(recipe.model, num_classes=len(names)),
            names,
            Preprocess(data.size, ink_margin=data.ink_margin),
        )
        self.source: ClassBatches | None = None

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        if self.source is None:
            o = self.recipe.optimizer
            memory = int(self.recipe.data.memory_gib * 2**30)
            self.source = ClassBatches(
                self.training, self.model.preprocess, o.batch, self.seed, o.repeats, memory
            )
        return self.source.epoch(epoch, rank, world, start_step)

    def make_optimizer(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        o = self.recipe.optimizer
        if o.kind == "adamw":
            return torch.optim.AdamW(params, lr=o.lr, weight_decay=o.weight_decay)
        return torch.optim.SGD(params, lr=o.lr, momentum=o.momentum, weight_decay=o.weight_decay)

    def schedule(self, step: int, total: int) -> float:
        rise = min(1.0, (step + 1) / max(1.0, self.recipe.optimizer.warmup * total))
        return rise * (1 + math.cos(math.pi * step / total)) / 2

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, torch.Tensor]:
        I, y = augment_sketches(batch, self.recipe.augmentation, self.model.preprocess), batch["label"]
        out = context.model(I)  # eq. 1-4
        L_cls = torch.stack([F.cross_entropy(x.float(), y) for x in out.logits]).mean()  # eq. 5
        logs, loss, recipe = {"L_cls": L_cls}, L_cls, self.recipe.loss
        if out.responses is not None:
            logs["L_c"] = F.cross_entropy(out.class_logits.float(), y)
            if recipe.diversity:
                logs["L_f"] = filter_diversity(self.model.category_filters.weight, recipe.reduction)  # eq. 6
                logs["L_r"] = response_diversity(out.responses, recipe.reduction)  # eq. 7
            L_div = sum(value for name, value in logs.items() if name != "L_cls")
            loss = L_cls + recipe.beta * L_div  # eq. 8
        return {"loss": loss, **logs}

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        held_out = self.split.validation
        if not len(held_out):
            return {self.monitor: math.nan}
        with fabric.autocast():
            one_view = partial(self.model.classify, mirrored=False)
            scores = through(one_view, self.model, held_out, int(self.recipe.data.memory_gib * 2**30))
        return {self.monitor: float((scores.argmax(axis=1) == held_out.labels).mean())}


def with_variant(recipe: Recipe) -> Recipe:
    """The recipe with what its variant stands for. ValueError for an unknown one.

    What a named config has that the variant has not is dropped; `check_variant` refuses the reverse.
    """
    if recipe.variant is None:
        return recipe
    if recipe.variant not in VARIANTS:
        raise ValueError(f"--variant: expected one of {', '.join(VARIANTS)}; found {recipe.variant!r}")
    pooling, offsets, class_aware, diversity = VARIANTS[recipe.variant]
    landmarks = recipe.model.landmarks if pooling == "landmarks" else ()
    model = replace(
        recipe.model, pooling=pooling, offsets=offsets, class_aware=class_aware, landmarks=landmarks
    )
    return replace(recipe, model=model, loss=replace(recipe.loss, diversity=diversity))


def check_variant(recipe: Recipe) -> None:
    """ValueError where the settings deny what --variant stands for, rather than undo them without a word."""
    pooling, *wanted = VARIANTS.get(recipe.variant or "", ("", False, False, False))
    given = {
        "--model.no-offsets": recipe.model.offsets,
        "--model.no-class-aware": recipe.model.class_aware,
        "--loss.no-diversity": recipe.loss.diversity,
    }
    denied = [flag for (flag, on), asked in zip(given.items(), wanted, strict=True) if asked and not on]
    if pooling == "landmarks" and recipe.model.pooling == "global":
        denied.append("--model.pooling global")
    if denied:
        raise ValueError(
            f"--variant {recipe.variant} stands for the opposite of {', '.join(denied)} (given, or the config's own): "
            "choose one of them, or another config"
        )


def check(recipe: Recipe) -> None:
    """ValueError or OSError for what would otherwise come to light after hours of training, or never."""
    check_dataset(recipe.data.dataset, DATA_SETS)
    data, model, loss, e = recipe.data, recipe.model, recipe.loss, recipe.evaluation
    if data.dataset == "synthetic" and (data.root or data.split_file):
        raise ValueError(
            "--data.root and --data.split-file belong to a data set, but --data.dataset is synthetic; name "
            f"{', '.join(DATA_SETS[1:-1])} or {DATA_SETS[-1]}"
        )
    if data.dataset != "synthetic" and data.root is None:
        raise ValueError(f"data set {data.dataset!r} needs its folder: --data.root DIR")
    if model.num_classes or model.fusion:
        raise ValueError(
            "--model.num-classes and --model.fusion follow from the data and the validation sketches"
        )
    if model.pooling == "landmarks":
        check_landmarks(model.landmarks)
    elif model.landmarks or model.offsets or e.baseline:
        raise ValueError(
            "--model.pooling global has no landmarks, no offsets, and is the baseline itself: give --variant resnet "
            "and no --evaluation.baseline"
        )
    if loss.diversity and not model.class_aware:
        raise ValueError(
            "--loss.diversity keeps category-aware filters apart, and --model.no-class-aware has none"
        )
    if 0 in (data.validation_share, data.validation_per_class) and (
        e.checkpoint == "best" or len(model.landmarks) > 1
    ):
        raise ValueError(NO_VALIDATION)
    if data.train_on_photos and data.photos is None:
        raise ValueError("--data.train-on-photos needs --data.photos canny or a folder of edge maps")
    if unknown := set(e.protocols) - set(PROTOCOLS):
        raise ValueError(
            f"--evaluation.protocols: expected {', '.join(PROTOCOLS)}, found {', '.join(sorted(unknown))}"
        )
    if (e.cross is None) != (e.cross_root is None):
        raise ValueError(
            "--evaluation.cross and --evaluation.cross-root go together: a data set and its folder"
        )
    if e.cross is not None and e.cross not in DATA_SETS[1:]:
        raise ValueError(f"--evaluation.cross: expected {', '.join(DATA_SETS[1:])}; found {e.cross!r}")
    for folder in (data.root, e.cross_root):
        if folder is not None and not Path(folder).is_dir():
            raise NotADirectoryError(f"no such folder: {folder}")
    if e.cross is not None and same_drawings(data, e):
        raise ValueError(
            f"--evaluation.cross: expected another data set than the one trained on, found {e.cross} in {e.cross_root} "
            f"beside {data.dataset} in {data.root}"
        )
    least = {
        "optimizer.batch": 2, "optimizer.repeats": 1, "loop.epochs": 1, "data.size": 32, "loss.beta": 0.0, "evaluation.at": 1,
        "data.memory_gib": 0.0,
    }  # fmt: skip
    check_ranges(recipe, least, above_0=("optimizer.lr", "model.width"))
    check_writable(recipe.loop.out)


def same_drawings(data: Data, e: Evaluation) -> bool:
    """Whether the other data set is the one trained on. SPG's and QuickDraw's drawings are told apart one by one."""
    if data.dataset == e.cross != "folder":
        return True
    if {data.dataset, e.cross} == STROKES or data.root is None:
        return False
    return Path(data.root).samefile(str(e.cross_root))


def load_split(data: Data) -> ClassificationSplit:
    looks: dict[str, Any] = {
        "photos": data.photos,
        "size" if data.dataset == "synthetic" else "canvas": data.drawn_size,
    }
    sizes = ("train_per_class", "validation_per_class", "validation_share", "photos_per_class")
    if data.split_file is not None:
        unused = [name for name in ("classes", *sizes, "test_per_class") if getattr(data, name)]
        said = "".join(f", --data.{name.replace('_', '-')}" for name in unused)
        print(f"{data.split_file} says which sketches are whose; --data.seed{said}: not used")
        return load_classification(data.dataset, data.root, split_file=data.split_file, **looks)
    options: dict[str, Any] = {name: getattr(data, name) for name in sizes} | looks
    options["query_per_class" if data.dataset == "sketchy" else "test_per_class"] = data.test_per_class
    flags = {"size": "drawn_size", "canvas": "drawn_size", "query_per_class": "test_per_class"}
    for name, value in options.items():
        if value is not None and name not in options_of(data.dataset):
            flag = f"--data.{flags.get(name, name).replace('_', '-')}"
            raise ValueError(
                f"data set {data.dataset!r} has no {flag}, found {value!r} (given, or the config's own): "
                f"give {flag} None"
            )
    return load_classification(
        data.dataset, data.root, seed=data.seed, classes=data.classes or None, **options
    )


def training_set(recipe: Recipe, split: ClassificationSplit) -> ImageSet:
    """Sketches, and with --data.train-on-photos the edge maps of photos."""
    if not recipe.data.train_on_photos:
        return split.train
    if split.train_photos is None:
        raise ValueError(f"--data.train-on-photos: {split.name} has no photos to train on")
    return JoinedSet([split.train, split.train_photos])


def networks(recipe: Recipe) -> dict[str, Recipe]:
    """Sub-folder -> recipe of each network that is trained, in turn: one for each n, and the baseline."""
    landmarks = recipe.model.landmarks
    found = {"": recipe}
    if recipe.ensemble == "separate" and len(landmarks) > 1:
        found = {f"n{n:02d}": replace(recipe, model=replace(recipe.model, landmarks=(n,))) for n in landmarks}
    if recipe.evaluation.baseline:
        found["global"] = with_variant(replace(recipe, variant="resnet"))
    return found


def resolved(recipe: Recipe) -> dict[str, Any]:
    """What a run folder keeps of a recipe; the loop keeps its own part."""
    return {name: value for name, value in dataclasses.asdict(recipe).items() if name != "loop"}


def train(task: LandmarkTask, folder: Path, again: str | None) -> FitResult:
    """Train one network and leave the weights of the epoch that counts in it."""
    recipe = task.recipe
    own = replace(recipe.loop, out=str(folder))
    result = fit(task, own, resolved(recipe), may_change=MAY_CHANGE, resume_command=again)
    best = recipe.evaluation.checkpoint == "best"
    if not result.interrupted and (path := result.best_path if best else result.last_path):
        load_weights(path, task.model)
    task.model.eval()
    return result


def run(name: str, recipe: Recipe, again: str | None = None) -> dict[str, Any] | None:
    """Train, fuse, evaluate, store, report. again: the command that resumes, shown when a run is interrupted."""
    check_variant(recipe)
    recipe = with_variant(recipe)
    check(recipe)
    out, data, e = Path(recipe.loop.out), recipe.data, recipe.evaluation
    split = load_split(data)
    if not len(split.validation) and (e.checkpoint == "best" or len(recipe.model.landmarks) > 1):
        raise ValueError(NO_VALIDATION)
    print(split.summary())
    training = training_set(recipe, split)
    cross = None if e.cross is None else cross_set(recipe, split)
    RunFolder(out).keep_recipe(resolved(recipe), MAY_CHANGE)
    keep_split(split, out)
    models: dict[str, LandmarkNet] = {}
    curves: list[Section] = []
    for folder, own in networks(recipe).items():
        task = LandmarkTask(own, split, training, f"landmark {folder}".strip())
        result = train(task, out / folder, again)
        if result.interrupted:
            return None
        models[folder] = task.model
        title = f"Training {folder}".strip()
        curves += [replace(section, title=title) for section in history_sections(result.history)]
    if not is_main():
        return None

    baseline, members = models.pop("global", None), list(models.values())
    model = members[0] if len(members) == 1 else LandmarkEnsemble(members)
    names, memory = split.names, int(data.memory_gib * 2**30)
    at = [k for k in e.at if k < len(names)]
    validated = validate(model, split, at, memory)  # sets the weights of the fusion
    # Before anything else that takes long or may fail.
    save_model(out / "model", model, {"task": LandmarkTask.name, "recipe": name, "data": split.name})
    methods, fusion = recognise(model, split, validated, at, memory)
    main = next(reversed(methods))
    if baseline is not None:
        validated |= validate(baseline, split, at, memory)
        methods |= recognise(baseline, split, validated, at, memory)[0]
    alike = nearest_pixel_class_scores(split.test, split.train)
    methods["nearest pixel"] = evaluate_classification(alike, split.test.labels, names, at=at)
    tables = {"test": (methods, main, f"Chance: {1 / len(names):.4f}.")}
    if cross is not None:
        crossed = recognise_cross_set(model, cross, at, memory)
        there = len(np.unique(cross.labels))
        note = f"{cross.describe()}. Chance: {1 / len(names):.4f} among all, {1 / there:.4f} among these."
        tables[str(e.cross)] = crossed, next(iter(crossed)), note
    searches: dict[str, Search] = {}
    retrieval: list[Row] = []
    if split.photos is not None:
        searched = [model] if baseline is None else [model, baseline]
        searches, retrieval = retrieve(searched, split, e.protocols, memory)

    results = {
        "data": split.summary(),
        "rows": [
            {"data": title, "method": method, **scores.to_dict()}
            for title, (scored, *_) in (tables | {"validation": (validated,)}).items()
            for method, scores in scored.items()
        ],
        "fusion": None if fusion is None else dataclasses.asdict(fusion),
        "retrieval": [row.to_dict() for row in retrieval],
    }
    atomic.write_json(out / "results.json", results)
    sections: list[Section] = [TextSection("Data", split.summary())]
    if validated:
        print(f"validation: {in_short(validated)}")
        sections.append(TextSection("Validation", in_short(validated)))
    sections += recognition_sections(methods, main, model, split.test, "test", tables["test"][2])
    for title, (scored, first, note) in tables.items():
        print(f"{title}: {note}\n{format_classification_rows(scored)}")
        if title != "test":
            sections.append(methods_table(scored, first, f"{title}: drawings of another data set", note))
    if fusion is not None:
        print(fusion.summary())
    format_rows(retrieval)
    chosen = main if fusion is None else f"n = {fusion.best}"
    sections += result_tables(retrieval, chosen)
    sections += retrieval_grids(searches[chosen]) if searches else []
    sections += curves
    if not (out / "config.json").exists():  # else the report shows that
        sections.append(KeySection("Config", {"config": name, **dataclasses.asdict(recipe)}))
    print(f"model   {out / 'model'}")
    print(f"report  {write_report(out, f'Landmarks, {name}: {split.name}', [], sections)}")
    print(f"next    sketchfast classify SKETCH.png --model {out}")
    return results


def in_short(validated: Scored) -> str:
    """Accuracy on the validation sketches, image and mirror image, in one line; where they chose the epoch, it flatters."""
    accuracy = "; ".join(f"{method} {scores.accuracy[1]}" for method, scores in validated.items())
    return f"accuracy of the tested epoch: {accuracy}; {len(next(iter(validated.values()))):,} sketches"


def cross_set(recipe: Recipe, split: ClassificationSplit) -> CrossSet:
    """The other data set's drawings of classes that `split` has; labels index the classes of `split`."""
    e = recipe.evaluation
    # All parts are joined again, so that any sizes do that small classes have sketches for.
    sizes: dict[str, Any] = {"spg": {}, "sketchy": {"query_per_class": 1, "validation_per_class": 0}}
    options = sizes.get(str(e.cross), {"validation_share": 0.0})
    other = load_classification(str(e.cross), e.cross_root, seed=recipe.data.seed, **options)
    drawings: ImageSet = JoinedSet([other.train, other.validation, other.test])
    if {recipe.data.dataset, e.cross} == STROKES:  # only new ones
        own = {Path(name).name for name in (*split.train.ids, *split.validation.ids, *split.test.ids)}
        drawings = drawings.subset([i for i, name in enumerate(drawings.ids) if Path(name).name not in own])
    if not len(drawings):
        raise ValueError(
            f"--evaluation.cross-root {e.cross_root}: all of its drawings are in {split.name} as well"
        )
    return overlapping(drawings, split.names)


def keep_split(split: ClassificationSplit, out: Path) -> None:
    """Write the split into the run folder. ValueError, and nothing written, when it was trained on another one."""
    path = out / "split.json"
    if not (path.exists() and RunFolder(out).holds_runs()):
        split.save(path)
    elif found := read_split(path, split.dataset).differences(split):
        raise ValueError(
            f"{path}: this run was started with other images ({'; '.join(found)}); choose another folder (--loop.out)"
        )


def is_main() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


# ---- named configs: one for each row of tables I to III and each bar and point of figures 8 and 9 ----

NINE = (5, 10, 15, 20, 25, 30, 40, 50, 60)
ROWS = {
    "only-landmarks": "only-landmarks", "offset": "landmarks+offset", "diversity": "landmarks+diversity",
    "offset-class-aware": "landmarks+offset+class-aware", "full": "full",
}  # fmt: skip
BACKBONES = ("alexnet", "vgg16", "googlenet", "resnet34", "resnet50", "resnet101")


def paper(
    train: int | None = 64, variant: str = "full", landmarks: tuple[int, ...] = (30,), **model: Any
) -> Recipe:
    """The paper's recipe on TU-Berlin with this many training sketches of a class."""
    recipe = Recipe(data=Data(train_per_class=train), model=LandmarkNetConfig(landmarks=landmarks, **model))
    return replace(with_variant(replace(recipe, variant=variant)), variant=None)


def on_sketchy(recipe: Recipe) -> Recipe:
    """Section IV-E: 200 query and 50 validation sketches of a class, photos as edge maps, 80 epochs."""
    data = Data(
        dataset="sketchy", test_per_class=200, validation_per_class=50, photos="canny", train_on_photos=True
    )
    return replace(recipe, data=data, loop=LoopConfig(epochs=80))


def small(data: Data, landmarks: tuple[int, ...], epochs: int, **changes: Any) -> Recipe:
    """From scratch at 64 pixels on a few cores: a small network with a fine map, larger steps, more augmentation."""
    model = LandmarkNetConfig("resnet10", "none", stem="small", width=0.5, landmarks=landmarks)
    recipe = Recipe(
        data=replace(data, size=64),
        model=model,
        loss=Loss(reduction="mean"),
        optimizer=Optimizer("adamw", 48, lr=2e-3, weight_decay=0.05, warmup=0.05),
        augmentation=SketchAugmentation(
            rotation=15.0, scale=(0.8, 1.25), shift=0.05, thickness=0.3, warp=0.03
        ),
        loop=LoopConfig(epochs=epochs, precision="auto"),
    )
    return replace(recipe, **changes)


def named_configs() -> dict[str, tuple[str, Recipe]]:
    """name -> (what it is, recipe). Building a recipe builds no network."""
    synthetic = Data(dataset="synthetic", train_per_class=12, validation_per_class=12, test_per_class=25)
    fused = replace(synthetic, validation_per_class=6)
    baseline = Evaluation("last", baseline=True)
    spg = Data(dataset="spg", train_per_class=100)
    sketchy = Data(dataset="sketchy", validation_per_class=2, test_per_class=6)
    searched = replace(sketchy, photos="canny", train_on_photos=True)
    configs: dict[str, tuple[str, Recipe]] = {
        "demo": (
            "the synthetic world, three networks and their fusion, minutes on two cores",
            small(fused, (5, 15, 30), 30, evaluation=baseline),
        ),
        "ablation": (
            "the synthetic world, one network",
            small(synthetic, (15,), 20, evaluation=Evaluation("last")),
        ),
        "spg-small": (
            "100 drawings of each of SPG's 20 classes from scratch, published test split",
            small(spg, (5, 15, 30), 8, evaluation=baseline),
        ),
        "sketchy-small": (
            "real sketches from scratch: the classes of a cut-down Sketchy",
            small(sketchy, (5, 15, 30), 30, evaluation=baseline),
        ),
        "sketchy-retrieval-small": (
            "retrieval of photos by sketches, from scratch: a cut-down Sketchy",
            small(searched, (15,), 30, evaluation=baseline),
        ),
    }
    for cell in ("none", "0", "1e-4", "1e-3", "1e-2", "1e-1"):
        variant = {"none": "landmarks+offset", "0": "landmarks+offset+class-aware"}.get(cell, "full")
        recipe = paper(64, variant)
        recipe.data.validation_share = 8 / 64
        recipe.loss.beta = Loss.beta if cell in ("none", "0") else float(cell)
        configs[f"table1-beta-{cell}"] = f"table I: beta {cell}", recipe
    for train in (8, 40, 64):
        for row, variant in {"resnet101": "resnet", **ROWS}.items():
            what = f"table II: {train} training sketches, {row}"
            configs[f"table2-{train}-{row}"] = what, paper(train, variant)
        what = f"table II: {train} training sketches, nine networks and their fusion"
        configs[f"table2-{train}-ensemble"] = what, paper(train, landmarks=NINE)
    for row, variant in {"resnet101": "resnet", **ROWS}.items():
        configs[f"table3-{row}"] = f"table III: Sketchy, {row}", on_sketchy(paper(None, variant))
    for backbone in BACKBONES:
        recipe = paper(72, "landmarks+offset", backbone=backbone)
        configs[f"fig8a-{backbone}"] = f"figure 8a: {backbone}", recipe
    for n in NINE:
        configs[f"fig8b-{n}"] = f"figure 8b: {n} landmarks", paper(72, "landmarks+offset", (n,))
    for train in range(8, 65, 8):
        for row, variant in ROWS.items():
            what = f"figure 9: {train} training sketches, {row}, each n and their fusion"
            configs[f"fig9-{train}-{row}"] = what, paper(train, variant, NINE)
    return configs


def main(arguments: list[str] | None = None) -> None:
    defaults = ("demo", "table2-64-ensemble")
    chosen = choose_recipe(arguments, named_configs(), SCRIPT, str(__doc__), DECISIONS, defaults=defaults)
    if chosen is None:
        return
    name, recipe, again = chosen
    if recipe.loop.out == LoopConfig().out:
        recipe.loop.out = f"runs/landmark-{name}"
    run(name, recipe, again)


if __name__ == "__main__":
    run_recipe(main, SCRIPT)
