"""DeepSSP: semantic parsing of freehand sketches into parts (Zheng, Yao and Sun, 2019).

A DeepLab network labels every pixel of a sketch with a part. It is trained on sketchified photos: homogeneous
transformation (HT) makes every line one pixel wide, in training and at test; the soft-weighted loss L_s is tolerant
at the boundary of two parts and weighs rare parts up; staged learning first trains layers shared by all categories
under super branches, then, with those frozen, one branch for each category.

    python train/deepssp.py                                the synthetic world, minutes on two cores
    python train/deepssp.py table8-ours --data.root DIR    the paper's main result, on SketchParse
    python train/deepssp.py spg --data.root DIR/SPG        labels of stroke pixels, on SPG's QuickDraw sketches
    python train/deepssp.py --list                         every named config: tables II-V, VIII, IX, figures 7, 8
    python train/deepssp.py NAME --help                    the settings of one, and the decisions below

Add --evaluation.aligned DIR/SketchParse/aligned to score the trained network on real sketches with fitted masks.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast import atomic
from sketchfast.data.load_parts import load_parts
from sketchfast.data.part_augment import PartAugmentation
from sketchfast.data.part_batches import PartBatches, labels_at, network_input
from sketchfast.data.part_set import PartSet, PartSplit
from sketchfast.data.pose_labels import MIRRORED_POSE, NUM_POSES, read_pose_labels
from sketchfast.metrics.parser_scores import (
    ParsingRow,
    format_parsing_rows,
    largest_part_of,
    predict_parts,
    score_baselines,
    score_parser,
)
from sketchfast.metrics.parsing import sketch_iou
from sketchfast.models.deepssp import MIN_SIDE, DeepSSP, DeepSSPConfig, to_full
from sketchfast.nn import SoftWeightedLoss
from sketchfast.ops import median_frequency_weights
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, StepContext, Task, fit, save_model, stream_seed
from sketchfast.training.loop_config import FitResult
from sketchfast.training.parsing_sections import parsing_sections
from sketchfast.training.recipe_command import (
    check_dataset,
    check_ranges,
    check_writable,
    choose_recipe,
    run_recipe,
)
from sketchfast.training.report import KeySection, Section, TextSection, history_sections, write_report

SCRIPT = "train/deepssp.py"
DECISIONS = """
Decisions (D), where the paper is silent:
  HT      at network resolution, after the geometric augmentation and before erasing. The centreline is taken at the
          picture's resolution and moved as line segments, so that resizing breaks no line. The threshold is 128, as in
          Algorithm 1; the small configs raise it for pictures of faint lines (adaptive_threshold), which at 128 fall
          into pieces. Training is switched by
          --augmentation.homogeneous, testing by --model.homogeneous.
  net     the three scales share their weights (--model.no-share-scales: a copy each). Everything is enlarged bilinearly
          with aligned corners. Batch normalisation is frozen when the weights are pretrained.
  loss    the sum of the losses of each scale and of their fusion, each at the resolution of its logits: the label is
          that of the pixel under a cell's centre (--loss.resolution input, small configs: the logits are enlarged
          instead). Of several images (the paper has 1 a step) it is the mean.
  alpha   of eq. 9 in each branch's own labels, from its training masks. A label that never occurs has weight 0.
  lr      final convolutions: --optimizer.final-factor times the rest. Poly decay with power 0.9. Figure 7b: the four
          optimizers at the same rates.
  stage 2 starts from copies of the super branch, at the first learning rate (--stages.stage2-rate: a share of it). The
          branches are independent of each other, so one run takes the categories in turn: 2,000 iterations of each,
          each with its own poly decay. A batch of several images mixes branches. Batch normalisation of the frozen
          layers keeps its statistics.
  independent: 20,000 iterations for each category's network, in turn.
  augment the 14 turned and mirrored copies, whole and with one square erased, are drawn at random, not in a fixed order.
          Erased pixels are white. turn, scale, shift, warp (small configs only) are not the paper's.
  IoU     the background is a label of the sketch. Masks are compared at their own size.
  choice  the last iteration is evaluated: the paper uses no validation data. The IoU of each epoch is on held-out
          sketches where the data has them, else on some training sketches.
  category given, as in the paper. Beside it, marked "guessed", the category found by a small head on the shared layers
          (ours; it sends no gradient into them). A prediction holds labels of that category only, also where its super
          branch has others.
  VIII    FCN is FCN-8s on VGG-16, Deeplab the network with one scale, both one network for each category. MM17 is the
          super branch network with weighted cross entropy and a pose task of weight 1 (--data.pose-labels FILE, the
          data set's Pose_all_label.txt), without HT and erasing.
  SPG     one branch for each category, labels on ink only: everything else is ignored. A stroke is right when 75 % of
          its pixels are.
"""

RETRIEVAL_TABLES = (
    "tables VI, VII: networks of other papers (retrieval); HT there: train/tcn.py --data.homogeneous"
)


DATA_SETS = ("synthetic", "sketchparse", "pascal-part", "spg")


@dataclass
class Data:
    root: str | None = None  # folder of the data set; none: the synthetic world
    dataset: str = "sketchparse"  # one of DATA_SETS: synthetic, sketchparse, pascal-part, spg
    categories: tuple[str, ...] = ()  # only these; none: all
    annotations: str | None = (
        None  # Pascal-Part's Annotations_Part, for the categories of SketchParse's lists
    )
    pose_labels: str | None = None  # Pose_all_label.txt; needed with --model.pose-classes
    memory_gib: float = 4.0  # decoded sketches kept in memory
    seed: int = 0  # of the synthetic world
    drawn_size: int = 128  # synthetic and SPG: side of the drawings in pixels
    train_per_category: int = 120  # the three sizes of the synthetic world
    held_out_per_category: int = 12
    test_per_category: int = 24


@dataclass
class Loss:
    kind: Literal["ce", "weighted-ce", "soft", "soft-background"] = "soft-background"  # L, L_w, L_s, L*_s
    background_gain: float = 2.0  # of L*_s: alpha*_0 = 2 alpha_0
    resolution: Literal["logits", "input"] = (
        "logits"  # the label is brought to the logits', or they to the label's
    )
    pose: float = 1.0  # weight of the pose task, with --model.pose-classes


@dataclass
class Optimizer:
    kind: Literal["sgd", "sgd-no-momentum", "adam", "rmsprop"] = "sgd"
    lr: float = 5e-4
    final_factor: float = 10.0  # lr of the final convolutions: 5e-3
    power: float = 0.9  # of the poly decay
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 1  # sketches, over all processes


@dataclass
class Stages:
    stage1_iterations: int = 20000
    stage2_iterations: int = 2000  # for each category; 0: no stage 2
    stage2_rate: float = 1.0  # stage 2 starts at this share of stage 1's first learning rate (D)


@dataclass
class Evaluation:
    aligned: str | None = None  # SketchParse's aligned real pairs: DIR/SketchParse/aligned
    guess: bool = True  # also with the category that the network's own head finds


@dataclass
class Recipe:
    data: Data = field(default_factory=Data)
    model: DeepSSPConfig = field(default_factory=DeepSSPConfig)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    augmentation: PartAugmentation = field(default_factory=PartAugmentation)
    stages: Stages = field(default_factory=Stages)
    evaluation: Evaluation = field(default_factory=Evaluation)
    loop: LoopConfig = field(default_factory=LoopConfig)


class DeepSSPTask(Task):
    """One stage. x: logits of a scale, i: ground truth at their resolution, alpha: weights of a branch's labels."""

    name, mode = "deepssp", "max"

    def __init__(self, recipe: Recipe, split: PartSplit, model: DeepSSP, stage: int) -> None:
        self.recipe, self.split, self.model, self.stage = recipe, split, model, stage
        self.title = f"{self.name} stage {stage}"
        self.monitor = "train_iou" if split.held_out is None else "held_out_iou"
        train, architecture = split.train, model.config.architecture
        categories = [train.category_of(i) for i in range(len(train))]
        self.branch = np.array([model.branch_of(name) for name in categories])
        # Branches in turn: 2,000 iterations for each in stage 2; the networks of the independent architecture.
        in_turn = stage == 2 or architecture == "independent"
        branches = range(len(model.branch_names))
        own = [np.flatnonzero(self.branch == b) for b in branches]
        self.groups = own if in_turn else [np.arange(len(train))]
        iterations = recipe.stages.stage1_iterations if stage == 1 else recipe.stages.stage2_iterations
        self.steps = iterations * len(self.groups)
        # The loop validates and saves after each of its epochs: at most as many as asked for, of equal length.
        self.epochs = max(n for n in range(1, recipe.loop.epochs + 1) if self.steps % n == 0)
        self.criteria = torch.nn.ModuleList(self.criterion(b, own[b]) for b in branches)
        category = np.array([model.class_names.index(name) for name in categories])
        values = {"branch": self.branch, "category": category}
        if recipe.model.pose_classes:
            names = [train.name_of(i) for i in range(len(train))]
            values["pose"] = read_pose_labels(str(recipe.data.pose_labels), names)
        self.source = PartBatches(
            train, self.groups, recipe.augmentation, values, recipe.optimizer.batch,
            stream_seed(recipe.loop.seed, stage), int(recipe.data.memory_gib * 2**30),
        )  # fmt: skip

    def criterion(self, branch: int, rows: np.ndarray) -> SoftWeightedLoss:
        """Eq. 4 (L), eq. 11 with one-hot lambda (L_w), eq. 11 (L_s), eq. 11 with alpha*_0 = 2 alpha_0 (L*_s)."""
        kind, labels = self.recipe.loss.kind, self.model.config.branches[self.model.branch_names[branch]]
        if kind == "ce":
            return SoftWeightedLoss(torch.ones(labels), soft=False)
        gain = self.recipe.loss.background_gain if kind == "soft-background" else 1.0
        masks = (torch.from_numpy(self.split.train.load(int(i))[1].copy()) for i in rows)
        with warnings.catch_warnings():  # ids without a part ("dont care"), the background of SPG
            warnings.simplefilter("ignore", UserWarning)
            alpha = median_frequency_weights(masks, labels, background_gain=gain)  # eq. 9, 10
        return SoftWeightedLoss(alpha, soft=kind != "weighted-ce")

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        count = self.steps // self.epochs * self.recipe.loop.accumulate
        return self.source.steps(epoch * count + start_step, count - start_step, rank, world)

    def prepare(self, device: torch.device) -> None:
        self.criteria.to(device)

    def parameter_groups(self) -> Iterable[Any]:
        o, final = self.recipe.optimizer, {id(p): p for p in self.model.final_parameters()}
        rest = [p for p in self.model.parameters() if p.requires_grad and id(p) not in final]
        lr = o.lr * (self.recipe.stages.stage2_rate if self.stage == 2 else 1.0)
        return [{"params": rest, "lr": lr}, {"params": list(final.values()), "lr": lr * o.final_factor}]

    def make_optimizer(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        o = self.recipe.optimizer
        if o.kind == "adam":
            return torch.optim.Adam(params, lr=o.lr, betas=(0.9, 0.99), weight_decay=o.weight_decay)
        if o.kind == "rmsprop":
            return torch.optim.RMSprop(params, lr=o.lr, alpha=0.9, weight_decay=o.weight_decay)
        momentum = o.momentum if o.kind == "sgd" else 0.0
        return torch.optim.SGD(params, lr=o.lr, momentum=momentum, weight_decay=o.weight_decay)

    def schedule(self, step: int, total: int) -> float:
        turns = len(self.groups)  # each branch decays by its own iteration
        return (1.0 - (step // turns) / (total // turns)) ** self.recipe.optimizer.power

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        x, heads = context.model(
            network_input(batch["image"], self.model.preprocess), batch["branch"], auxiliary=True
        )
        L = sum(
            self.criteria[branch](x_scale[n, None], i[n, None])  # eq. 11 of one image
            for branch, (rows, x_scales) in x.items()
            for x_scale, i in self.at_one_resolution(x_scales, batch["label"][rows])
            for n in range(len(rows))
        ) / len(batch["image"])
        logs, loss = {"L": L.detach()}, L
        if heads.category is not None:
            logs["L_category"] = F.cross_entropy(heads.category.float(), batch["category"])
            loss = loss + logs["L_category"]
        if heads.pose is not None:
            mirrored = torch.tensor(MIRRORED_POSE, device=batch["pose"].device)[batch["pose"]]
            pose = torch.where(batch["mirrored"], mirrored, batch["pose"])
            logs["L_pose"] = F.cross_entropy(heads.pose.float(), pose)
            loss = loss + self.recipe.loss.pose * logs["L_pose"]
        return {"loss": loss, **logs}

    def at_one_resolution(self, x_scales: list[Tensor], i: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        if self.recipe.loss.resolution == "logits":
            return ((x, labels_at(i, x.shape[-2:])) for x in x_scales)
        return (
            (F.interpolate(x.float(), i.shape[-2:], mode="bilinear", align_corners=True), i) for x in x_scales
        )

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        items = self.split.held_out
        if items is None:
            count = len(self.split.train)
            items = self.split.train.subset(np.unique(np.linspace(0, count - 1, 64).round().astype(int)))
        categories = [items.category_of(i) for i in range(len(items))]
        with fabric.autocast():
            masks, _ = predict_parts(self.model, items, categories)
        found = [sketch_iou(mask, items.load(i)[1]) for i, mask in enumerate(masks)]
        return {self.monitor: float(np.nanmean(found))}


def check(recipe: Recipe) -> None:
    """ValueError or OSError for what would otherwise come to light after hours of training, or never."""
    check_dataset(recipe.data.dataset, DATA_SETS)
    data, model, stages, size = recipe.data, recipe.model, recipe.stages, recipe.augmentation.size
    if data.dataset == "synthetic" and data.root:
        raise ValueError(
            "--data.root belongs to a data set, but --data.dataset is synthetic; name sketchparse, pascal-part or spg"
        )
    if stages.stage1_iterations < 1 or stages.stage2_iterations < 0:
        raise ValueError(f"--stages: expected at least 1 and 0 iterations, found {stages}")
    if stages.stage2_iterations and model.architecture != "super":
        raise ValueError(
            f"--stages.stage2-iterations {stages.stage2_iterations}: stage 2 starts from super branches, but "
            f"--model.architecture is {model.architecture}; give 0"
        )
    if model.pose_classes and (model.pose_classes != NUM_POSES or data.pose_labels is None):
        raise ValueError(
            f"--model.pose-classes {model.pose_classes}: expected {NUM_POSES} with --data.pose-labels FILE, "
            f"found {data.pose_labels}"
        )
    for name in ("categories", "branches", "super_of", "parts"):
        if getattr(model, name):
            raise ValueError(
                f"--model.{name.replace('_', '-')} follows from the data set; see --data.categories"
            )
    if size < MIN_SIDE:
        raise ValueError(f"--augmentation.size: expected at least {MIN_SIDE} pixels, found {size}")
    for name in ("threshold", "adaptive_threshold"):
        tested, trained = getattr(model, name), getattr(recipe.augmentation, name)
        if tested != trained:
            raise ValueError(f"{name} must be equal: --model has {tested}, --augmentation has {trained}")
    check_ranges(recipe, {}, above_0=("optimizer.lr", "optimizer.power"))
    if recipe.loop.epochs < 1 or recipe.optimizer.batch < 1:
        raise ValueError("--loop.epochs and --optimizer.batch: expected at least 1")
    check_writable(recipe.loop.out)


def load_split(data: Data) -> PartSplit:
    options: dict[str, Any] = {}
    only = data.categories
    if data.dataset == "synthetic":
        sizes = ("train_per_category", "held_out_per_category", "test_per_category")
        options = {name: getattr(data, name) for name in sizes} | {"size": data.drawn_size}
        options |= {"categories": only} if only else {}
    elif data.root is None:
        raise SystemExit(f"data set {data.dataset!r} needs its folder: --data.root DIR")
    elif data.dataset == "sketchparse":
        options = {"annotations": data.annotations}
    elif data.dataset == "spg":
        options = {"size": data.drawn_size, "categories": only or None}
    split = load_parts(data.dataset, data.root, seed=data.seed, **options)
    len(split.train), len(split.test)  # says at once what is not on disk
    if only and len(only) < len(split.train.categories):
        split.train, split.test = split.train.of_categories(only), split.test.of_categories(only)
    return split


def build_model(recipe: Recipe, split: PartSplit) -> DeepSSP:
    counts, tested = split.train.counts(), split.test.counts()
    parts = {name: split.train.parts[name] for name, count in counts.items() if count}
    if lacking := [name for name, count in tested.items() if count and name not in parts]:
        raise ValueError(f"no training sketch of {', '.join(lacking)}: leave them out with --data.categories")
    config = replace(
        recipe.model, parts=parts, categories={name: 1 + len(own) for name, own in parts.items()}
    )
    torch.manual_seed(stream_seed(recipe.loop.seed))
    return DeepSSP(config, Preprocess(size=recipe.augmentation.size))


def train_stage(recipe: Recipe, task: DeepSSPTask, again: str | None) -> FitResult:
    resolved = dataclasses.asdict(recipe) | {"stage": task.stage}
    resolved.pop("loop")
    loop = replace(recipe.loop, out=f"{recipe.loop.out}/stage{task.stage}", epochs=task.epochs)
    if loop.strategy in ("auto", "ddp") and loop.devices != 1:
        # The branches that a batch does not visit have no gradient.
        loop.strategy = "ddp_find_unused_parameters_true"
    free = [f"evaluation.{f.name}" for f in dataclasses.fields(Evaluation)]
    return fit(task, loop, resolved, may_change=["data.root", "data.memory_gib", *free], resume_command=again)


def run(name: str, recipe: Recipe, again: str | None = None) -> list[ParsingRow]:
    """Both stages, evaluation of each, report. again: the command that resumes, shown when a run is interrupted."""
    check(recipe)
    out, e = Path(recipe.loop.out), recipe.evaluation
    split = load_split(recipe.data)
    print(split.summary())
    model = build_model(recipe, split)
    aligned = None if e.aligned is None else known(load_parts("aligned", e.aligned).test, model)
    print(model.weights_report)
    stages = (1, 2) if recipe.stages.stage2_iterations else (1,)
    trained: list[tuple[int, DeepSSP, FitResult]] = []
    for stage in stages:
        if stage == 2:  # fig. 5b: freeze the shared layers S, a branch for each category
            model = to_full(model)
            model.freeze_shared()
        task = DeepSSPTask(recipe, split, model, stage)
        result = train_stage(recipe, task, again)
        if result.interrupted:
            return []
        trained.append((stage, model, result))
    if not is_main():
        return []
    rows: list[ParsingRow] = []
    curves: list[Section] = []
    # Only now: between the stages the other processes would wait for this one, and NCCL gives up after a time.
    for stage, network, result in trained:
        print(f"evaluating stage {stage} on {len(split.test):,} test sketches")
        rows += score_parser(network, split.test, "test", f"DeepSSP, stage {stage}", e.guess)
        curves += [replace(s, title=f"Training, stage {stage}") for s in history_sections(result.history)]
    largest = largest_part_of(split.train)
    rows += score_baselines(split.test, largest, "test")
    if aligned is not None:
        rows += score_parser(model, aligned, "real", f"DeepSSP, stage {stages[-1]}", e.guess)
        rows += score_baselines(aligned, largest, "real")
    save_model(out / "model", model, {"task": DeepSSPTask.name, "recipe": name, "data": split.name})
    atomic.write_json(out / "results.json", [row.to_dict() for row in rows])
    print(format_parsing_rows(rows))
    sections: list[Section] = [TextSection("Data", split.summary())]
    for title, items in (("test", split.test), ("real", aligned)):
        own = [row for row in rows if row.data == title]
        if items is not None:
            sections += parsing_sections(own, items, title)
    sections += [*curves, KeySection("Config", {"config": name, **dataclasses.asdict(recipe)})]
    print(f"model   {out / 'model'}")
    print(f"report  {write_report(out, f'DeepSSP, {name}: {split.name}', [], sections)}")
    print(f"next    sketchfast parse SKETCH.png --model {out} --category {model.class_names[0]}")
    return rows


def known(items: PartSet, model: DeepSSP) -> PartSet:
    """The items of categories that the model knows with the same parts."""
    same = [k for k, name in enumerate(items.categories) if model.config.parts.get(name) == items.parts[name]]
    rows = np.flatnonzero(np.isin(items.categories_index, same))
    if not len(rows):
        raise ValueError(
            f"--evaluation.aligned: none of its categories has the parts that {', '.join(model.class_names)} have"
        )
    print(f"{items.name}: {len(rows)} of {len(items)} sketches are of categories with the same parts")
    return items.subset(rows)


def is_main() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


# ---- named configs: one for each row of tables II-V, VIII and IX and each bar and curve of figures 7 and 8 ----

OFF = PartAugmentation(rotations=(0,), mirror=False, erase=0, homogeneous=False)


def augmentation(*names: str) -> PartAugmentation:
    """Of "mirroring", "rotation", "erasing" and "ht"."""
    paper = PartAugmentation()
    return PartAugmentation(
        rotations=paper.rotations if "rotation" in names else (0,),
        mirror="mirroring" in names,
        erase=paper.erase if "erasing" in names else 0,
        homogeneous="ht" in names,
    )


BASE, ALL = ("mirroring", "rotation"), ("erasing", "mirroring", "rotation", "ht")


def paper(
    *augment: str, loss: str = "ce", architecture: str = "super", staged: bool = False, **changes: Any
) -> Recipe:
    """The paper's recipe with this augmentation, loss and architecture; `changes` are fields of the model."""
    model = {"architecture": architecture, "homogeneous": "ht" in augment, **changes}
    return Recipe(
        model=DeepSSPConfig(**model), loss=Loss(loss), augmentation=augmentation(*augment),
        stages=Stages() if staged else Stages(stage2_iterations=0),
    )  # fmt: skip


def small(data: Data, stage1: int, stage2: int, **model: Any) -> Recipe:
    """From scratch at 96 pixels on a few cores: a narrow ten-layer network, larger steps, continuous augmentation.

    Small parts are smaller than a cell of its logits: these are enlarged to the label's resolution, not the reverse.
    """
    fields: dict[str, Any] = {
        "backbone": "resnet10", "weights": "none", "stem": "small", "width": 0.25, "output_stride": 4,
        "dilations": (1, 2, 3, 4), "scales": (1.0,), "adaptive_threshold": True,
    }  # fmt: skip
    return Recipe(
        data,
        DeepSSPConfig(**(fields | model)),
        Loss(resolution="input"),
        Optimizer("adam", lr=2e-3, final_factor=1.0, batch=16),
        PartAugmentation(
            size=96, rotations=(0,), turn=20.0, scale=0.2, shift=0.08, warp=0.04, adaptive_threshold=True
        ),
        Stages(stage1, stage2, stage2_rate=0.3),
        loop=LoopConfig(epochs=5, precision="auto"),
    )


def named_configs() -> dict[str, tuple[str, Recipe]]:
    """name -> (what it is, recipe). Building a recipe builds no network."""
    synthetic = Data(dataset="synthetic")
    eight = ("airplane", "ant", "butterfly", "crab", "duck", "face", "ice_cream", "pig")
    spg = small(Data(dataset="spg", categories=eight), 900, 0, architecture="full")
    configs: dict[str, tuple[str, Recipe]] = {
        "demo": ("the synthetic world, both stages, minutes on two cores", small(synthetic, 600, 25)),
        "ablation": ("the synthetic world, super branches, short", small(synthetic, 250, 0)),
        "spg": ("SPG: labels of stroke pixels, one branch for each of 8 categories", spg),
        "table2-original": ("table II: no HT", paper()),
        "table2-ht-train-only": (
            "table II: HT-, in training but not at test",
            paper("ht", homogeneous=False),
        ),
        "table2-ht": ("table II: HT in training and at test", paper("ht")),
    }
    kinds = [(), ("mirroring",), ("rotation",), ("erasing",), BASE, ALL[:2], ("erasing", "rotation"), ALL[:3]]
    for kind in kinds:
        for column, ht in (("original", ()), ("ht", ("ht",))):
            row = "-".join(kind) or "vanilla"
            configs[f"table3-{row}-{column}"] = f"table III: {row}, {column}", paper(*kind, *ht)
    for loss in ("ce", "weighted-ce", "soft", "soft-background"):
        configs[f"table4-{loss}"] = f"table IV: {loss}", paper(*ALL, loss=loss)
    for column, augment, loss in (("without", BASE, "ce"), ("with", ALL, "soft-background")):
        for row in ("independent", "full", "super", "staged"):
            changes = {"architecture": "super", "staged": True} if row == "staged" else {"architecture": row}
            what = f"table V, {column} improvements: {row}"
            configs[f"table5-{column}-{row}"] = what, paper(*augment, loss=loss, **changes)
    ours = paper(*ALL, loss="soft-background", staged=True)
    vgg = {"net": "fcn", "backbone": "vgg16", "scales": (1.0,), "architecture": "independent"}
    one_scale = {"scales": (1.0,), "architecture": "independent"}
    configs |= {
        "table8-fcn": ("table VIII: FCN-8s, a network for each category", paper(*BASE, **vgg)),
        "table8-deeplab": ("table VIII: Deeplab, a network for each category", paper(*BASE, **one_scale)),
        "table8-baseline": ("table VIII: baseline", paper(*BASE)),
        "table8-mm17": (
            "table VIII: MM'17, with the pose task",
            paper(*BASE, loss="weighted-ce", pose_classes=NUM_POSES),
        ),
        "table8-ours": ("table VIII: our method, the final model", ours),
        "table9": ("table IX: IoU of each part; the final model again", ours),
    }
    for lr in ("1e-5", "5e-5", "1e-4", "5e-4", "1e-3"):
        rate = replace(paper(*BASE), optimizer=Optimizer(lr=float(lr)))
        configs[f"fig7a-{lr}"] = f"figure 7a: learning rate {lr}", rate
    for kind in ("sgd", "sgd-no-momentum", "adam", "rmsprop"):
        chosen = replace(paper(*BASE), optimizer=Optimizer(kind))
        configs[f"fig7b-{kind}"] = f"figure 7b: {kind}", chosen
    bars = {
        "baseline": paper(*BASE), "erasing": paper(*ALL[:3]), "homogeneous": paper(*BASE, "ht"),
        "combination": paper(*ALL), "soft-weighted": paper(*ALL, loss="soft-background"), "staged": ours,
    }  # fmt: skip
    for bar, recipe in bars.items():
        configs[f"fig8-{bar}"] = f"figure 8: {bar}", recipe
    return configs


def main(arguments: list[str] | None = None) -> None:
    defaults = ("demo", "table8-ours")
    chosen = choose_recipe(
        arguments,
        named_configs(),
        SCRIPT,
        str(__doc__),
        DECISIONS,
        defaults=defaults,
        listed=RETRIEVAL_TABLES,
    )
    if chosen is None:
        return
    name, recipe, again = chosen
    if recipe.loop.out == LoopConfig().out:
        recipe.loop.out = f"runs/deepssp-{name}"
    run(name, recipe, again)


if __name__ == "__main__":
    run_recipe(main, SCRIPT)
