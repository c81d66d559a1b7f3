"""train/vtd.py: every named config takes a step, a tiny run from data to report, resuming in both stages, mistakes."""

import copy
import functools
import json
from collections.abc import Callable
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
from sketchfast.data.extra_drawings import with_drawings
from sketchfast.models import load_run
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.training import save_model
from sketchfast.training.instance_data import SIZES
from tests.train.recipe_module import load_recipe

SEEN, UNSEEN = ("airplane", "cat", "cup"), ("bus", "dog")
recipe = load_recipe("vtd")
CONFIGS = recipe.named_configs()
PAPER = [name for name in CONFIGS if name.startswith("table")]
TRAITS = {"descriptors": 6, "dim": 8, "channels": (8, 8, 8, 8, 8), "size": 32}
TINY = {
    "data.size": 32, "data.unseen": UNSEEN, "model.width": 0.125, "optimizer.batch": 8, "optimizer.group": 2,
    "trait_training.batch": 8, "trait_training.epochs": 2, "base.epochs": 1, "loop.epochs": 1,
    "traits": TraitConfig(**TRAITS), "competitors.reptile.inner_steps": 2, "competitors.cvae_epochs": 1,
    "loop.log_every": 1, "loop.threads": 1, "loop.accelerator": "cpu", "loop.precision": "32-true",
}  # fmt: skip
NO_SIZES = {f"data.{name}": None for name in SIZES}


def changed(config, settings: dict[str, object]):
    """A copy of a recipe with other settings: {"loss.margin": 0.2}."""
    config = copy.deepcopy(config)
    for name, value in settings.items():
        owner, _, field = name.rpartition(".")
        part = functools.reduce(getattr, owner.split("."), config) if owner else config
        assert hasattr(part, field), name
        setattr(part, field, copy.deepcopy(value))
    return config


def run(name: str, out: Path, root: Path | None = None, resume: bool = False, **settings: object) -> None:
    """The named config, tiny, with these settings, whose names have __ for a dot."""
    own = {key.replace("__", "."): value for key, value in settings.items()}
    data = {} if root is None else {"data.root": str(root), **NO_SIZES}
    loop = {"loop.out": str(out), "loop.resume": resume}
    recipe.run(name, changed(CONFIGS[name][1], {**TINY, **data, **loop, **own}))


@pytest.fixture(scope="module")
def sketchy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of each class; two sketches of each but the last. Word vectors of all names."""
    root = tmp_path_factory.mktemp("sketchy")
    for name in (*SEEN, *UNSEEN):
        for i in range(6):
            thing = synthetic.instance(name, i, 0)
            pictures = {Path("photo", "tx_000000000000", name, f"n{i}.jpg"): thing.photo(48)}
            for k in range(2 if i < 5 else 0):
                pictures[Path("sketch", "tx_000000000000", name, f"n{i}-{k}.png")] = thing.sketch(k, 48)
            for path, image in pictures.items():
                file = root / "256x256" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(file)
    random = np.random.default_rng(0)
    np.savez(
        root / "words.npz",
        **{name: random.standard_normal(4).astype(np.float32) for name in (*SEEN, *UNSEEN)},
    )
    return root


@pytest.fixture(scope="module")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with trait networks of several K."""
    root = tmp_path_factory.mktemp("other")
    for k in (4, 6):
        save_model(
            root / f"k{k}" / "traits-soft" / "model", TraitNetwork(TraitConfig(**TRAITS | {"descriptors": k}))
        )
    return root


def shrunk(config, root: Path, other_run: Path):
    """The same recipe with networks and pictures a core steps through in milliseconds."""
    words = str(root / "words.npz") if "word-vector" in config.methods else None
    data = replace(
        config.data, dataset="sketchy", group=None, root=str(root), unseen=UNSEEN, size=32, word_vectors=words
    )
    how = config.trait_training
    competitors = replace(config.competitors, reptile=recipe.ReptileConfig(inner_steps=2))
    return replace(
        config,
        data=data,
        traits=replace(config.traits, **TRAITS | {"descriptors": 6 if config.traits_from else min(config.traits.descriptors, 9)}),
        trait_training=replace(how, batch=4),
        model=replace(config.model, backbone="resnet10", weights="none", width=0.125),
        optimizer=replace(config.optimizer, batch=4),
        competitors=replace(competitors, cvae=replace(competitors.cvae, hidden=16, latent=4)),
        loop=replace(config.loop, out="unused", accelerator="cpu"),
    )  # fmt: skip


def one_step(task) -> dict[str, torch.Tensor]:
    """An optimizer step, in which every parameter that may learn does."""
    model, batch = task.model.train(), next(iter(task.batches(0, 0, 1)))
    learning = {name: value for name, value in model.named_parameters() if value.requires_grad}
    before = {name: value.detach().clone() for name, value in learning.items()}
    optimizer = task.make_optimizer(task.parameter_groups())
    task.prepare(torch.device("cpu"))
    context = SimpleNamespace(
        model=model, epoch=0, step=0, micro_batch=0, rank=0, world_size=1, device=torch.device("cpu"),
        generator=torch.Generator(), shared_generator=torch.Generator(), local_slice=slice, all_gather=lambda x: x,
    )  # fmt: skip
    values = task.training_step(batch, 0, context)
    values["loss"].backward()
    optimizer.step()
    still = [name for name, value in learning.items() if value.equal(before[name])]
    assert not still, f"{task.title}: {still}"
    assert all(torch.isfinite(value) for value in values.values())
    return {name: value.item() for name, value in values.items()}


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[object, dict, int]]:
    """In place of training: one step of each network, folder -> (task, its values, the epochs it would be trained for)."""
    found: dict[str, tuple[object, dict, int]] = {}

    def train(self, name, task, epochs, checkpoint="last"):
        found[name] = task, one_step(task), epochs
        return task.model.eval()

    monkeypatch.setattr(recipe.Networks, "train", train)
    monkeypatch.setattr(recipe, "save_model", lambda *args: None)
    return found


@pytest.mark.parametrize("name", PAPER)
def test_every_row_of_the_tables_takes_a_step(name: str, sketchy: Path, other_run: Path, stepped) -> None:
    config = CONFIGS[name][1]
    if "ours-sketchy" in name:
        config = replace(config, traits_from=str(other_run / "k6"))
    own = shrunk(config, sketchy, other_run)
    recipe.check(own)
    split = recipe.load_split(own.data)
    (method,) = own.methods
    model, generator = recipe.Networks(own, recipe.Sources(own, split), None).method(method)
    found = recipe.search(own, split.test, model, generator).scores
    assert len(found) == 20 and found.chance[1] == pytest.approx(1 / 6)  # also the photo that nobody drew
    row = recipe.METHODS[method]
    described = {"": set(), "words": set(), "sketch-vae-kmeans": {"sketch-vae"}}.get(
        row.describer, {row.describer}
    )
    if name.endswith("ours-sketchy"):
        described = set()  # taken from the other run as it is
    assert set(stepped) == described | {method}
    assert (model.describer is not None) == bool(row.describer)
    if row.describer.startswith("traits-") and described:
        values = stepped[row.describer][1]
        assert values.keys() == (
            {"loss", "L_rec", "D_KL"} if method == "hard" else {"loss", "L_rec", "H_row", "H_col"}
        )
        weights = {"L_rec": 1, "D_KL": 0, "H_row": 1, "H_col": -1}  # eq. 7 in the first epoch
        assert values["loss"] == pytest.approx(
            sum(weights[k] * v for k, v in values.items() if k != "loss"), rel=1e-5
        )
        assert model.describer.config.assignment == ("hard" if method == "hard" else "soft")
    if row.describer:
        values = stepped[method][1]
        assert values["loss"] == pytest.approx(values["L_tri"] + 0.004 * values["L_con"], rel=1e-5)  # eq. 11
    if method == "upper-bound":
        assert set(stepped[method][0].pairs.names) == {*SEEN, *UNSEEN}


@pytest.fixture(scope="module")
def shoes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QMUL-Shoe-V2's layout: four flat sandals to train on, four wedges to test on, one sketch of each photo."""
    root = tmp_path_factory.mktemp("shoes")
    lists: dict[str, list[str]] = {"train": [], "test": []}
    table = ["photo,sandal,toe_shape,shoe_height,heel_shape,topline"]
    for i in range(8):
        thing, half = synthetic.instance("cup", i, 0), "train" if i % 2 else "test"
        pictures = {"ShoeV2_photo": thing.photo(48), "ShoeV2_sketch_png": thing.sketch(0, 48)}
        for folder, image in pictures.items():
            (root / folder).mkdir(exist_ok=True)
            name = f"{i}.png" if folder == "ShoeV2_photo" else f"{i}_1.png"
            Image.fromarray(image).save(root / folder / name)
        lists[half].append(str(i))
        table.append(f"{i},{'flat' if i < 4 else 'wedge'},,,,")
    for half, ids in lists.items():
        (root / f"photo_{half}.txt").write_text("".join(f"{i}.png\n" for i in ids))
        (root / f"sketch_{half}.txt").write_text("".join(f"{i}_1.png\n" for i in ids))
    (root / "attributes.csv").write_text("\n".join(table) + "\n")
    return root


@pytest.mark.parametrize("row", ["hard-transfer", "ours-sketchy", "ours-sketchy-ft", "upper-bound"])
def test_table_2_takes_a_step_on_shoes(row: str, shoes: Path, other_run: Path, stepped) -> None:
    config = CONFIGS[f"table2-sandal-{row}"][1]
    if row.startswith("ours"):
        with pytest.raises(ValueError, match="--traits-from RUN"):
            recipe.check(
                changed(shrunk(config, shoes, other_run), {"data": replace(config.data, root=str(shoes))})
            )
        config = replace(config, traits_from=str(other_run / "k6"))
    own = replace(shrunk(config, shoes, other_run), data=replace(config.data, root=str(shoes), size=32))
    own = changed(own, {"optimizer.batch": 2, "trait_training.batch": 2})
    recipe.check(own)
    split = recipe.load_split(own.data)
    (method,) = own.methods
    model, _ = recipe.Networks(own, recipe.Sources(own, split), None).method(method)
    found = recipe.search(own, split.test, model, None).scores
    assert len(found) == 4 and found.chance[1] == pytest.approx(1 / 4)
    assert set(stepped) == ({"traits-soft"} if row == "ours-sketchy-ft" else set()) | {method}
    trained_on = stepped[method][0].pairs
    assert len(trained_on) == (6 if row == "upper-bound" else 4)


def test_each_sketch_has_its_own_descriptor_or_that_of_its_mirror_image(
    sketchy: Path, other_run: Path
) -> None:
    own = shrunk(CONFIGS["table1-full"][1], sketchy, other_run)
    pairs = recipe.load_split(own.data).train
    task = recipe.RetrievalTask(own, pairs, None)
    rows = torch.arange(len(pairs), dtype=torch.float32)[:, None]
    task.phi = torch.stack([rows, rows + 1000])  # of the sketches, of their mirror images
    as_they_are = pairs.sketches.resized(32, task.model.preprocess, progress=False)

    class Seen(Exception):
        pass

    def model(S, P, phi, noise):
        raise Seen(S, phi)

    mirrored = 0
    context = SimpleNamespace(
        model=model,
        world_size=1,
        shared_generator=torch.Generator(),
        local_slice=slice,
        device=torch.device("cpu"),
    )
    for batch in task.batches(0, 0, 1):
        with pytest.raises(Seen) as given:
            task.training_step(batch, 0, context)
        S, phi = given.value.args
        for image, value in zip(S, phi[:, 0].int().tolist(), strict=True):
            picture = torch.from_numpy(as_they_are[value % 1000].copy()).permute(2, 0, 1) / 255
            expected = (picture - torch.tensor(task.model.preprocess.mean).view(3, 1, 1)) / torch.tensor(
                task.model.preprocess.std
            ).view(3, 1, 1)
            torch.testing.assert_close(
                image, expected.flip(2) if value >= 1000 else expected, atol=1e-3, rtol=0
            )
            mirrored += value >= 1000
    assert mirrored


def test_every_row_has_a_config_and_the_rows_differ_as_the_paper_says() -> None:
    count = {kind: sum(name.startswith(kind) for name in CONFIGS) for kind in ("table1", "table2", "table3")}
    assert count == {"table1": 12, "table2": 20, "table3": 8}
    config = {name: r for name, (_, r) in CONFIGS.items()}
    assert (
        config["table3-soft-300"] == config["table1-full"]
        and config["table3-hard-300"] == config["table1-hard"]
    )
    assert {config[f"table3-soft-{K}"].traits.descriptors for K in (20, 100, 300, 1000)} == {
        20,
        100,
        300,
        1000,
    }
    for name, r in config.items():
        if name.startswith("table2"):
            assert (r.data.dataset, r.loop.epochs) == ("qmul", 10) and r.data.group in name
            assert r.trait_training.fine_tune == name.endswith("-ft")
    assert [r.seeds for name, r in config.items() if name in ("demo", "sketchy-small")] == [(0, 1, 2)] * 2
    assert config["demo"].methods == ("hard-transfer", "hard", "full", "upper-bound")


def test_defaults_are_the_paper_s() -> None:
    r = CONFIGS["table1-full"][1]
    assert r == recipe.Recipe()
    t, how, o = r.traits, r.trait_training, r.optimizer
    assert (t.descriptors, t.dim, t.skip, t.tau, t.size, t.assignment) == (300, 256, 0.02, 1.0, 64, "soft")
    assert (how.epochs, how.lr, how.kl, how.row, how.col, how.beta) == (
        200,
        2e-4,
        (0, 1.5),
        (1, 2),
        (1, 10),
        0.05,
    )
    assert (o.kind, o.lr, o.batch, o.decay, r.loss.margin, r.loss.lambda_con) == (
        "adam",
        1e-4,
        16,
        "none",
        0.1,
        0.004,
    )
    assert (r.model.backbone, r.model.weights, r.model.samples, r.data.size) == (
        "inception_v3",
        "imagenet",
        10,
        299,
    )
    assert (r.data.dataset, r.data.gallery, r.loop.epochs, r.base.epochs) == ("sketchy", "all", 20, 0)
    assert r.evaluation.at == (1, 5, 10)


def test_help_teaches_and_list_lists(capsys: pytest.CaptureFixture[str]) -> None:
    recipe.main(["--list"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in CONFIGS)
    with pytest.raises(SystemExit):
        recipe.main(["table1-full", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "Decisions (D)",
        "--methods",
        "--traits-from",
        "--loop.resume",
        "eq. 6",
        "--data.extra-drawings",
    ):
        assert text in shown
    for name in ("traits-real", "table2-topline-ours-sketchy-ft"):
        config = CONFIGS[name][1]
        assert tyro.cli(recipe.Recipe, default=config, args=["--data.root", "there"]).data.root == "there"
    with pytest.raises(SystemExit, match="tabel4"):
        recipe.main(["tabel4"])
    with pytest.raises(NotADirectoryError, match="nowhere"):
        recipe.main(["--data.root", "nowhere"])  # the default with a root is the paper's main result


def test_every_way_to_train_from_data_to_report(
    tmp_path: Path, sketchy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    methods = (
        "hard-transfer",
        "cvae-regress",
        "reptile",
        "crossgrad",
        "vae-kmeans",
        "edge",
        "full",
        "upper-bound",
    )
    named = {
        "methods": methods,
        "data__word_vectors": str(sketchy / "words.npz"),
        "data__held_out_share": 0.2,
        "data__dataset": "sketchy",
    }
    run("methods", out, sketchy, **named)
    printed = capsys.readouterr().out
    for text in (
        "traits-soft: epoch 2/2",
        "reptile: epoch",
        "seed 0, cvae-regress: Acc@1",
        "chance",
        "report  ",
    ):
        assert text in printed, text
    results = json.loads((out / "results.json").read_text())
    assert [row["method"] for row in results["rows"]] == list(methods)
    for row in results["rows"]:
        assert (
            row["count"] == 20
            and row["chance"]["5"] == pytest.approx(5 / 6)
            and set(row["classes"]) == set(UNSEEN)
        )
        low, high = row["intervals"]["1"]
        assert low <= row["accuracy"]["1"] <= high
    means = {row["method"]: row for row in results["means"]}
    assert not means["hard-transfer"]["gain"] and len(means["full"]["gain"]["1"]) == 3
    assert [(row["network"], row["of"]) for row in results["traits"]] == [
        (name, part) for name in ("traits-edge", "traits-soft") for part in ("train", "test")
    ]
    model = load_run(out)
    assert isinstance(model.describer, TraitNetwork) and model.class_names == list(SEEN)
    report = (out / "report.html").read_text()
    for text in ("methods side by side", "Use of the descriptors", "Attention under", "Training traits-soft"):
        assert text in report, text
    with pytest.raises(FileExistsError):
        run("methods", out, sketchy, **named)
    other = TraitConfig(**TRAITS | {"descriptors": 5})
    with pytest.raises(ValueError, match=r"cannot resume.*traits.descriptors: 6 there, 5 now"):
        run("methods", out, sketchy, True, **named, traits=other)


def test_stage_1_alone_with_other_drawings(tmp_path: Path, sketchy: Path) -> None:
    random, drawings = np.random.default_rng(0), tmp_path / "drawings"
    drawings.mkdir()
    for word in ("plane", "dog", "star"):  # airplane under another name, an unseen category, a new one
        lines = (
            {"word": word, "key_id": str(k), "drawing": random.integers(0, 256, (3, 2, 9)).tolist()}
            for k in range(4)
        )
        (drawings / f"{word}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "run"
    run("traits-real", out, sketchy, data__extra_drawings=str(drawings))
    model = load_run(out)
    assert isinstance(model, TraitNetwork)
    results = json.loads((out / "results.json").read_text())
    networks = ("traits-soft", "traits-soft-without-revival")
    assert [row["network"] for row in results["traits"]] == [name for name in networks for _ in range(2)]
    assert results["rows"] == []
    history = [json.loads(line) for line in (out / networks[1] / "metrics.jsonl").read_text().splitlines()]
    assert [r["revived"] for r in history if r["kind"] == "validation"] == [0, 0]
    own = synthetic.classification(0, 32, 2, 0, 1, 1, SEEN).train
    joined = with_drawings(own, drawings, UNSEEN)
    assert joined.names == [*SEEN, "star"]
    assert np.bincount(joined.labels).tolist() == [2 + 4, 2, 2, 4] and not [
        i for i in joined.ids if "dog" in i
    ]


def test_traits_of_another_run(tmp_path: Path, sketchy: Path, other_run: Path) -> None:
    def train(out: str, traits_from: Path, method: str = "full") -> None:
        one = {"methods": (method,), "seeds": (0,), "base__epochs": 0}
        run("sketchy-small", tmp_path / out, sketchy, traits_from=str(traits_from), **one)

    train("run", other_run / "k6")
    there = load_run(other_run / "k6" / "traits-soft").state_dict()
    here = load_run(tmp_path / "run").describer.state_dict()
    assert all(torch.equal(here[name], there[name]) for name in there)
    assert not (tmp_path / "run" / "traits-soft").exists()
    assert recipe.read_trait_network(tmp_path / "run", TraitConfig(**TRAITS)).config.descriptors == 6
    with pytest.raises(ValueError, match=r"k4: its dictionary has K = 4 descriptors, expected 6"):
        train("b", other_run / "k4")
    save_model(tmp_path / "plain" / "model", recipe.VTD(recipe.VTDConfig("resnet10", "none", width=0.125)))
    with pytest.raises(ValueError, match="expected a run with a trait network, found NoneType"):
        train("b", tmp_path / "plain")
    with pytest.raises(ValueError, match="expected a trait network 'traits-hard', found only traits-soft"):
        train("b", other_run / "k6", "hard")
    assert not (tmp_path / "b").exists()


def test_a_run_that_dies_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, sketchy: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(seed)
    monkeypatch.setattr(recipe, "write_report", lambda out, *args: out)
    settings = {
        "methods": ("full",),
        "seeds": (3,),
        "trait_training__epochs": 3,
        "loop__checkpoint_every": 1,
    }
    train = functools.partial(run, "sketchy-small", root=sketchy, **settings)
    train(tmp_path / "whole")
    dead = functools.partial(train, tmp_path / "dead", resume=True)

    def dies_at(own: Callable, steps: int) -> Callable:
        def wrapped(self, batch, number, context):
            if number == steps:
                raise KeyboardInterrupt
            return own(self, batch, number, context)

        return wrapped

    fit = recipe.fit

    def dies_between(task, *args, **kwargs):
        if task.title == "full":
            raise KeyboardInterrupt
        return fit(task, *args, **kwargs)

    in_stage_1, in_stage_2 = (int(random.integers(1, steps)) for steps in (9, 3))
    for place, name, mortal in (
        (recipe.TraitTask, "training_step", dies_at(recipe.TraitTask.training_step, in_stage_1)),
        (recipe, "fit", dies_between),
        (recipe.RetrievalTask, "training_step", dies_at(recipe.RetrievalTask.training_step, in_stage_2)),
    ):
        assert not (tmp_path / "dead" / "full").exists()
        with monkeypatch.context() as patch:
            patch.setattr(place, name, mortal)
            with pytest.raises(KeyboardInterrupt):
                dead()
    assert not (tmp_path / "dead" / "model").exists()
    dead()
    for part in ("model", "base/checkpoints/last", "traits-soft/checkpoints/last"):
        whole, dead_one = (
            load_file(tmp_path / run / part / "model.safetensors") for run in ("whole", "dead")
        )
        assert whole.keys() == dead_one.keys() and all(
            torch.equal(whole[name], dead_one[name]) for name in whole
        )
    one, two = (json.loads((tmp_path / run / "results.json").read_text()) for run in ("whole", "dead"))
    assert one == two


def test_revival_waits_for_the_next_epoch_and_is_the_last_thing_in_one(sketchy: Path) -> None:
    config = shrunk(CONFIGS["table1-full"][1], sketchy, sketchy)
    config = replace(config, trait_training=replace(config.trait_training, epochs=2))
    split = recipe.load_split(config.data)
    task = recipe.TraitTask(config, split.train.sketches)
    fabric = recipe.torch.nn.Module()  # stands for Lightning's
    fabric.world_size, fabric.global_rank, fabric.device = 1, 0, torch.device("cpu")
    fabric.autocast, fabric.all_reduce = lambda: torch.autocast("cpu", enabled=False), lambda x, reduce_op: x
    before = task.model.eval().dictionary.clone()
    first = task.validate(fabric, 0)
    K = config.traits.descriptors
    changed = (task.model.dictionary != before).any(dim=1).sum()
    assert first["revived"] == changed == round(K * (1 - first["used"])) > 0
    before = task.model.dictionary.clone()
    assert task.validate(fabric, 1)["revived"] == 0 and torch.equal(before, task.model.dictionary)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.root": "/"}, "synthetic"),
        ({"data.dataset": "foo"}, "unknown data set 'foo', expected synthetic, sketchy, qmul or folder"),
        ({"data.dataset": "sketchy"}, r"--data\.root DIR"),
        ({"data.dataset": "folder", "data.root": "/"}, "--data.drawn-size is a size of the synthetic world"),
        ({"methods": ("soft",)}, "--methods: expected some of hard-transfer, .*; found soft"),
        ({"methods": ("full", "full")}, "each once"),
        ({"methods": ()}, "one or more"),
        ({"seeds": (1, 1)}, "each once"),
        ({"loop.seed": 3}, "--seeds"),
        ({"traits.descriptors": 1}, "--traits.descriptors: expected at least 2, found 1"),
        ({"traits.assignment": "hard"}, "--traits.assignment follows"),
        ({"model.descriptor_dim": 4}, "follow from the method"),
        ({"trait_training.fine_tune": True}, "--traits-from RUN"),
        ({"optimizer.group": 3}, "a batch of whole groups"),
        ({"optimizer.group": 1}, "at least 2 photos"),
        ({"loss.margin": float("nan")}, "--loss.margin: expected at least"),
        ({"optimizer.lr": 0.0}, "--optimizer.lr: expected a number above 0"),
        ({"data.group": "sandal"}, "--data.group: expected one of"),
        ({"data.unseen": ("unicorn",)}, "unicorn"),
        ({"traits_from": "nowhere"}, "nowhere"),
        ({"evaluation.at": ()}, "--evaluation.at"),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path: Path, settings, message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        run("demo", tmp_path / "run", **{name.replace(".", "__"): value for name, value in settings.items()})
    assert not (tmp_path / "run").exists()


def test_bad_data_is_named(tmp_path: Path, sketchy: Path) -> None:
    def copied(to: str, without: str) -> Path:
        for file in sketchy.rglob("*.*"):
            if without not in str(file):
                place = tmp_path / to / file.relative_to(sketchy)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read_bytes())
        return tmp_path / to

    for root, message in (
        (copied("no-photos", "photo/tx_000000000000/dog"), "no folder of photos: dog"),
        (copied("no-photo", "photo/tx_000000000000/cat/n2"), r"2 sketches have no photo.*cat/n2-0\.png"),
    ):
        with pytest.raises(ValueError, match=message):
            run("sketchy-small", tmp_path / "run", root)
    with pytest.raises(ValueError, match="needs vectors of the categories' names"):
        run("table1-word-vector", tmp_path / "run", sketchy)
    with pytest.raises(ValueError, match="not for data set qmul"):
        run("table2-sandal-hard-transfer", tmp_path / "run", sketchy, data__unseen=("dog",))
    with pytest.raises(FileNotFoundError, match="holds no QMUL Shoe-V2"):
        run("table2-sandal-hard-transfer", tmp_path / "run", sketchy, data__unseen=())
    with pytest.raises(ValueError, match="batch_size is 400"):
        run("sketchy-small", tmp_path / "run", sketchy, optimizer__batch=400)
