"""train/landmark.py: every named config takes a step, a tiny run from data to report, fusion, retrieval, resuming."""

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

from sketchfast.data import synthetic
from sketchfast.models import load_run
from tests.train.recipe_module import TRAIN, load_recipe

RECIPE = TRAIN / "landmark.py"
SIZE, CLASSES = 48, ("airplane", "bicycle", "cat")
recipe = load_recipe("landmark")
CONFIGS = recipe.named_configs()
PAPER = [name for name in CONFIGS if name.startswith(("table", "fig"))]
LOOP = ["--loop.epochs", "2", "--loop.log-every", "1", "--loop.threads", "1", "--loop.accelerator", "cpu"]
NET = ["--data.size", str(SIZE), "--model.width", "0.125", "--optimizer.batch", "6"]
TINY = [
    *("--data.classes", *CLASSES, "--data.drawn-size", "64", "--data.train-per-class", "6"),
    *("--data.validation-per-class", "2", "--data.test-per-class", "3", *NET, *LOOP),
]
THREE = ["--model.landmarks", "3", "8", "20"]


def write(image: np.ndarray, *path: str | Path) -> None:
    file = Path(*path)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file)


@pytest.fixture(scope="module")
def drawn() -> synthetic.SyntheticImageSet:
    return synthetic.classification(0, 64, 10, 0, 1, 1, CLASSES).train


@pytest.fixture(scope="module")
def tu_berlin(tmp_path_factory: pytest.TempPathFactory, drawn) -> Path:
    root = tmp_path_factory.mktemp("tu_berlin")
    for i in range(len(drawn)):
        write(drawn.load(i), root, "png", CLASSES[drawn.labels[i]], f"{i + 1}.png")
    return root


@pytest.fixture(scope="module")
def sketchy(tmp_path_factory: pytest.TempPathFactory, drawn) -> Path:
    root = tmp_path_factory.mktemp("sketchy")
    photos = synthetic.zero_shot(0, 64, 2, 1, 1, 1, unseen=("cow", "dog")).train_photos
    count = dict.fromkeys(CLASSES, 0)
    for i in range(len(drawn)):
        name = CLASSES[drawn.labels[i]]
        ready = Path(root, "256x256", "sketch", "tx_000000000000_ready", name)
        write(drawn.load(i), ready, f"n0{drawn.labels[i]}_{i // 2}-{i % 2 + 1}.png")
    for i in range(len(photos)):
        name = photos.names[photos.labels[i]]
        if name in count:
            place = Path(root, "256x256", "photo", "tx_000000000000_ready", name)
            write(photos.load(i), place, f"n0{CLASSES.index(name)}_{i}.jpg")
    return root


@pytest.fixture(scope="module")
def quickdraw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("quickdraw"), np.random.default_rng(0)
    for number, word in enumerate(("airplane", "cat", "unheard of")):
        lines = [
            {"word": word, "key_id": f"{number}{k}", "drawing": random.integers(0, 256, (3, 2, 9)).tolist()}
            for k in range(4)
        ]
        (root / f"{word}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def shrunk(config, root: Path):
    """The same recipe with a network and pictures a core steps through in milliseconds."""
    model = replace(config.model, backbone="resnet10", weights="none", width=0.125)
    data = replace(config.data, root=str(root), size=SIZE, train_per_class=5)
    if data.dataset == "sketchy":
        data = replace(data, train_per_class=None, test_per_class=3)
    if data.validation_per_class:
        data = replace(data, validation_per_class=1)
    return replace(config, model=model, data=data, optimizer=replace(config.optimizer, batch=4))


def one_step(task) -> dict[str, torch.Tensor]:
    """An optimizer step, in which every parameter learns."""
    model, batch = task.model.train(), next(iter(task.batches(0, 0, 1)))
    before = [value.detach().clone() for value in model.parameters()]
    optimizer = task.make_optimizer(task.parameter_groups())
    values = task.training_step(batch, 0, SimpleNamespace(model=model))
    values["loss"].backward()
    assert all(value.grad is not None and value.grad.any() for value in model.parameters())
    optimizer.step()
    pairs = zip(model.named_parameters(), before, strict=True)
    assert not [name for (name, value), old in pairs if value.equal(old)]  # those that have not moved
    assert all(torch.isfinite(value) for value in values.values())
    return {name: value.detach() for name, value in values.items()}


@pytest.mark.parametrize("name", PAPER)
def test_every_config_of_the_paper_takes_a_step(name: str, tu_berlin: Path, sketchy: Path, seed: int) -> None:
    config = shrunk(CONFIGS[name][1], sketchy if name.startswith("table3") else tu_berlin)
    recipe.check(config)
    split = recipe.load_split(config.data)
    members = list(recipe.networks(config).values())
    own = members[np.random.default_rng(seed).integers(len(members))]
    task = recipe.LandmarkTask(own, split, recipe.training_set(own, split))
    values = one_step(task)
    model, loss = task.model.config, config.loss
    expected = {"loss", "L_cls"} | ({"L_c"} if model.class_aware else set())
    assert values.keys() == expected | ({"L_f", "L_r"} if loss.diversity else set())
    L_div = sum(float(values[name]) for name in values if name not in ("loss", "L_cls"))
    assert float(values["loss"]) == pytest.approx(float(values["L_cls"]) + loss.beta * L_div, rel=1e-5)
    assert len(members) == (9 if name.startswith("fig9") or name.endswith("ensemble") else 1)
    assert (split.photos is not None) == name.startswith("table3")


@pytest.mark.parametrize("backbone", ["alexnet", "vgg16", "googlenet", "resnet34"])
def test_the_backbones_of_figure_8a_learn(backbone: str, tu_berlin: Path) -> None:
    config = CONFIGS[f"fig8a-{backbone}"][1]
    assert config.model.backbone == backbone
    config = replace(shrunk(config, tu_berlin), model=replace(config.model, weights="none"))
    config.data.size, config.optimizer.batch = 64, 2
    split = recipe.load_split(config.data)
    one_step(recipe.LandmarkTask(config, split, split.train))


def test_every_row_has_a_config_and_the_rows_differ_as_the_paper_says() -> None:
    kinds = ("table1", "table2", "table3", "fig8a", "fig8b", "fig9")
    count = {kind: sum(name.startswith(kind) for name in CONFIGS) for kind in kinds}
    assert count == {"table1": 6, "table2": 21, "table3": 6, "fig8a": 6, "fig8b": 9, "fig9": 40}
    config = {name: r for name, (_, r) in CONFIGS.items()}
    pairs = [
        ("fig8a-resnet101", "fig8b-30"),
        *((f"table2-{train}-ensemble", f"fig9-{train}-full") for train in (8, 40, 64)),
    ]
    for a, b in pairs:  # the same thing in two places of the paper
        assert config[a] == config[b], (a, b)
    different = {json.dumps(recipe.dataclasses.asdict(r), sort_keys=True) for r in config.values()}
    assert len(different) == len(CONFIGS) - len(pairs)
    full = config["table2-64-full"]
    for name in recipe.VARIANTS:
        row = {"resnet": "resnet101", **{v: k for k, v in recipe.ROWS.items()}}[name]
        assert recipe.with_variant(replace(full, variant=name)) == replace(
            config[f"table2-64-{row}"], variant=name
        )
    assert [config[f"table1-beta-{cell}"].loss.beta for cell in ("1e-4", "1e-3", "1e-2", "1e-1")] == [
        1e-4, 1e-3, 1e-2, 1e-1,
    ]  # fmt: skip
    without, zero = config["table1-beta-none"], config["table1-beta-0"]
    assert not without.model.class_aware and zero.model.class_aware and not zero.loss.diversity


def test_defaults_are_the_paper_s() -> None:
    r = recipe.Recipe()
    o, a = r.optimizer, r.augmentation
    assert (o.kind, o.lr, o.momentum, o.weight_decay, o.batch) == ("sgd", 1e-2, 0.9, 5e-4, 32)
    assert (a.rotation, a.flip, a.scale, a.shift, a.thickness, a.warp) == (
        60.0,
        True,
        (1.0, 1.0),
        0.0,
        0.0,
        0.0,
    )
    assert (r.model.backbone, r.model.landmarks, r.data.size, r.loop.epochs) == ("resnet101", (30,), 256, 120)
    assert (r.loss.beta, r.loss.reduction) == (1e-3, "sum")
    assert r == replace(CONFIGS["table2-64-full"][1], data=recipe.Data())
    best = CONFIGS["table2-64-ensemble"][1]
    assert best.model.landmarks == (5, 10, 15, 20, 25, 30, 40, 50, 60) and best.ensemble == "separate"
    searched = CONFIGS["table3-full"][1]
    assert (searched.data.test_per_class, searched.data.validation_per_class, searched.loop.epochs) == (
        200,
        50,
        80,
    )
    task = recipe.LandmarkTask.__new__(recipe.LandmarkTask)
    task.recipe = r
    rates = [task.schedule(step, 100) for step in range(100)]
    assert rates[0] == 1.0 and rates == sorted(rates, reverse=True) and rates[50] == pytest.approx(0.5)


def test_help_teaches_and_list_lists(capsys: pytest.CaptureFixture[str]) -> None:
    recipe.main(["--list"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in CONFIGS)
    with pytest.raises(SystemExit):
        recipe.main(["table2-64-full", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("Decisions (D)", "--ensemble", "--loop.resume", "--evaluation.cross", "--variant", "eq. 6"):
        assert text in shown
    names = ("demo", "sketchy-small", "sketchy-retrieval-small", "table1-beta-0", "table3-full", "fig8b-60")
    for name in (*names, "fig9-8-diversity"):
        config = CONFIGS[name][1]
        assert tyro.cli(recipe.Recipe, default=config, args=["--data.root", "there"]).data.root == "there"
    with pytest.raises(SystemExit, match="tabel4"):
        recipe.main(["tabel4"])
    with pytest.raises(ValueError, match=r"--data\.root DIR"):
        recipe.main(["table2-8-full"])
    with pytest.raises(NotADirectoryError, match="nowhere"):
        recipe.main(["--data.root", "nowhere"])  # the default with a root is the paper's main result


def test_from_data_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str], quickdraw: Path) -> None:
    out = tmp_path / "run"
    cross = ["--evaluation.cross", "quickdraw", "--evaluation.cross-root", str(quickdraw)]
    recipe.main(["demo", *TINY, *THREE, "--evaluation.baseline", *cross, "--loop.out", str(out)])
    printed = capsys.readouterr().out
    for text in ("landmark n03: epoch 2/2", "landmark n20: epoch 2/2", "landmark global: epoch 2/2", "nearest pixel",
                 "validation: accuracy of the tested epoch: n = 3 ",
                 "Chance: 0.3333", "fused over n - n = ", "report  ", "sketchfast classify"):  # fmt: skip
        assert text in printed, text
    results = json.loads((out / "results.json").read_text())
    assert [(row["data"], row["method"]) for row in results["rows"]] == [
        ("test", "n = 3"), ("test", "n = 8"), ("test", "n = 20"), ("test", "fused over n"),
        ("test", "global pooling"), ("test", "nearest pixel"),
        ("quickdraw", "among all 3 classes"), ("quickdraw", "among these 2 classes"),
        ("validation", "n = 3"), ("validation", "n = 8"), ("validation", "n = 20"), ("validation", "global pooling"),
    ]  # fmt: skip
    fusion = results["fusion"]
    validated = results["rows"][-4:]
    assert [row["accuracy"]["1"] for row in validated[:3]] == fusion["validation_accuracy"]
    assert all(row["count"] == 6 for row in validated)
    assert fusion["landmarks"] == [3, 8, 20] and sum(fusion["weights"]) == pytest.approx(1)
    assert fusion["interval"][0] <= fusion["gain"] <= fusion["interval"][1]
    model = load_run(out)
    assert model.landmarks == (3, 8, 20) and model.config.fusion == tuple(fusion["weights"])
    split = json.loads((out / "split.json").read_text())
    assert split["sizes"] == {"train": 18, "validation": 6, "test": 9}
    assert "<svg" in (out / "report.html").read_text()
    with pytest.raises(FileExistsError):
        recipe.main(["demo", *TINY, *THREE, "--loop.out", str(out)])

    # Nothing of the run changes when something else is asked of its folder, resuming or not.
    def contents() -> dict[str, bytes]:
        files = [path for path in out.rglob("*") if path.is_file() and path.name != ".lock"]
        return {str(path.relative_to(out)): path.read_bytes() for path in files}

    kept, again = contents(), ["--loop.resume", "--loop.out", str(out)]
    for more, message in (
        (["--data.seed", "1"], r"data.seed: 0 there, 1 now"),
        (["--data.drawn-size", "48"], r"data.drawn_size: 64 there, 48 now"),
        (["--model.landmarks", "3", "8"], r"model.landmarks: \[3, 8, 20\] there, \[3, 8\] now"),
        (["--ensemble", "shared"], r"ensemble: 'separate' there, 'shared' now"),
    ):
        for last in (again, again[1:]):
            with pytest.raises(ValueError, match=rf"run: cannot resume.*{message}"):
                recipe.main(["demo", *TINY, *THREE, *more, *last])
    assert contents() == kept
    stored = json.loads(kept["split.json"])
    for text, message in (
        ("[]", "split.json is not a split: expected the kind"), ("{", "split.json is not a split: not JSON"),
        (json.dumps(stored | {"seed": 4}), "split.json: this run was started with other images .seed: 4 there, 0 now"),
    ):  # fmt: skip
        (out / "split.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            recipe.main(["demo", *TINY, *THREE, *again])
        assert (out / "split.json").read_text() == text


def test_one_network_for_several_n_and_retrieval_of_photos(tmp_path: Path, sketchy: Path) -> None:
    out = tmp_path / "run"
    settings = [
        "--ensemble",
        "shared",
        "--model.landmarks",
        "4",
        "9",
        *NET,
        *LOOP,
    ]
    settings += [
        "--data.root",
        str(sketchy),
        "--data.validation-per-class",
        "2",
        "--data.test-per-class",
        "3",
    ]
    recipe.main(["sketchy-retrieval-small", *settings, "--loop.out", str(out)])
    results = json.loads((out / "results.json").read_text())
    assert [row["method"] for row in results["rows"]] == [
        "n = 4", "n = 9", "fused over n", "global pooling", "nearest pixel", "n = 4", "n = 9", "global pooling",
    ]  # fmt: skip
    rows = [row for row in results["retrieval"] if row["protocol"] == "sklearn"]
    width = load_run(out).classifiers[0].in_features
    assert [(row["method"], row["code"].split(",")[0]) for row in rows] == [
        ("n = 4", "f"), ("n = 4", "f and f_s"), ("n = 9", "f"), ("n = 9", "f and f_s"),
        ("global pooling", "f"), ("chance", "-"),
    ]  # fmt: skip
    assert rows[0]["code"] == f"f, {width}-d" and rows[0]["values"].keys() == {"mAP@all", "Prec@1"}
    # The same split again from its file, with another seed.
    again = tmp_path / "again"
    more = [
        "--data.split-file",
        str(out / "split.json"),
        "--data.seed",
        "5",
        "--variant",
        "resnet",
        "--evaluation.no-baseline",
    ]
    recipe.main(["sketchy-retrieval-small", *settings, *more, "--loop.epochs", "1", "--loop.out", str(again)])
    one, two = (json.loads((folder / "split.json").read_text())["parts"] for folder in (out, again))
    assert one == two
    found = json.loads((again / "results.json").read_text())
    assert [row["method"] for row in found["rows"]] == ["global pooling", "nearest pixel", "global pooling"]
    assert load_run(again).landmarks == ()


def test_a_cross_set_has_no_drawing_that_was_trained_on(quickdraw: Path) -> None:
    config = CONFIGS["spg-small"][1]
    data = replace(config.data, dataset="quickdraw", root=str(quickdraw), train_per_class=None)
    split, data = recipe.load_split(data), config.data  # SPG's drawings bear QuickDraw's key_ids
    e = replace(config.evaluation, cross="quickdraw", cross_root=str(quickdraw))
    with pytest.raises(ValueError, match="all of its drawings"):
        recipe.cross_set(replace(config, data=data, evaluation=e), split)
    half = replace(
        split,
        validation=split.test.subset([0]),
        test=split.test.subset([1]),
        train=split.train.subset([0, 4]),
    )
    found = recipe.cross_set(replace(config, data=data, evaluation=e), half)
    own = {*half.train.ids, *half.validation.ids, *half.test.ids}
    assert len(found) == 12 - len(own) and not own & set(found.ids)


def test_a_cut_down_sketchy_is_tested_as_a_whole(tu_berlin: Path, sketchy: Path) -> None:
    config = shrunk(CONFIGS["fig8b-30"][1], tu_berlin)
    evaluation = replace(config.evaluation, cross="sketchy", cross_root=str(sketchy))
    config = replace(config, evaluation=evaluation)
    recipe.check(config)
    assert len(recipe.cross_set(config, recipe.load_split(config.data))) == 10 * len(CLASSES)


def test_only_folders_may_be_tested_on_one_of_their_kind(tu_berlin: Path, sketchy: Path) -> None:
    config = CONFIGS["spg-small"][1]
    for dataset, cross, root, allowed in (
        ("folder", "folder", sketchy, True), ("folder", "folder", tu_berlin, False),
        ("folder", "tu_berlin", tu_berlin / "png" / "..", False), ("spg", "quickdraw", tu_berlin, True),
        ("quickdraw", "quickdraw", sketchy, False), ("sketchy", "sketchy", sketchy, False),
        ("tu_berlin", "tu_berlin", sketchy, False), ("tu_berlin", "sketchy", sketchy, True),
    ):  # fmt: skip
        data = replace(config.data, dataset=dataset, root=str(tu_berlin))
        evaluation = replace(config.evaluation, cross=cross, cross_root=str(root))
        own = replace(config, data=data, evaluation=evaluation)
        if allowed:
            recipe.check(own)
            continue
        with pytest.raises(ValueError, match=f"another data set than the one trained on, found {cross} in"):
            recipe.check(own)


def test_a_model_is_kept_before_what_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(recipe, "recognise", fails)
    settings = ["demo", *TINY, *THREE, "--evaluation.no-baseline", "--loop.epochs", "1"]
    with pytest.raises(MemoryError):
        recipe.main([*settings, "--loop.out", str(tmp_path / "run")])
    model = load_run(tmp_path / "run")
    assert model.landmarks == (3, 8, 20) and sum(model.config.fusion) == pytest.approx(1)


def test_a_run_that_dies_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [
        "demo",
        *TINY,
        *THREE,
        "--evaluation.no-baseline",
        "--loop.checkpoint-every",
        "1",
        "--loop.out",
    ]
    recipe.main([*settings, str(tmp_path / "whole")])
    step, fit = recipe.LandmarkTask.training_step, recipe.fit
    die_at = int(np.random.default_rng(seed).integers(1, 6))

    def dies_in_training(self, batch, number, context):
        if self.model.landmarks == (8,) and number == die_at:
            raise KeyboardInterrupt
        return step(self, batch, number, context)

    def dies_between(task, *args, **kwargs):
        if task.model.landmarks == (20,):
            raise KeyboardInterrupt
        return fit(task, *args, **kwargs)

    dead = [*settings, str(tmp_path / "dead"), "--loop.resume"]
    for place, name, mortal in (
        (recipe.LandmarkTask, "training_step", dies_in_training), (recipe, "fit", dies_between),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(place, name, mortal)
            with pytest.raises(KeyboardInterrupt):
                recipe.main(dead)
        assert not (tmp_path / "dead" / "model").exists()
    assert not (tmp_path / "dead" / "n20").exists()
    recipe.main(dead)
    whole, dead = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "dead"))
    assert whole.keys() == dead.keys() and all(torch.equal(whole[name], dead[name]) for name in whole)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "dead"))
    assert one == two


def test_two_processes_give_the_curve_of_one(tmp_path: Path) -> None:
    curves = []
    for processes in (1, 2):
        out = tmp_path / f"run{processes}"
        settings = [*TINY, "--model.landmarks", "8", "--model.freeze-batch-norm", "--evaluation.no-baseline"]
        settings += ["--loop.out", str(out)]
        if processes == 1:
            recipe.main(["demo", *settings])
        else:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(RECIPE.parents[1])}
            command = [sys.executable, str(RECIPE), "demo", *settings, "--loop.devices", "2"]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
            )
            assert done.returncode == 0, done.stderr[-3000:]
        records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        curves.append([[r["loss"], r["L_cls"], r["L_c"]] for r in records if r["kind"] == "train"])
    assert len(curves[0]) == 6
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.root", "/"], "synthetic"),
        (["--data.dataset", "foo"], "unknown data set 'foo', expected synthetic, .*spg or folder"),
        (["--variant", "landmark"], "--variant: expected one of resnet, only-landmarks"),
        (["--model.landmarks", "0"], r"1\.\.4096"),
        (["--model.landmarks", "5000"], r"1\.\.4096"),
        (["--model.landmarks", "7", "7"], "different"),
        (["--model.pooling", "global"], "--variant resnet"),
        (["--variant", "resnet", "--evaluation.baseline"], "baseline"),
        (["--model.no-class-aware"], "--loss.diversity"),
        (["--model.fusion", "1.0"], "validation"),
        (["--model.width", "0"], r"--model.width: expected a number above 0, found 0\.0"),
        (["--data.memory-gib", "nan"], r"--data.memory-gib: expected at least 0\.0, found nan"),
        (["--loss.beta", "inf"], r"--loss.beta: expected at least 0\.0, found inf"),
        (
            ["--variant", "full", "--model.no-offsets"],
            "--variant full stands for the opposite of --model.no-offsets",
        ),
        (
            ["--data.dataset", "folder", "--data.root", "/"],
            "'folder' has no --data.validation-per-class, found",
        ),
        (["--data.validation-per-class", "0", *THREE], "validation sketches"),
        (["--data.train-on-photos"], "--data.photos"),
        (["--evaluation.cross", "quickdraw"], "cross-root"),
        (["--evaluation.cross", "imagenet", "--evaluation.cross-root", "/"], "imagenet"),
        (["--evaluation.protocols", "best"], "best"),
        (["--loss.beta", "-1"], "beta"),
        (["--optimizer.batch", "1"], "batch"),
        (["--optimizer.lr", "0"], "lr"),
        (["--data.classes", "cat", "unicorn"], "unicorn"),
        (["--optimizer.batch", "1000"], "batch"),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path: Path, more: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe.main(["demo", *TINY, "--loop.out", str(tmp_path / "run"), *more])
    assert not (tmp_path / "run" / "checkpoints").exists()
