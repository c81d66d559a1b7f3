"""train/tcn.py: the named configs, a tiny run from data to report, resuming, two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from lightning.fabric import Fabric
from safetensors.torch import load_file

from sketchfast.data.class_pairs import Augmentation, ClassPairs, augment_pairs
from sketchfast.data.pixels import normalize
from sketchfast.models import TCN, load_run
from sketchfast.runtime.preprocess import Preprocess
from tests.train.recipe_module import TRAIN, load_recipe

RECIPE = TRAIN / "tcn.py"
recipe = load_recipe("tcn")
CONFIGS = recipe.named_configs()
TINY = [
    *("--data.size", "32", "--data.train-per-class", "2", "--data.held-out-per-class", "1"),
    *("--data.query-per-class", "1", "--data.gallery-per-class", "3", "--model.width", "0.125"),
    *("--model.dim", "16", "--optimizer.batch", "16", "--loop.log-every", "1"),
    *("--evaluation.bits", "16", "--evaluation.protocols", "sklearn"),
]


def test_every_row_of_the_tables_has_a_config() -> None:
    count = {
        kind: sum(name.startswith(kind) for name in CONFIGS)
        for kind in ("table2", "table3", "table4", "fig12", "fig13")
    }
    assert count == {"table2": 8, "table3": 7, "table4": 26, "fig12": 3, "fig13": 6}
    assert {"demo", "sketchy-small", "released-code"} < CONFIGS.keys()


def test_defaults_are_the_paper_s() -> None:
    r = recipe.Recipe()
    o, loss = r.optimizer, r.loss
    assert (o.lr, o.lr_end, o.weight_decay, o.batch, r.loop.epochs) == (1e-4, 3e-6, 5e-4, 32, 10)
    assert (loss.lambda_sws, loss.lambda_dis, loss.lambda_sem, loss.sws, loss.teacher) == (
        1000.0,
        1.0,
        1.0,
        "paper",
        True,
    )
    assert (r.model.backbone, r.model.weights, r.model.sharing, r.model.metric) == (
        "resnet50",
        "imagenet",
        "soft",
        "sbht",
    )
    task = recipe.TCNTask.__new__(recipe.TCNTask)
    task.recipe = r
    assert task.schedule(0, 1000) == 1.0
    assert task.schedule(999, 1000) * 1e-4 == pytest.approx(3e-6)
    ratios = {task.schedule(s + 1, 1000) / task.schedule(s, 1000) for s in range(999)}
    assert max(ratios) - min(ratios) < 1e-9  # exponential: the same factor each step


def networks() -> dict[str, tuple]:
    """Each different network once, under the name of the first config that has it."""
    found: dict[str, tuple] = {}
    for name, (_, config) in CONFIGS.items():
        teacher = 1000 if config.loss.teacher else 0
        network = replace(
            config.model, weights="none", num_classes=100, semantic_dim=300, num_teacher_classes=teacher
        )
        if network not in found.values():
            found[name] = network
    return found


NETWORKS = networks()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_config_builds_its_network(name: str) -> None:
    config = NETWORKS[name]
    with torch.device("meta"):
        model = TCN(config)
        features = model.embedding(torch.empty(2, model.sketch_tower.backbone.num_features), "photo")
    assert features.shape == (2, config.dim) and model.classifier.out_features == 100
    assert (model.distiller is not None) == bool(config.num_teacher_classes)
    assert (model.semantic_metric.project is not None) == (config.metric == "sbht")


def test_every_config_is_a_valid_command(capsys: pytest.CaptureFixture[str]) -> None:
    for _, config in CONFIGS.values():
        assert tyro.cli(recipe.Recipe, default=config, args=["--data.root", "there"]).data.root == "there"


def test_help_teaches_and_list_lists(capsys: pytest.CaptureFixture[str]) -> None:
    recipe.main(["--list"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in CONFIGS)
    with pytest.raises(SystemExit):
        recipe.main(["table4-tu-berlin-metric-bht-sr-1-0.1", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("Decisions (D)", "eq. 2", "--loss.lambda-sws", "--loop.resume", "--data.word-vectors"):
        assert text in shown
    with pytest.raises(SystemExit, match="tabel4"):
        recipe.main(["tabel4"])
    with pytest.raises(SystemExit, match=r"--data\.root"):
        recipe.main(["table3-vgg16"])
    with pytest.raises(
        ValueError, match=r"unknown data set 'foo', expected synthetic, .* quickdraw or folder"
    ):
        recipe.main(["demo", "--data.dataset", "foo"])
    with pytest.raises(SystemExit, match="perhaps sketchy-small"):
        recipe.main(["--data.root", "there", "sketchy-smal"])


def test_from_data_to_report_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["demo", *TINY, "--loop.out", str(tmp_path / "run"), "--loop.epochs"]
    recipe.main([*arguments, "1"])
    printed = capsys.readouterr().out
    for text in (
        "chance",
        "untrained network",
        "nearest pixel",
        "16 bits",
        "protocol 'sklearn'",
        "seen, held out",
    ):
        assert text in printed, text
    rows = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {row["method"] for row in rows} == {"TCN", "untrained network", "nearest pixel", "chance"}
    assert all(row["intervals"]["mAP@all"][0] <= row["values"]["mAP@all"] for row in rows if row["intervals"])
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()
    model = load_run(tmp_path / "run")
    assert model.itq_projection.shape == (16, 16)
    recipe.main([*arguments, "2", "--loop.resume"])
    epochs = [
        json.loads(line)["epoch"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert max(epochs) == 2 and epochs.count(1) == epochs.count(2)
    with pytest.raises(FileExistsError):
        recipe.main([*arguments, "2"])


def test_homogeneous_sketches_in_training_validation_and_the_stored_model(tmp_path: Path) -> None:
    settings = tyro.cli(recipe.Recipe, default=CONFIGS["demo"][1], args=[*TINY, "--data.homogeneous"])
    task = recipe.TCNTask(settings, recipe.load_split(settings.data))
    batch = next(iter(task.batches(0, 0, 1)))
    task.validate(Fabric(accelerator="cpu"), 0)
    for sketches in (batch["sketch"], torch.from_numpy(task.pixels.array)):
        assert set(sketches.unique().tolist()) == {0, 255}
    assert len(batch["photo"].unique()) > 100
    recipe.save_model(tmp_path / "model", task.model)
    assert (
        load_run(tmp_path / "model").preprocess == task.model.preprocess == Preprocess(32, homogeneous=True)
    )
    assert not CONFIGS["table2-sketchy1-512"][1].data.homogeneous  # TCN's own default


@pytest.mark.parametrize(("reduction", "metric"), [("mean", "sbht"), ("sum", "bht+sr")])
def test_two_processes_give_the_curve_of_one(tmp_path: Path, reduction: str, metric: str) -> None:
    """Same global batch; batch norm frozen; features gathered for the hardest examples."""
    curves = []
    for processes in (1, 2):
        out = tmp_path / f"run{processes}"
        settings = [
            *(
                "--loop.epochs",
                "1",
                "--loop.precision",
                "32-true",
                "--loop.accelerator",
                "cpu",
                "--loop.out",
                str(out),
            ),
            *(
                "--loop.devices",
                str(processes),
                "--model.metric-reduction",
                reduction,
                "--model.metric",
                metric,
                "--model.freeze-batch-norm",
            ),
            *(("--loop.strategy", "ddp") if processes > 1 else ()),
        ]
        if processes == 1:
            recipe.main(["demo", *TINY, *settings])
        else:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(RECIPE.parents[1])}
            command = [sys.executable, str(RECIPE), "demo", *TINY, *settings]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
            )
            assert done.returncode == 0, done.stderr[-3000:]
        records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        curves.append(
            [[r["loss"], r["L_DIS"], r["L_SEM"], r["L_SWS"]] for r in records if r["kind"] == "train"]
        )
    assert len(curves[0]) == 4
    np.testing.assert_allclose(curves[1], curves[0], rtol=2e-4)
    assert curves[0][0][0] != curves[0][-1][0]


def synthetic_pairs(batch_size: int, seed: int) -> ClassPairs:
    split = recipe.load_split(recipe.Data(size=32, train_per_class=2))
    return ClassPairs(split.train_sketches, split.train_photos, Preprocess(size=32), batch_size, seed)


def test_batches_do_not_depend_on_processes_or_on_where_one_starts(seed: int) -> None:
    pairs = synthetic_pairs(16, seed)
    whole = list(pairs.epoch(3))
    assert len(whole) == len(pairs.epoch(3)) == 68 // 16
    halves = list(zip(pairs.epoch(3, 0, 2), pairs.epoch(3, 1, 2), strict=True))
    for name in whole[0]:
        for step, parts in enumerate(halves):
            assert torch.equal(torch.cat([part[name] for part in parts]), whole[step][name])
        rest = list(pairs.epoch(3, start_step=2))
        assert len(rest) == 2 and torch.equal(rest[0][name], whole[2][name])
    assert not torch.equal(next(iter(pairs.epoch(4)))["photo"], whole[0]["photo"])
    with pytest.raises(ValueError, match="3 processes"):
        pairs.epoch(0, 0, 3)


def test_pairs_share_a_class_and_an_epoch_takes_every_photo_once(seed: int) -> None:
    pairs = synthetic_pairs(17, seed)
    seen = torch.cat([batch["photo"] for batch in pairs.epoch(0)]).flatten(1)
    assert len(torch.unique(seen, dim=0)) == 68
    sketches = {row.tobytes(): y for row, y in zip(pairs.sketches.array, pairs.labels)}
    for batch in pairs.epoch(0):
        assert [sketches[row.numpy().tobytes()] for row in batch["sketch"]] == batch["label"].tolist()


def test_augmentation(seed: int) -> None:
    batch, preprocess = next(iter(synthetic_pairs(16, seed).epoch(0))), Preprocess(size=32)
    off = Augmentation(chance=0.0)
    for name, images in zip(("sketch", "photo"), augment_pairs(batch, off, preprocess)):
        torch.testing.assert_close(images, normalize(batch[name], preprocess))
        torch.testing.assert_close(images, torch.from_numpy(preprocess.normalize(batch[name].numpy())))
    # Nothing but a flip, for every image: the mirror image.
    flip = Augmentation(chance=1.0, scale=(1.0, 1.0), rotation=0.0, shift=0.0)
    for name, images in zip(("sketch", "photo"), augment_pairs(batch, flip, preprocess)):
        torch.testing.assert_close(images, normalize(batch[name].flip(2), preprocess), atol=1e-4, rtol=1e-4)
    strong = Augmentation(chance=1.0, scale=(0.6, 0.7), colour=0.4, grey=0.5, thickness=1.0)
    sketches, photos = augment_pairs(batch, strong, preprocess)
    white = normalize(torch.full((1, 32, 32, 3), 255, dtype=torch.uint8), preprocess)
    assert (sketches <= white + 1e-5).all() and torch.isfinite(photos).all()
    torch.testing.assert_close(
        sketches[:, :, 0, 0], white[:, :, 0, 0].expand(16, 3)
    )  # what is uncovered is paper
    # A sketch rotated by 90 degrees lands where numpy rotates it to.
    turn = Augmentation(chance=1.0, flip=False, scale=(1.0, 1.0), rotation=90.0, shift=0.0)
    one = {**batch, "uniforms": torch.zeros_like(batch["uniforms"])}
    one["uniforms"][:, :, 5] = 1.0
    turned = torch.rot90(batch["photo"], -1, dims=(1, 2))
    torch.testing.assert_close(
        augment_pairs(one, turn, preprocess)[1], normalize(turned, preprocess), atol=1e-3, rtol=1e-3
    )


def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, seed: int) -> None:
    """SIGKILL at a random step, then resume: every tensor of the final model is the same bit for bit."""
    kill_after = int(np.random.default_rng(seed).integers(2, 7))
    settings = [
        *TINY,
        "--loop.epochs",
        "2",
        "--loop.checkpoint-every",
        "1",
        "--loop.threads",
        "1",
        "--loop.out",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(RECIPE.parents[1])}

    def start(out: str, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(RECIPE), "demo", *settings, str(tmp_path / out), *more]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    assert start("whole").wait() == 0
    victim = start("killed")
    metrics = tmp_path / "killed" / "metrics.jsonl"
    while victim.poll() is None and not (metrics.exists() and f'"step": {kill_after}' in metrics.read_text()):
        time.sleep(0.005)
    victim.kill()
    assert victim.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert not (tmp_path / "killed" / "model").exists()
    assert start("killed", "--loop.resume").wait() == 0
    whole, killed = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "killed")
    )
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--evaluation.bits", "12"], "multiples of 8"),
        (["--evaluation.protocols", "foo"], "protocols"),
        (["--evaluation.at", "0"], "at least 1"),
        (["--data.root", "/somewhere"], "synthetic"),
        (["--optimizer.batch", "0"], "batch_size"),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path: Path, more: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe.main(["demo", *TINY, "--loop.out", str(tmp_path / "run"), *more])
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
