"""train/deepssp.py: every named config takes a step, a tiny run from data to report, resuming, two processes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import tyro
from PIL import Image
from safetensors.torch import load_file

from sketchfast.data.part_augment import PartAugmentation
from sketchfast.data.part_batches import PartBatches, labels_at, network_input
from sketchfast.data.part_tables import PARTS
from sketchfast.data.pose_labels import MIRRORED_POSE, read_pose_labels
from sketchfast.data.sketchparse import LISTS
from sketchfast.data.synthetic_parts import synthetic_parts
from sketchfast.models import load_run
from sketchfast.runtime.preprocess import Preprocess
from tests.train.recipe_module import TRAIN, load_recipe

RECIPE = TRAIN / "deepssp.py"
SIZE = 48
recipe = load_recipe("deepssp")
CONFIGS = recipe.named_configs()
PAPER = [name for name in CONFIGS if name.startswith(("table", "fig"))]
TINY = [
    *("--data.categories", "cow", "dog", "cat", "--data.train-per-category", "4"),
    *("--data.held-out-per-category", "1", "--data.test-per-category", "2", "--data.drawn-size", "48"),
    *("--augmentation.size", str(SIZE), "--model.width", "0.125", "--optimizer.batch", "4"),
    *("--stages.stage1-iterations", "4", "--stages.stage2-iterations", "2", "--loop.epochs", "2"),
    *("--loop.log-every", "1", "--loop.threads", "1", "--loop.accelerator", "cpu"),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic world as files in SketchParse's published layout, and pose labels."""
    root = tmp_path_factory.mktemp("SketchParse")
    parts = synthetic_parts(0, SIZE, 2, 1, 0)

    def write(image: np.ndarray, *path: str) -> None:
        file = root.joinpath(*path)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)

    lines: dict[str, list[str]] = {}
    for i in range(len(parts.train)):
        category = parts.train.category_of(i)
        # Years rise within a category and fall where the next begins; ids are unlike in every list.
        lines.setdefault(category, []).append(f"{(2008, 2010)[len(lines.get(category, []))]}_{i:06d}-1")
        sketch, mask = parts.train.load(i)
        write(sketch, "train_sketches", f"{lines[category][-1]}(r,p0).png")
        write(mask, "train_sketch_GT", f"{lines[category][-1]}(r,p0).png")
    (root / "lists").mkdir()
    for file, categories in LISTS.items():
        names = [f"{line}(r,p0)\n" for category in categories for line in lines[category]]
        (root / "lists" / file).write_text("".join(names))
    poses = [
        f"{name.replace('-', '_')}.jpg {k % 8}\n"
        for k, name in enumerate(name for own in lines.values() for name in own)
    ]
    (root / "Pose_all_label.txt").write_text("".join(poses))
    for i in range(len(parts.test)):
        sketch, mask = parts.test.load(i)
        write(sketch, "PNG_untouched", parts.test.category_of(i), f"{i}.png")
        write(mask, "test_GT", parts.test.category_of(i), f"{i}.png")
    return root


def shrunk(config, root: Path):
    """The same recipe with a network and pictures a core steps through in milliseconds."""
    model = replace(config.model, backbone="resnet10", weights="none", width=0.125)
    if config.model.net == "deeplab":
        model = replace(model, stem="small", dilations=(1, 2))
    data = replace(config.data, root=str(root))
    if config.model.pose_classes:
        data = replace(data, pose_labels=str(root / "Pose_all_label.txt"))
    stages = replace(
        config.stages, stage1_iterations=2, stage2_iterations=2 * bool(config.stages.stage2_iterations)
    )
    return replace(
        config, model=model, data=data, stages=stages, augmentation=replace(config.augmentation, size=SIZE),
        optimizer=replace(config.optimizer, batch=max(2, config.optimizer.batch // 8)),
    )  # fmt: skip


def one_step(task) -> dict[str, torch.Tensor]:
    """An optimizer step; the branches of the batch learn, and nothing else beside the shared layers."""
    model, batch = task.model.train(), next(iter(task.batches(0, 0, 1)))
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = task.make_optimizer(task.parameter_groups())
    values = task.training_step(batch, 0, SimpleNamespace(model=model))
    values["loss"].backward()
    optimizer.step()
    changed = {id(value) for name, value in model.named_parameters() if not torch.equal(before[name], value)}
    visited = set(batch["branch"].tolist())
    for b in range(len(model.branch_names)):
        assert any(id(p) in changed for p in model.branch_parameters(b)) == (b in visited)
    shared = any(id(p) in changed for p in model.shared_parameters())
    assert shared == (task.stage == 1)
    assert all(torch.isfinite(value) for value in values.values())
    return values


@pytest.mark.parametrize("name", PAPER)
def test_every_config_of_the_paper_takes_a_step(name: str, published: Path) -> None:
    config = shrunk(CONFIGS[name][1], published)
    recipe.check(config)
    split = recipe.load_split(config.data)
    model = recipe.build_model(config, split)
    values = one_step(recipe.DeepSSPTask(config, split, model, 1))
    assert ("L_pose" in values) == (name == "table8-mm17")
    assert ("L_category" in values) == (config.model.architecture != "independent")
    if config.stages.stage2_iterations:
        full = recipe.to_full(model)
        full.freeze_shared()
        task = recipe.DeepSSPTask(config, split, full, 2)
        one_step(task)
        assert task.steps == 2 * 11 and len(task.groups) == 11


def test_every_row_has_a_config_and_the_rows_differ_as_the_paper_says() -> None:
    count = {kind: sum(name.startswith(kind) for name in CONFIGS) for kind in
             ("table2", "table3", "table4", "table5", "table8", "table9", "fig7a", "fig7b", "fig8")}  # fmt: skip
    assert count == {
        "table2": 3, "table3": 16, "table4": 4, "table5": 8, "table8": 5, "table9": 1, "fig7a": 5, "fig7b": 4, "fig8": 6,
    }  # fmt: skip
    config = {name: r for name, (_, r) in CONFIGS.items()}
    # The paper prints the same number for these.
    for a, b in (
        ("table2-original", "table3-vanilla-original"), ("table2-ht", "table3-vanilla-ht"),
        ("table3-erasing-mirroring-rotation-ht", "table4-ce"), ("table4-soft-background", "table5-with-super"),
        ("table5-without-super", "table8-baseline"), ("fig8-baseline", "table8-baseline"),
        ("table5-with-staged", "table8-ours"), ("fig7b-sgd", "fig7a-5e-4"), ("fig7a-5e-4", "table8-baseline"),
        ("fig8-combination", "table4-ce"), ("fig8-soft-weighted", "table4-soft-background"),
        ("fig8-homogeneous", "table3-mirroring-rotation-ht"), ("fig8-staged", "table8-ours"),
        ("fig8-erasing", "table3-erasing-mirroring-rotation-original"), ("table9", "table8-ours"),
        ("table3-mirroring-rotation-original", "table8-baseline"),
    ):  # fmt: skip
        assert config[a] == config[b], (a, b)
    different = {json.dumps(recipe.dataclasses.asdict(r), sort_keys=True) for r in config.values()}
    assert len(different) == len(CONFIGS) - 16  # one for each pair above
    train_only = config["table2-ht-train-only"]
    assert train_only.augmentation.homogeneous and not train_only.model.homogeneous


def test_defaults_are_the_paper_s() -> None:
    r = recipe.Recipe()
    o, a = r.optimizer, r.augmentation
    assert (o.kind, o.lr, o.lr * o.final_factor, o.power, o.momentum) == ("sgd", 5e-4, 5e-3, 0.9, 0.9)
    assert (o.weight_decay, o.batch, a.size, a.erase, a.threshold) == (0.0, 1, 321, 31, 128)
    assert (r.stages.stage1_iterations, r.stages.stage2_iterations) == (20000, 2000)
    assert (r.model.backbone, r.model.scales, r.model.dilations) == (
        "resnet101", (1.0, 0.75, 0.5), (6, 12, 18, 24),
    )  # fmt: skip
    assert r == replace(CONFIGS["table8-ours"][1]) and r.loss.background_gain == 2.0
    assert len(a.enumerate_paper(np.random.default_rng(0))) == 28
    task = recipe.DeepSSPTask.__new__(recipe.DeepSSPTask)
    task.recipe, task.groups = r, [None] * 11
    # Stage 2: every branch starts at the full rate and decays by its own iterations.
    assert [task.schedule(step, 22000) for step in range(11)] == [1.0] * 11
    assert task.schedule(11 * 1000 + 5, 22000) == pytest.approx(0.5**0.9)


def test_branches_take_turns_and_every_item_comes_once_a_pass(seed: int) -> None:
    train = synthetic_parts(seed, SIZE, 3, 1, 0).train
    groups = [np.flatnonzero(train.categories_index == k) for k in range(11)]
    how = PartAugmentation(size=SIZE)
    source = PartBatches(train, groups, how, {"item": np.arange(len(train))}, 4, seed)
    items = torch.cat([batch["item"] for batch in source.steps(0, 33)]).numpy()
    assert (train.categories_index[items] == np.arange(132) % 11).all()
    for turn in range(4):
        assert sorted(items[33 * turn : 33 * turn + 33]) == list(range(33))
    whole = list(source.steps(5, 3))
    halves = list(zip(source.steps(5, 3, 0, 2), source.steps(5, 3, 1, 2), strict=True))
    again = list(PartBatches(train, groups, how, {"item": np.arange(len(train))}, 4, seed).steps(6, 1))
    for name in whole[0]:
        for batch, parts in zip(whole, halves):
            assert torch.equal(torch.cat([part[name] for part in parts]), batch[name])
        assert torch.equal(again[0][name], whole[1][name])
    # A fixed set of 28 copies of an item.
    assert len({source.variant(k, 0) for k in range(600)}) == 28
    with pytest.raises(ValueError, match="3 processes"):
        source.steps(0, 1, 0, 3)
    with pytest.raises(ValueError, match="groups"):
        PartBatches(train, [np.array([], int)], how, {})


def test_labels_are_those_under_the_cells_and_grey_is_normalised_as_in_serving(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = torch.from_numpy(random.integers(0, 9, (2, 321, 321), dtype=np.uint8))
    assert torch.equal(labels_at(labels, (41, 41)), labels[:, ::8, ::8])
    assert torch.equal(labels_at(labels, (321, 321)), labels)
    assert labels_at(labels, (1, 1)).shape == (2, 1, 1)
    grey, preprocess = random.integers(0, 256, (2, 5, 5), dtype=np.uint8), Preprocess(size=5)
    served = preprocess.normalize(np.repeat(grey[..., None], 3, axis=-1))
    torch.testing.assert_close(network_input(torch.from_numpy(grey), preprocess), torch.from_numpy(served))


def test_pose_labels(published: Path, tmp_path: Path) -> None:
    names = [f"train_sketch_GT/{path.name}" for path in sorted((published / "train_sketch_GT").iterdir())]
    assert read_pose_labels(published / "Pose_all_label.txt", names).max() == 7
    assert [MIRRORED_POSE[MIRRORED_POSE[k]] for k in range(8)] == list(range(8))
    with pytest.raises(ValueError, match="no pose of 1 of 1"):
        read_pose_labels(published / "Pose_all_label.txt", ["x/2007_1-1(r,p0).png"])
    (tmp_path / "poses.txt").write_text("2008_000001_1.jpg 8\n")
    with pytest.raises(ValueError, match="line 1"):
        read_pose_labels(tmp_path / "poses.txt", [])


def test_help_teaches_and_list_lists(capsys: pytest.CaptureFixture[str]) -> None:
    recipe.main(["--list"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in CONFIGS) and "train/tcn.py" in listed
    with pytest.raises(SystemExit):
        recipe.main(["table5-with-staged", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "Decisions (D)",
        "--stages.stage2-iterations",
        "--loop.resume",
        "--evaluation.aligned",
        "Pose_all_label",
    ):
        assert text in shown
    for name in ("demo", "table8-fcn", "table8-mm17"):
        config = CONFIGS[name][1]
        assert tyro.cli(recipe.Recipe, default=config, args=["--data.root", "there"]).data.root == "there"
    with pytest.raises(SystemExit, match="tabel4"):
        recipe.main(["tabel4"])
    with pytest.raises(SystemExit, match=r"perhaps ablation; python train/deepssp.py --list"):
        recipe.main(["--loop.epochs", "2", "ablaton"])
    with pytest.raises(SystemExit, match=r"'spg': the config comes first: python train/deepssp.py spg"):
        recipe.main(["--loop.epochs", "2", "spg"])
    with pytest.raises(SystemExit, match="2"):  # tyro's own words for settings
        recipe.main(["demo", "--loop.epoch", "2"])
    assert "--loop.epochs" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"--data\.root"):
        recipe.main(["table8-ours"])


def test_from_data_to_report(tmp_path: Path, published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aligned = tmp_path / "aligned"
    rows = []
    for folder, kind in (("image", "PNG_untouched"), ("label", "test_GT")):
        (aligned / folder).mkdir(parents=True)
        for category in ("cow", "bus"):  # the tiny model knows no bus
            (file,) = (published / kind / category).iterdir()
            (aligned / folder / f"{category}.png").write_bytes(file.read_bytes())
            rows.append({"name": f"{category}.png", "cls": category, "boundary_px": 0.5})
    (aligned / "index.json").write_text(json.dumps(rows[:2]))
    out = tmp_path / "run"
    recipe.main(["demo", *TINY, "--loop.out", str(out), "--evaluation.aligned", str(aligned)])
    printed = capsys.readouterr().out
    for text in (
        "deepssp stage 1: epoch 2/2",
        "deepssp stage 2: epoch 2/2",
        "all background",
        "inside the filled outline",
        "report  ",
        "sketchfast parse",
        "category right",
    ):
        assert text in printed, text
    results = json.loads((out / "results.json").read_text())
    named = [(row["data"], row["method"], row["category"]) for row in results]
    assert named == [
        ("test", "DeepSSP, stage 1", "given"), ("test", "DeepSSP, stage 1", "guessed"),
        ("test", "DeepSSP, stage 2", "given"), ("test", "DeepSSP, stage 2", "guessed"),
        ("test", "all background", "-"), ("test", "largest part inside the filled outline", "-"),
        ("real", "DeepSSP, stage 2", "given"), ("real", "DeepSSP, stage 2", "guessed"),
        ("real", "all background", "-"), ("real", "largest part inside the filled outline", "-"),
    ]  # fmt: skip
    for row in results:
        assert row["interval"][0] <= row["mean_iou"] <= row["interval"][1]
        assert len(row["sketches"]) == row["count"] == (6 if row["data"] == "test" else 1)
    assert results[0]["parts"]["dog"].keys() <= {"background", *PARTS["dog"]}
    assert all(0 <= row["category_accuracy"] <= 1 for row in results if row["category"] == "guessed")
    assert "<svg" in (out / "report.html").read_text()
    model = load_run(out)
    assert model.config.architecture == "full" and set(model.class_names) == {"cow", "dog", "cat"}
    with pytest.raises(FileExistsError):
        recipe.main(["demo", *TINY, "--loop.out", str(out)])


def test_a_run_that_dies_in_stage_2_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["demo", *TINY, "--loop.checkpoint-every", "1", "--loop.out"]
    die_at = int(np.random.default_rng(seed).integers(1, 6))
    recipe.main([*settings, str(tmp_path / "whole")])
    step = recipe.DeepSSPTask.training_step

    def mortal(self, batch, number, context):
        if self.stage == 2 and number == die_at:
            raise KeyboardInterrupt
        return step(self, batch, number, context)

    with monkeypatch.context() as patch:
        patch.setattr(recipe.DeepSSPTask, "training_step", mortal)
        with pytest.raises(KeyboardInterrupt):
            recipe.main([*settings, str(tmp_path / "dead")])
    assert not (tmp_path / "dead" / "model").exists()
    recipe.main([*settings, str(tmp_path / "dead"), "--loop.resume"])
    whole, dead = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "dead"))
    assert whole.keys() == dead.keys() and all(torch.equal(whole[name], dead[name]) for name in whole)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "dead"))
    assert one == two


def test_two_processes_give_the_curve_of_one(tmp_path: Path) -> None:
    curves = []
    for processes in (1, 2):
        out = tmp_path / f"run{processes}"
        settings = [*TINY, "--model.freeze-batch-norm", "True", "--loop.out", str(out)]
        if processes == 1:
            recipe.main(["demo", *settings])
        else:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(RECIPE.parents[1])}
            command = [sys.executable, str(RECIPE), "demo", *settings, "--loop.devices", "2"]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
            )
            assert done.returncode == 0, done.stderr[-3000:]
        files = [out / stage / "metrics.jsonl" for stage in ("stage1", "stage2")]
        records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        curves.append([[r["loss"], r["L"], r["L_category"]] for r in records if r["kind"] == "train"])
    assert len(curves[0]) == 4 + 6
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.root", "/somewhere"], "synthetic"),
        (
            ["--data.dataset", "foo"],
            "unknown data set 'foo', expected synthetic, sketchparse, pascal-part or spg",
        ),
        (["--model.architecture", "full"], "super branches"),
        (["--model.pose-classes", "8"], "pose-labels"),
        (["--augmentation.size", "32"], "at least 33"),
        (["--model.threshold", "99"], "threshold"),
        (["--stages.stage1-iterations", "0"], "iterations"),
        (["--optimizer.lr", "0"], "lr"),
        (["--optimizer.batch", "0"], "batch"),
        (["--data.categories", "cow", "unicorn"], "unicorn"),
        (["--model.categories", "cow", "5"], "data.categories"),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path: Path, more: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe.main(["demo", *TINY, "--loop.out", str(tmp_path / "run"), *more])
    assert not (tmp_path / "run").exists()
