"""TCN: zero-shot sketch-based image retrieval (Wang, Deng, Liu and Tao, TPAMI 2023).

A sketch encoder and a photo encoder are coupled by a penalty on the distance between their weights (L_SWS),
each with its own batch normalisation. On the shared embedding sit a classifier with a distilled ImageNet
teacher (L_DIS) and a metric whose anchors are drawn towards the class's word vector (L_SEM).

    python train/tcn.py                                   the synthetic world, minutes on two cores
    python train/tcn.py sketchy-small --data.root DIR     real sketches from scratch, small
    python train/tcn.py table2-sketchy1-512 --data.root DIR --data.word-vectors FILE
                                                          the paper's main result
    python train/tcn.py --list                            every named config: each row of tables 2, 3 and 4
    python train/tcn.py NAME --help                       the settings of one, and the decisions below
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from sketchfast import atomic
from sketchfast.data import ZeroShotSplit, load_zero_shot
from sketchfast.data.class_pairs import Augmentation, ClassPairs, augment_pairs
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.metrics import PROTOCOLS
from sketchfast.metrics.zero_shot import Cutoffs, Row, evaluate_zero_shot, format_rows
from sketchfast.models.tcn import TCN, TCNConfig
from sketchfast.nn import discrimination_loss, soft_weight_sharing_loss
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import LoopConfig, StepContext, Task, fit, load_weights, save_model, stream_seed
from sketchfast.training.recipe_command import (
    check_dataset,
    check_writable,
    choose_recipe,
    run_recipe,
)
from sketchfast.training.report import TextSection, write_report
from sketchfast.training.retrieval_sections import result_tables, retrieval_grids

SCRIPT = "train/tcn.py"
DECISIONS = """
Decisions (D), where the paper is silent or the released code differs from it:
  L_SWS   squared norms as in eq. 2; --loss.sws code: unsquared, as released. A term is one parameter tensor.
          The photo tower starts as a copy of the sketch tower, also from scratch. Batch normalisation alone
          is left out; other norms of timm models (LayerNorm) are coupled.
  L_DIS   the mean of eq. 9 is taken in each modality, and the two means are added (released). Table 4's
          "Hard (a : b)" weighs the classification of sketches against that of photos.
          Distillation is on photos only: section 3.3 names the image encoder as the student.
  L_SEM   mean over the 2B anchors (released); --model.metric-reduction sum is eq. 11 as printed. The arg max
          of eq. 10 may take the anchor's own feature; --model.exclude-self is the released code, and so is
          --model.entropy-weight.
  BHT+SR  the regression maps the feature to the word vector, mean squared error; its ratio is its weight.
  G_R     batch normalisation follows it (released, the paper names none): --model.embedding-norm. With
          pretrained weights G_R and G_T start as the factors of the ImageNet classifier (released).
          TU-Berlin and QuickDraw: its statistics are kept per modality and dropout follows (released).
  CSE     the modality flag is one more input of each squeeze-excitation; timm's SE weights start it.
  VGG     the feature is fc7 (4096-d). Attention: two 1x1 convolutions, softmax over positions, shortcut.
  batch   32 pairs are the global batch, over all processes. An epoch takes every photo once, with a random
          sketch of its class. lr falls by a constant factor each step. Augmentation has the released ranges.
  best    mean class accuracy of sketch recognition on held-out sketches of seen classes. The two small
          configs take the last epoch: they hold out too few sketches to tell one epoch from the next.
  small   the two small configs train from scratch: unit-length features, no teacher, another lambda_SWS.
  codes   ITQ is fitted on unit-length training features of both modalities; --evaluation.itq tcn fits on
          the test queries, centres each side by its own mean and takes the wrong transpose, as released.
  HT      --data.homogeneous (DeepSSP's transformation at grey level 208, not part of TCN) thins sketches where they
          are resized: before augmentation, and for validation, evaluation, export and queries as well. Photos stay as
          they are. It leaves --augmentation.thickness as it is set; set it to 0 to train on centrelines alone.
  words   --data.semantic one-hot (for data without word vectors) makes G_A a learned proxy of each class:
          it then carries nothing from seen to unseen classes, and it is not the paper's method.
  Fig. 12 one network for each code length, dim = bits. Fig. 13: lambda_SWS 0, 1, 10, 100, 1000, 10000.
"""


DATA_SETS = ("synthetic", "sketchy", "tu_berlin", "quickdraw", "folder")


@dataclass
class Data:
    root: str | None = None  # folder of the data set; none: the synthetic world
    dataset: str = "synthetic"  # one of DATA_SETS: synthetic, sketchy, tu_berlin, quickdraw, folder
    split: str | None = None  # Sketchy: zeroshot1 (100/25, table 2's split 1) or zeroshot0 (104/21, split 2)
    size: int = 224  # side of the network's input in pixels
    homogeneous: bool = (
        False  # sketches, queries included, as centrelines of one pixel (paper 1, section IV-D)
    )
    semantic: Literal["word-vectors", "one-hot"] = "word-vectors"
    word_vectors: str | None = None  # pickle, npz or text; the synthetic world brings its own
    dedupe_gallery: bool = False  # drop the photos that Sketchy-Extended's lists name twice
    memory_gib: float = 4.0  # decode a set once into memory when it fits this
    seed: int = 0  # of the split, where it is random, and of the synthetic world
    train_per_class: int = 40  # the four sizes of the synthetic world
    held_out_per_class: int = 8
    query_per_class: int = 20
    gallery_per_class: int = 120


@dataclass
class Optimizer:
    batch: int = 32  # pairs, over all processes
    repeats: int = 1  # passes over the photos that make an epoch
    lr: float = 1e-4
    lr_end: float = 3e-6
    decay: Literal["exponential", "cosine"] = "exponential"  # from lr to lr_end, step by step
    warmup: float = 0.0  # share of the steps over which lr first rises
    weight_decay: float = 5e-4
    decoupled_decay: bool = False  # AdamW instead of Adam


@dataclass
class Loss:
    lambda_sws: float = 1000.0
    lambda_dis: float = 1.0
    lambda_sem: float = 1.0
    sws: Literal["paper", "code"] = "paper"
    sketch_weight: float = 1.0  # table 4: Hard (sketch_weight : 1)
    teacher: bool = True  # distil the ImageNet model; needs pretrained weights


@dataclass
class Evaluation:
    checkpoint: Literal["best", "last"] = "best"  # of the epochs
    ap_at: tuple[int, ...] = ()  # k of mAP@k, besides all
    at: tuple[int, ...] = (100,)  # k of Prec@k
    protocols: tuple[str, ...] = ("sklearn", "sake")  # the paper's numbers are under "sake"
    itq: Literal["itq", "tcn"] = "itq"
    bits: tuple[int, ...] = (32, 64, 128)  # as far as dim permits
    keep_bits: int = 64  # the ITQ stored with the model
    export: bool = False  # write OUT/export, both encoders as ONNX


@dataclass
class Recipe:
    data: Data = field(default_factory=Data)
    model: TCNConfig = field(default_factory=TCNConfig)
    loss: Loss = field(default_factory=Loss)
    optimizer: Optimizer = field(default_factory=Optimizer)
    augmentation: Augmentation = field(default_factory=Augmentation)
    evaluation: Evaluation = field(default_factory=Evaluation)
    loop: LoopConfig = field(default_factory=LoopConfig)


class TCNTask(Task):
    """Algorithm 1. S, I: sketches and photos of a batch; R: their features; O: logits; Y^S: word vectors."""

    name, monitor, mode = "tcn", "sketch_accuracy", "max"

    def __init__(self, recipe: Recipe, split: ZeroShotSplit) -> None:
        self.recipe, self.split = recipe, split
        names = split.seen_names
        preprocess = Preprocess(size=recipe.data.size, homogeneous=recipe.data.homogeneous)
        self.words = class_vectors(recipe, split)
        recipe.model.num_classes, recipe.model.semantic_dim = len(names), self.words.shape[1]
        pretrained = recipe.model.weights != "none"
        recipe.model.num_teacher_classes = 1000 if pretrained and recipe.loss.teacher else 0
        torch.manual_seed(stream_seed(recipe.loop.seed))
        self.model = TCN(recipe.model, names, preprocess).to(memory_format=torch.channels_last)
        self.teacher = self.model.take_teacher()
        self.pairs: ClassPairs | None = None
        self.pixels: Pixels | None = None

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        if self.pairs is None:
            o, memory = self.recipe.optimizer, int(self.recipe.data.memory_gib * 2**30)
            self.pairs = ClassPairs(
                self.split.train_sketches, self.split.train_photos, self.model.preprocess,
                o.batch, self.recipe.loop.seed, o.repeats, memory,
            )  # fmt: skip
        return self.pairs.epoch(epoch, rank, world, start_step)

    def prepare(self, device: torch.device) -> None:
        self.words = self.words.to(device)
        if self.teacher is not None:
            self.teacher.to(device, memory_format=torch.channels_last)

    def make_optimizer(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        o = self.recipe.optimizer
        kind = torch.optim.AdamW if o.decoupled_decay else torch.optim.Adam
        return kind(params, lr=o.lr, weight_decay=o.weight_decay)

    def schedule(self, step: int, total: int) -> float:
        o, progress = self.recipe.optimizer, step / max(total - 1, 1)
        rise = min(1.0, (step + 1) / max(1.0, o.warmup * total))
        if o.decay == "exponential":
            return rise * (o.lr_end / o.lr) ** progress
        return rise * (o.lr_end + (o.lr - o.lr_end) * (1 + math.cos(math.pi * progress)) / 2) / o.lr

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, torch.Tensor]:
        recipe, model = self.recipe.loss, self.model
        S, I = augment_pairs(batch, self.recipe.augmentation, model.preprocess)
        Y = batch["label"]
        out = context.model(S, I)  # eq. 1, 7, 8
        O_teacher = None
        if self.teacher is not None:
            with context.fabric.autocast():
                O_teacher = self.teacher(I)

        dis = discrimination_loss(  # eq. 9
            out.sketch_logits, out.photo_logits, Y, out.photo_distilled, O_teacher, recipe.sketch_weight
        )
        R, Y2 = torch.cat([out.sketch, out.photo]), torch.cat([Y, Y])
        # alpha of the whole global batch, so that it does not depend on the number of processes.
        alpha = torch.rand(2, len(Y) * context.world_size, generator=context.shared_generator)
        alpha = alpha[:, context.local_slice(len(Y))].flatten().to(R.device)
        own = context.rank * len(R) + torch.arange(len(R), device=R.device)
        L_sem = model.semantic_metric(  # eq. 10, 11
            R, Y2, context.all_gather(R), context.all_gather(Y2),
            semantic=self.words[Y2], alpha=alpha, own=own, classifier=model.class_logits,
            processes=context.world_size,
        )  # fmt: skip

        loss = recipe.lambda_dis * dis.total + recipe.lambda_sem * L_sem  # eq. 12
        logs = {"L_DIS": dis.total, "L_SEM": L_sem}
        logs |= {"L_DIS_sketch": dis.sketch_classification, "L_DIS_photo": dis.photo_classification}
        if dis.distillation is not None:
            logs["L_DIS_teacher"] = dis.distillation
        if model.config.sharing == "soft":
            L_sws = soft_weight_sharing_loss(model.coupled_weights(), recipe.sws)  # eq. 2
            loss, logs["L_SWS"] = loss + recipe.lambda_sws * L_sws, L_sws
        return {"loss": loss, **logs}

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        """Recognition of held-out sketches of seen classes: accuracy of each class, then their mean."""
        held_out = self.split.held_out_sketches
        memory = int(self.recipe.data.memory_gib * 2**30)
        self.pixels = self.pixels or Pixels(held_out, self.model.preprocess, memory)
        right = np.zeros(len(held_out))
        for rows in np.array_split(np.arange(len(held_out)), max(1, len(held_out) // 128)):
            with fabric.autocast():
                S = normalize(self.pixels.take(rows).to(fabric.device), self.model.preprocess)
                predicted = self.model.classify_sketch(S).argmax(dim=1)
            right[rows] = predicted.cpu().numpy() == held_out.labels[rows]
        return {
            self.monitor: float(
                np.mean([right[held_out.labels == y].mean() for y in np.unique(held_out.labels)])
            )
        }


def check(recipe: Recipe) -> None:
    """ValueError or OSError for what would otherwise come to light after hours of training, or never."""
    check_dataset(recipe.data.dataset, DATA_SETS)
    e, data = recipe.evaluation, recipe.data
    if unknown := set(e.protocols) - set(PROTOCOLS):
        raise ValueError(
            f"--evaluation.protocols: expected {', '.join(PROTOCOLS)}, found {', '.join(sorted(unknown))}"
        )
    if wrong := [bits for bits in (*e.bits, e.keep_bits) if bits < 8 or bits % 8]:
        raise ValueError(f"--evaluation.bits: expected multiples of 8, found {wrong[0]}")
    if wrong := [k for k in (*e.at, *e.ap_at) if k < 1]:
        raise ValueError(f"--evaluation.at: expected at least 1, found {wrong[0]}")
    if too_long := [bits for bits in e.bits if bits > recipe.model.dim]:
        print(f"codes of {', '.join(map(str, too_long))} bits are left out: dim is {recipe.model.dim}")
    if data.dataset == "synthetic" and (data.root or data.word_vectors or data.split):
        raise ValueError(
            "--data.root, --data.split and --data.word-vectors belong to a data set, but --data.dataset is synthetic; "
            "name sketchy, tu_berlin, quickdraw or folder"
        )
    check_writable(recipe.loop.out)


def load_split(data: Data) -> ZeroShotSplit:
    if data.dataset == "synthetic":
        sizes = ("train_per_class", "held_out_per_class", "query_per_class", "gallery_per_class")
        options = {name: getattr(data, name) for name in sizes}
        return load_zero_shot("synthetic", seed=data.seed, size=data.size, **options)
    if data.root is None:
        raise SystemExit(f"data set {data.dataset!r} needs its folder: --data.root DIR")
    vectors = data.word_vectors if data.semantic == "word-vectors" else None
    return load_zero_shot(
        data.dataset, data.root, data.split,
        seed=data.seed, dedupe_gallery=data.dedupe_gallery, word_vectors=vectors,
    )  # fmt: skip


def class_vectors(recipe: Recipe, split: ZeroShotSplit) -> torch.Tensor:
    """Y^S of the seen classes, float32 [classes, D]."""
    if recipe.data.semantic == "one-hot":
        print(
            "(D) semantic vectors are one-hot: G_A learns a proxy of each seen class and knows no word (not the paper)"
        )
        return torch.eye(len(split.seen_names))
    if split.semantic is None:
        if recipe.model.metric in ("none", "bht"):
            return torch.zeros(len(split.seen_names), 1)
        raise SystemExit(
            f"metric {recipe.model.metric!r} needs a vector for each class name and {split.name} brings none: "
            "--data.word-vectors FILE (pickle, npz or text), or --data.semantic one-hot"
        )
    return torch.from_numpy(np.stack([split.semantic[name] for name in split.seen_names])).float()


@torch.no_grad()
def untrained_network(task: TCNTask) -> TCN:
    """The same network with new random weights, its batch normalisation fed with a few training batches."""
    config = dataclasses.replace(task.model.config, weights="none", freeze_batch_norm=False, itq_bits=0)
    torch.manual_seed(stream_seed(task.recipe.loop.seed, 1))
    device = next(task.model.parameters()).device
    network = TCN(config, task.model.class_names, task.model.preprocess).to(device).train()
    for _, batch in zip(range(8), task.batches(0, 0, 1)):
        images = [normalize(batch[name].to(device), network.preprocess) for name in ("sketch", "photo")]
        network(*images)
    return network.eval()


def run(name: str, recipe: Recipe, again: str | None = None) -> list[Row]:
    """Train, evaluate, store, report. again: the command that resumes the run, shown when it is interrupted."""
    check(recipe)
    split = load_split(recipe.data)
    print(split.summary())
    task = TCNTask(recipe, split)
    out, resolved = Path(recipe.loop.out), dataclasses.asdict(recipe)
    resolved.pop("loop")
    changeable = (
        "data.root",
        "data.memory_gib",
        *(f"evaluation.{f.name}" for f in dataclasses.fields(Evaluation)),
    )
    result = fit(task, recipe.loop, json_able(resolved), may_change=changeable, resume_command=again)
    if result.interrupted or not is_main():
        return []
    checkpoint = result.best_path if recipe.evaluation.checkpoint == "best" else result.last_path
    if checkpoint is not None:
        load_weights(checkpoint, task.model)
        print(f"evaluating the {recipe.evaluation.checkpoint} epoch, {checkpoint}; ", end="")
        print(f"best {task.monitor} {result.metrics[task.monitor]:.3f}")
    e, model = recipe.evaluation, task.model.eval()
    scored = evaluate_zero_shot(
        model, split, Cutoffs(("all", *e.ap_at), e.at, e.protocols), "TCN",
        bits=e.bits, itq=e.itq, untrained=untrained_network(task), memory=int(recipe.data.memory_gib * 2**30),
    )  # fmt: skip
    for itq in scored.itqs:  # the longest that fits: keep_bits, or what dim permits
        if itq.bits <= e.keep_bits:
            model.set_itq(torch.from_numpy(itq.mean), torch.from_numpy(itq.projection))
    if model.itq_projection is None:
        print(f"no ITQ is stored: none of the bits {e.bits} is at most keep_bits = {e.keep_bits}")
    save_model(out / "model", model, {"task": task.name, "recipe": name, "data": split.name})
    atomic.write_json(out / "results.json", [row.to_dict() for row in scored.rows])
    format_rows(scored.rows)
    print(f"model   {out / 'model'}")
    if e.export:
        import sketchfast

        exported = sketchfast.export(out, "onnx", out / "export", overwrite=True)
        print(f"export  {exported.path}\n{exported.parity.summary() if exported.parity else ''}")
    sections = [TextSection("Data", split.summary()), *result_tables(scored.rows, "TCN")]
    sections += [grid for search in scored.searches for grid in retrieval_grids(search)]
    print(f"report  {write_report(out, f'TCN, {name}: {split.name}', result.history, sections)}")
    return scored.rows


def is_main() -> bool:
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def json_able(value: Any) -> Any:
    """Tuples become lists, as they are after a trip through JSON."""
    if isinstance(value, dict):
        return {key: json_able(item) for key, item in value.items()}
    return [json_able(item) for item in value] if isinstance(value, list | tuple) else value


# ---- named configs: one for each row of tables 2, 3 and 4 and each point of figures 12 and 13 ----

DATASETS: dict[str, tuple[Data, Evaluation]] = {
    "sketchy1": (Data(dataset="sketchy", split="zeroshot1"), Evaluation()),
    "sketchy2": (Data(dataset="sketchy", split="zeroshot0"), Evaluation(ap_at=(200,), at=(200,))),
    "tu-berlin": (Data(dataset="tu_berlin"), Evaluation()),
    "quickdraw": (Data(dataset="quickdraw"), Evaluation(at=(200,))),
}


def paper(data: str = "sketchy1", dim: int = 64, **changes: Any) -> Recipe:
    """The paper's recipe on one data set; `changes` are fields of the model and of the loss."""
    source, scoring = (dataclasses.replace(part) for part in DATASETS[data])
    of_model = {f.name for f in dataclasses.fields(TCNConfig)}
    model = {key: value for key, value in changes.items() if key in of_model}
    loss = {key: value for key, value in changes.items() if key not in of_model}
    if data in ("tu-berlin", "quickdraw"):  # released code
        model = {"embedding_norm": "separate", "embedding_dropout": 0.5 if dim <= 64 else 0.7, **model}
    return Recipe(source, TCNConfig(dim=dim, **model), Loss(**loss), evaluation=scoring)


def small(data: Data, epochs: int, **changes: Any) -> Recipe:
    """From scratch at 64 pixels on a few cores: a small network, unit-length features, no teacher, larger steps.

    The paper's lambda_SWS belongs to a pretrained network and steps of 1e-4; from scratch the towers have to find
    their way, and the hardest examples pull raw features into one point, which features of length 1 withstand.
    """
    model = TCNConfig("resnet10", "none", width=0.5, dim=64, logit_scale=20.0)
    augment = Augmentation(
        scale=(0.8, 1.25), rotation=15.0, shift=0.1, pair_together=False, colour=0.4, grey=0.3, thickness=0.3
    )
    steps = Optimizer(
        64, lr=2e-3, lr_end=2e-5, decay="cosine", warmup=0.05, weight_decay=0.05, decoupled_decay=True
    )
    recipe = Recipe(data, model, Loss(lambda_sws=1.0, teacher=False), steps, augment, Evaluation("last"))
    recipe.loop = LoopConfig(epochs=epochs, precision="auto")
    return dataclasses.replace(recipe, **changes)


def named_configs() -> dict[str, tuple[str, Recipe]]:
    """name -> (what it is, recipe). Building a recipe builds no network."""
    configs: dict[str, tuple[str, Recipe]] = {
        "demo": ("the synthetic world, minutes on two cores", small(Data(size=64), epochs=40)),
        "sketchy-small": (
            "real sketches from scratch: a cut-down Sketchy on two cores or one GPU",
            small(Data(dataset="sketchy", split="zeroshot1", size=64, semantic="one-hot"), epochs=30),
        ),
        "released-code": (
            "every switch as in the authors' released code (Sketchy split 1, 64-d)",
            dataclasses.replace(
                paper(sws="code", exclude_self=True, entropy_weight=True), evaluation=Evaluation(itq="tcn")
            ),
        ),
    }
    for data in DATASETS:
        for dim in (512, 64):
            configs[f"table2-{data}-{dim}"] = f"table 2: {data}, {dim}-d", paper(data, dim)
    for backbone in ("vgg16", "vgg19", "resnet50", "se_resnet50", "cse_resnet50"):
        name = f"table3-{backbone.replace('_', '-')}"
        configs[name] = f"table 3: {backbone}", paper(backbone=backbone)
        if backbone.startswith("vgg"):
            with_attention = paper(backbone=backbone, attention=True)
            configs[f"{name}-attention"] = f"table 3: {backbone} with attention", with_attention
    ablations: dict[str, dict[str, Any]] = {
        "sharing-none": {"sharing": "none"},
        "sharing-hard-0.1-1": {"sharing": "hard", "sketch_weight": 0.1},
        "sharing-hard-1-1": {"sharing": "hard", "sketch_weight": 1.0},
        "sharing-hard-10-1": {"sharing": "hard", "sketch_weight": 10.0},
        "sharing-soft": {},
        "metric-none": {"metric": "none"},
        "metric-bht": {"metric": "bht"},
        "metric-bht-sr-1-0.1": {"metric": "bht+sr", "regression_weight": 0.1},
        "metric-bht-sr-1-1": {"metric": "bht+sr", "regression_weight": 1.0},
        "metric-bht-sr-1-10": {"metric": "bht+sr", "regression_weight": 10.0},
        "metric-sbht": {},
        "teacher-none": {"teacher": False},
        "teacher-with": {},
    }
    for data in ("sketchy1", "tu-berlin"):
        for row, changes in ablations.items():
            configs[f"table4-{data}-{row}"] = f"table 4: {row} on {data}", paper(data, 64, **changes)
    for bits in (32, 64, 128):
        configs[f"fig12-{bits}"] = f"figure 12: codes of {bits} bits", paper(dim=bits)
    for weight in (0, 1, 10, 100, 1000, 10000):
        configs[f"fig13-{weight}"] = f"figure 13: lambda_SWS {weight}", paper(lambda_sws=float(weight))
    return configs


def main(arguments: list[str] | None = None) -> None:
    defaults = ("demo", "table2-sketchy1-512")
    chosen = choose_recipe(arguments, named_configs(), SCRIPT, str(__doc__), DECISIONS, defaults=defaults)
    if chosen is None:
        return
    name, recipe, again = chosen
    if recipe.loop.out == LoopConfig().out:
        recipe.loop.out = f"runs/tcn-{name}"
    run(name, recipe, again)


if __name__ == "__main__":
    run_recipe(main, SCRIPT)
