"""train/more_photos.py: every named config takes a step of each kind, tiny runs from data to report, exact resuming, mistakes."""

import copy
import functools
import json
import pickle
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sketchfast.data import synthetic
from sketchfast.data.stroke_formats import to_stroke3
from sketchfast.drawing_commands import Sampling, draw_photos
from sketchfast.models import load_run
from sketchfast.models.fine_grained import FineGrainedNet
from sketchfast.models.photo_to_sketch import PhotoToSketch
from sketchfast.models.stroke_decoder import SketchDecoder
from sketchfast.training.joint_task import JointTask
from tests.train.recipe_module import load_recipe

recipe = load_recipe("more_photos")
CONFIGS = recipe.named_configs()
PAPER = [name for name in CONFIGS if name.startswith(("table", "figure"))]
TINY_NETS = {
    "retrieval.backbone": "resnet10", "retrieval.weights": "none", "retrieval.stem": "small", "retrieval.width": 0.0625,
    "retrieval.size": 64, "generator.backbone": "resnet10", "generator.weights": "none", "generator.stem": "small",
    "generator.width": 0.0625, "generator.size": 64, "generator.latent": 4, "generator.hidden": 8,
    "generator.attention_dim": 4, "generator.mixtures": 2, "generator.max_points": 60, "discriminator.width": 2,
    "discriminator.layers": 1, "discriminator.size": 64, "competitors.l2s.size": 64,
    "competitors.l2s.channels": (2, 2, 4, 4, 4), "competitors.l2s.features": 8, "competitors.l2s.latent": 4,
    "competitors.l2s.hidden": 8, "competitors.l2s.mixtures": 2, "competitors.l2s.max_points": 60,
    "competitors.pix2pix.size": 64, "competitors.pix2pix.width": 2, "competitors.pix2pix.discriminator_width": 2,
    "competitors.pix2pix.discriminator_layers": 1, "competitors.pix2pix_training.batch": 4,
    "competitors.unlabelled_training.batch": 4, "retrieval_training.batch": 4, "generator_training.batch": 4,
    "joint_training.batch": 4, "classifier_training.batch": 16, "loop.threads": 1, "loop.accelerator": "cpu",
}  # fmt: skip
TINY = TINY_NETS | {
    **{f"{part}_training.epochs": 1 for part in ("retrieval", "generator", "joint", "classifier")},
    "competitors.pix2pix_training.epochs": 1, "competitors.unlabelled_training.epochs": 1,
    "joint_steps": 2, "joint.k_r": 1, "joint.k_g": 1, "loop.log_every": 1, "data.train_photos": 8,
    "data.sketches_per_photo": 1, "data.unlabelled_photos": 8, "data.test_photos": 4, "data.sketches_per_class": 1,
    "seeds": (0,),
}  # fmt: skip


def changed(config, settings: dict[str, object]):
    """A copy of a recipe with other settings: {"loss.margin": 0.2}."""
    config = copy.deepcopy(config)
    for name, value in settings.items():
        owner, _, field = name.rpartition(".")
        part = functools.reduce(getattr, owner.split("."), config) if owner else config
        assert hasattr(part, field), name
        setattr(part, field, copy.deepcopy(value))
    return config


def run(name: str, out: Path, resume: bool = False, **settings: object) -> None:
    """The named config, tiny, with these settings, whose names have __ for a dot."""
    own = {key.replace("__", "."): value for key, value in settings.items()}
    recipe.run(name, changed(CONFIGS[name][1], {**TINY, "loop.out": str(out), "loop.resume": resume, **own}))


@pytest.fixture(scope="module")
def chairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QMUL-Chair-V2 as photos and a pickle of strokes, and a folder of chairs that nobody drew."""
    root, drawings = tmp_path_factory.mktemp("chairs"), {}
    (root / "photo").mkdir()
    for i in range(12):
        thing = synthetic.instance("chair", i, 0)
        Image.fromarray(thing.photo(64)).save(root / "photo" / f"c{i}.png")
        for k in range(2):
            strokes = [np.asarray(s, np.float64) * 256 for s in thing.strokes(k)][:20]
            ends = [np.eye(1, len(s), len(s) - 1)[0] for s in strokes]
            half = "train" if i < 8 else "test"
            drawings[f"/{half}/c{i}_{k + 1}"] = np.column_stack(
                [np.concatenate(strokes), np.concatenate(ends)]
            )
    (root / "ChairV2_Coordinate").write_bytes(pickle.dumps(drawings))
    (root / "more").mkdir()
    for i in range(8):
        Image.fromarray(synthetic.instance("chair", 100 + i, 0).photo(64)).save(root / "more" / f"u{i}.png")
    return root


def on_chairs(config, root: Path):
    """The same recipe with networks that a core steps through in milliseconds, on the chairs."""
    return changed(
        config,
        {**TINY_NETS, "data.root": str(root), "data.unlabelled": str(root / "more"), "loop.out": "unused"},
    )


def parameters(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def moved(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in module.named_parameters() if not value.equal(before[name])}


def one_step(task, step: int = 0) -> dict[str, float]:
    """An optimizer step of a task."""
    batch = next(iter(task.batches(0, 0, 1)))
    task.model.train()
    optimizer = task.make_optimizer(task.parameter_groups())
    task.prepare(torch.device("cpu"))
    numbers = torch.Generator().manual_seed(0)
    context = SimpleNamespace(
        model=task.model, epoch=0, step=step, micro_batch=0, rank=0, world_size=1, device=torch.device("cpu"),
        generator=numbers, shared_generator=torch.Generator().manual_seed(1), local_slice=slice, all_gather=lambda x: x,
        fabric=SimpleNamespace(autocast=nullcontext),
    )  # fmt: skip
    values = task.training_step(batch, step, context)
    values["loss"].backward()
    optimizer.step()
    assert all(torch.isfinite(value) for value in values.values())
    return {name: value.item() for name, value in values.items()}


def stepped_through(task) -> None:
    """One step of each kind, in which the networks that it trains move and the others do not."""
    if not isinstance(task, JointTask):
        before = parameters(task.model)
        one_step(task)
        learning = {n for n, p in task.model.named_parameters() if p.requires_grad}
        learning -= {"retrieval.attend.weight"}  # puzzles have no use for F's attention
        still = learning - moved(task.model, before)
        assert not still, f"{task.title}: {still}"
        return
    nets, settings = task.model, task.settings
    parts = {"F": nets.F, "G": nets.G, "D_C": nets.D_C}
    before = {name: parameters(net) for name, net in parts.items()}
    found = one_step(task, 0)
    judging = settings.weighting or (settings.joint and settings.lambda_r2 > 0)
    trained = {name for name, net in parts.items() if moved(net, before[name])}
    assert trained == {"F", *(["D_C"] if judging else [])}, task.title
    parts_of_eq_7 = found["L_trip_labelled"] + settings.lambda_kd * found["L_KD"]
    if not settings.weighting:
        assert found["L_F"] == pytest.approx(parts_of_eq_7 + found["L_trip_drawn"], rel=1e-4)
    assert (found["L_KD"] == 0) == (settings.teacher == "none") or settings.teacher == "relative"
    if settings.joint:
        task.model.zero_grad(set_to_none=True)
        before = {name: parameters(net) for name, net in parts.items()}
        one_step(task, settings.k_r)
        assert {name for name, net in parts.items() if moved(net, before[name])} == {"G"}, task.title


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[object, int]]:
    """In place of training: steps of each network, folder -> (task, the epochs it would be trained for)."""
    found: dict[str, tuple[object, int]] = {}

    def train(own, folder, task, epochs, checkpoint, again):
        stepped_through(task)
        found[folder.name] = task, epochs
        return task.model.eval(), []

    monkeypatch.setattr(recipe, "train", train)
    monkeypatch.setattr(recipe, "save_model", lambda *args: None)
    return found


@pytest.mark.parametrize("name", PAPER)
def test_every_row_of_the_tables_takes_a_step(name: str, chairs: Path, stepped) -> None:
    own = on_chairs(CONFIGS[name][1], chairs)
    recipe.check(own)
    sources = recipe.Sources(own, recipe.load_split(own.data))
    networks = recipe.Networks(own, sources, 1.0, None)
    for method in own.methods[-1:]:
        row, trained = recipe.METHODS[method], networks.method(method)
        pre = {row.start} | ({row.drawn_by} if row.drawn_by else set())
        pre |= {row.start.partition("-")[2]} & {"edgemap", "jigsaw"}
        also = {method} if row.drawn_by or row.longer else set()
        assert set(stepped) == pre | also
        assert isinstance(trained.F, FineGrainedNet) and (trained.G is not None) == bool(row.drawn_by)
        if row.drawn_by:
            settings = stepped[method][0].settings
            assert (settings.weighting, settings.teacher, settings.joint) == (
                row.weighting,
                row.teacher,
                row.joint,
            )
            assert (settings.lambda_r1, settings.lambda_r2) == row.rewards
        if row.drawn_by.startswith("generator"):
            kinds = {"generator": "2d", "generator-none": "none", "generator-1d": "1d"}
            assert getattr(trained.G.config, "attention", None) == kinds.get(row.drawn_by)
    for row in own.generators:
        networks.once(networks.generator, recipe.GENERATORS[row])
        assert set(stepped) == {recipe.GENERATORS[row]}


def test_every_row_has_a_config_and_the_rows_differ_as_the_paper_says() -> None:
    rows = {
        kind: {n.partition("-")[2] for n in CONFIGS if n.startswith(kind)}
        for kind in ("table1", "table2", "table3")
    }
    assert rows["table1"] == {"pix2pix", "photosketch", "pix2seq", "l2s", "ours-g", "ours-g-full"}
    assert rows["table2"] == {
        "sn-triplet", "edgemap-pretrain", "jigsaw-pretrain", "supervised", "supervised-longer", "vanilla-ssl", "pix2pix",
        "l2s", "full",
    }  # fmt: skip
    assert rows["table3"] == {
        "full", "no-weighting", "no-teacher", "no-attention", "no-joint", "none", "absolute-teacher", "attention-1d",
        "reward-retrieval", "reward-certainty",
    }  # fmt: skip
    assert rows["table2"] | rows["table3"] == set(recipe.METHODS)
    components = {name: tuple(recipe.METHODS[name].components) for name in recipe.ABLATIONS}
    yes, no = True, False
    assert components == {  # table 3: IW, TR, AT, JT
        "full": (yes, yes, yes, yes), "no-weighting": (no, yes, yes, yes), "no-teacher": (yes, no, yes, yes),
        "no-attention": (yes, yes, no, yes), "no-joint": (yes, yes, yes, no), "none": (no, no, no, no),
    }  # fmt: skip
    assert tuple(recipe.METHODS["vanilla-ssl"].components) == (no, no, yes, no)
    demo, figure = CONFIGS["demo"][1], CONFIGS["figure4"][1]
    assert demo.seeds == (0, 1, 2) and {"supervised", "vanilla-ssl", "full", "no-teacher"} <= set(
        demo.methods
    )
    assert figure.data.labelled_shares == (0.2, 0.4, 0.6, 0.8, 1.0) and figure.methods == (
        "supervised",
        "full",
    )
    assert CONFIGS["table2-full"][1] == CONFIGS["table3-full"][1] == recipe.Recipe()


def test_defaults_are_the_paper_s() -> None:
    r = recipe.Recipe()
    g, F = r.generator, r.retrieval
    assert (g.backbone, g.weights, g.size, g.latent, g.hidden, g.attention_dim, g.mixtures, g.max_points, g.attention) == (
        "vgg16_plain", "imagenet", 256, 128, 512, 256, 20, 100, "2d",
    )  # fmt: skip
    assert (F.backbone, F.weights, F.size, F.attention, F.scaled_attention) == (
        "inception_v3",
        "imagenet",
        256,
        True,
        False,
    )
    j = r.joint
    assert (j.k_r, j.k_g, j.lambda_kd, j.lambda_r1, j.lambda_r2, j.lambda_G) == (5, 5, 0.1, 1, 1, 10)
    assert (r.loss.margin, r.loss.kl) == (0.3, 1)
    assert (r.retrieval_training.batch, r.generator_training.batch, r.joint_training.batch) == (16, 64, 16)
    for how in (r.retrieval_training, r.generator_training, r.joint_training):
        assert (how.lr, how.weight_decay, how.decay) == (1e-4, 0, "none")
    assert (r.data.dataset, r.methods, r.evaluation.at) == ("qmul", ("full",), (1, 5, 10))


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[object, int]]:
    """In place of training: folder -> (task, the epochs it would be trained for)."""
    found: dict[str, tuple[object, int]] = {}

    def train(own, folder, task, epochs, checkpoint, again):
        found[folder.name] = task, epochs
        return task.model.eval(), []

    monkeypatch.setattr(recipe, "train", train)
    monkeypatch.setattr(recipe, "save_model", lambda *args: None)
    return found


def networks_for(settings: dict[str, object]):
    own = changed(CONFIGS["demo"][1], {**TINY, **settings})
    recipe.check(own)
    return recipe.Networks(own, recipe.Sources(own, recipe.load_split(own.data)), 1.0, None)


def test_every_method_trains_F_for_as_many_steps(planned) -> None:
    settings = {"joint_steps": 25, "joint.k_r": 2, "joint.k_g": 3, "joint_training.epochs": 4}
    networks = networks_for(settings | {"joint_training.warmup": 0.0, "joint_training.decay": "cosine"})
    rates = {}
    for method in ("full", "no-joint", "vanilla-ssl", "none", "supervised-longer"):
        networks.method(method)
        task, epochs = planned[method]
        total = epochs * len(task.batches(0, 0, 1))
        of_F = [i for i in range(total) if not isinstance(task, JointTask) or task.trains_retrieval(i)]
        rates[method] = [task.schedule(i, total) for i in of_F]
        assert total == (100 if method == "full" else 40)
    for method, found in rates.items():
        # The rate falls as far, and F takes the same strides in all.
        assert len(found) == 40 and found[0] == 1 and found[-1] < 0.02, method
        assert np.mean(found) == pytest.approx(np.mean(rates["full"]), abs=0.02), method


def test_the_generator_starts_with_the_backbone_of_retrieval(planned, chairs: Path) -> None:
    networks = networks_for({"generator.freeze_encoder": True})
    F, G = (networks.once(getattr(networks, name), name) for name in ("retrieval", "generator"))
    before = copy.deepcopy(F.backbone.trunk.state_dict())
    joint = networks.method("full")
    for method in ("generator", "full"):
        stepped_through(planned[method][0])
    for net in (G, joint.G):
        state = net.backbone.trunk.state_dict()
        assert all(torch.equal(state[name], value) for name, value in before.items())
    assert moved(F, parameters(joint.F))  # F itself goes on learning
    for settings, message in (
        ({"generator.width": 0.125}, r"the same backbone.*--generator\.width 0\.125, --retrieval\.width 0\.0625"),
        ({"retrieval.stem_stride": 1}, r"--generator\.stem-stride 2, --retrieval\.stem-stride 1"),
        ({"generator.weights": "imagenet"}, r"expected --generator\.weights none; found 'imagenet'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            networks_for(settings)


def test_all_sketches_may_be_simplified_first() -> None:
    def points(epsilon: float | None) -> list[int]:
        networks = networks_for({"data.epsilon": epsilon, "data.held_out_photos": 2})
        own, test = networks.labelled, networks.sources.test.sketches
        return [int(s.lengths.sum()) for s in (own.sequences, own.held_out_sequences, test.sequences)]

    assert all(few < many for few, many in zip(points(0.1), points(None), strict=True))


def test_help_teaches_and_list_lists(capsys: pytest.CaptureFixture[str]) -> None:
    recipe.main(["--list"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in CONFIGS)
    with pytest.raises(SystemExit):
        recipe.main(["table2-full", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        "Decisions (D)",
        "--methods",
        "--data.unlabelled",
        "--loop.resume",
        "eq. 9",
        "--joint.lambda-G",
    ):
        assert text in shown, text
    with pytest.raises(SystemExit, match="tabel4"):
        recipe.main(["tabel4"])
    with pytest.raises(ValueError, match=r"--data\.unlabelled DIR"):
        recipe.main(["--data.root", "/"])  # the default with a root is the paper's main result


def test_from_data_to_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = recipe.load_classes

    def few(data):
        split = load(data)
        return replace(split, train=split.train.subset(np.arange(16)), test=split.test.subset(np.arange(16)))

    monkeypatch.setattr(recipe, "load_classes", few)
    out = tmp_path / "run"
    methods = ("supervised", "pix2pix", "full")
    run("methods", out, methods=methods, generators=("pix2seq",))
    printed = capsys.readouterr().out
    for text in (
        "seed 0, full: Acc@1",
        "seed 0, drawings by ours-g-full",
        "rasterization",
        "chance",
        "report  ",
    ):
        assert text in printed, text
    results = json.loads((out / "results.json").read_text())
    assert [row["method"] for row in results["rows"]] == list(methods)
    assert all(row["count"] == 12 and row["chance"]["1"] == 0.25 for row in results["rows"])
    drawers = ["pix2pix, jointly trained", "ours-g-full", "pix2seq"]
    assert [row["generator"] for row in results["generation"]] == drawers
    assert all({"recognition", "retrieval", "fid"} <= row.keys() for row in results["generation"])
    assert {row["method"] for row in results["certainty"]} == set(methods) - {"supervised"}
    assert all(0 < row["share"] < 1 for row in results["rasterization"] if row["method"] != "pix2pix")
    assert isinstance(load_run(out), FineGrainedNet) and load_run(out).class_names == ["cup"]
    assert isinstance(load_run(out / "full"), PhotoToSketch) and isinstance(
        load_run(out / "generator"), PhotoToSketch
    )
    assert isinstance(load_run(out / "full" / "retrieval"), FineGrainedNet)
    # Joint training's checkpoints of three networks stand beside each method's generator.
    Image.fromarray(synthetic.instance("chair", 1, 0).photo(64)).save(tmp_path / "photo.png")
    for folder in (out, out / "generator", out / "generator-none"):
        npy, sampling = str(tmp_path / "drawn.npy"), Sampling(greedy=True)
        assert draw_photos([str(tmp_path / "photo.png")], folder, npy, None, sampling, overwrite=True)
        drawn = load_run(out / "full" if folder == out else folder).sketch(
            tmp_path / "photo.png", greedy=True
        )
        np.testing.assert_array_equal(np.load(npy), to_stroke3(drawn.strokes(0)))
    report = (out / "report.html").read_text()
    for text in ("drawn step by step", "at 4 temperatures", "Training full", "Most and least certain"):
        assert text in report, text
    with pytest.raises(FileExistsError):
        run("methods", out, methods=methods)
    with pytest.raises(ValueError, match=r"cannot resume.*loss.margin: 0.3 there, 0.2 now"):
        run("methods", out, True, methods=methods, loss__margin=0.2)
    with pytest.raises(ValueError, match=r"cannot resume.*data.epsilon: 0.02 there, 0.01 now"):
        run("methods", out, True, methods=methods, data__epsilon=0.01)


def test_shares_of_the_labelled_photos(tmp_path: Path) -> None:
    run("fractions", tmp_path, data__labelled_shares=(0.5, 1.0), seeds=(0, 1), methods=("supervised",))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [(row["seed"], row["share"]) for row in rows] == [(0, 0.5), (0, 1.0), (1, 0.5), (1, 1.0)]
    assert "with fewer labelled photos" in (tmp_path / "report.html").read_text().lower()
    assert (tmp_path / "seed-1" / "share-0.5" / "retrieval" / "config.json").exists()


def test_decoders_without_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = recipe.load_stroke_category

    def few(name: str, root: None):
        made = synthetic.semi_supervised(
            category=name, train_photos=10, unlabelled_photos=0, held_out_photos=2
        )
        return replace(load("chair"), name=name, train=made.train.sketches, held_out=made.held_out.sketches)

    monkeypatch.setattr(recipe, "load_stroke_category", few)
    run("strokes", tmp_path, decoders=("chair", "cat"), generator_training__epochs=2)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(row["decoder"], len(row["epochs"])) for row in results["likelihoods"]] == [
        ("chair", 3),
        ("cat", 3),
    ]
    assert all(row["epochs"][-1] < row["epochs"][0] for row in results["likelihoods"])
    assert isinstance(load_run(tmp_path / "cat"), SketchDecoder)
    assert "decoder alone, chair: samples at 4 temperatures" in (tmp_path / "report.html").read_text()


@pytest.fixture(scope="module")
def in_bits() -> dict[str, object]:
    """A run of the full method: ten steps of joint training over two epochs, of each kind in turn, saved after every third."""
    small = {"methods": ("full",), "data__sketches_per_class": 1, "loop__checkpoint_every": 3}
    return small | {"joint_training__epochs": 2, "joint_steps": 5, "joint__k_r": 2, "joint__k_g": 2}


def test_joint_training_that_dies_ends_with_the_bits_of_one_that_does_not(
    tmp_path: Path, seed: int, in_bits: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "write_report", lambda out, *args: out)
    monkeypatch.setattr(recipe.Networks, "classifier", lambda self: None)
    train = functools.partial(run, "demo", **in_bits)
    train(tmp_path / "whole")
    own, dies_at = JointTask.training_step, int(np.random.default_rng(seed).integers(1, 10))

    def mortal(self, batch, step, context):
        if step == dies_at:
            raise KeyboardInterrupt
        return own(self, batch, step, context)

    with monkeypatch.context() as patch:
        patch.setattr(JointTask, "training_step", mortal)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "dead")
    assert not (tmp_path / "dead" / "full" / "model").exists()
    train(tmp_path / "dead", resume=True)
    last = Path("full", "checkpoints", "last")
    whole, dead = (sorted((tmp_path / name / last).glob("*.safetensors")) for name in ("whole", "dead"))
    assert [file.name for file in whole] == [file.name for file in dead] and len(whole) >= 2
    stored = [name for file in whole for name in load_file(file)]
    # Of all three networks, the baseline, and both moments of each optimizer.
    for what in ("F.", "G.", "D_C.", "baseline.value", "exp_avg"):
        assert any(what in name for name in stored), f"{what} is not in {stored[:5]}..."
    for one, two in zip(whole, dead, strict=True):
        there, here = load_file(one), load_file(two)
        assert there.keys() == here.keys()
        for name, value in there.items():
            assert torch.equal(value, here[name]), f"step {dies_at}, {one.name}: {name}"
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "dead"))
    assert one | {"rasterization": None} == two | {"rasterization": None}  # seconds


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.root": "/"}, "synthetic"),
        ({"data.dataset": "foo"}, "unknown data set 'foo', expected synthetic, qmul or folder"),
        (
            {"data.dataset": "qmul", "data.category": None},
            r"--data\.drawn-size is a size of the synthetic world",
        ),
        ({"data.labelled_shares": (0.0,)}, r"--data\.labelled-shares: expected shares above 0"),
        ({"data.unlabelled_photos": 0}, r"--data\.unlabelled-photos: these methods need some"),
        ({"methods": ("best",)}, "--methods: expected some of sn-triplet, .*; found best"),
        ({"methods": ("full", "full")}, "each once"),
        ({"methods": ()}, "expected one or more; found none"),
        ({"generators": ("vae",)}, "--generators: expected some of pix2pix, .*; found vae"),
        ({"decoders": ("chair",)}, "found both"),
        ({"seeds": ()}, "--seeds"),
        ({"loop.seed": 3}, "--seeds"),
        ({"generator.size": 32}, r"pictures of one size: .*--generator\.size 32"),
        ({"data.epsilon": 1.0}, r"--data\.epsilon: expected 0 to below 1, in canvas sides; found 1\.0"),
        ({"joint.weighting": False}, r"--joint\.weighting is what --methods differ in"),
        ({"joint.k_r": 0}, r"--joint\.k-r: expected at least 1, found 0"),
        ({"joint.lambda_G": float("nan")}, r"--joint\.lambda-G: expected at least"),
        ({"joint_training.lr": 0.0}, r"--joint-training\.lr: expected a number above 0"),
        ({"loss.margin": -1.0}, r"--loss\.margin"),
        ({"evaluation.at": ()}, r"--evaluation\.at"),
        ({"loop.out": " "}, r"--loop\.out"),
        ({"joint.momentum": 1.0}, r"--joint\.momentum: expected 0 to below 1, found 1\.0"),
        ({"discriminator.layers": 9}, "size must be at least 1536 pixels with layers=9"),
        ({"data.labelled_shares": (1.0, 0.2)}, r"--retrieval-training\.batch \d: .*at a share of 0\.2"),
    ],
)
def test_what_cannot_work_is_refused_before_training(tmp_path: Path, settings, message: str) -> None:
    own = {"loop.out": str(tmp_path / "run"), **settings}
    with pytest.raises((ValueError, OSError), match=message):
        recipe.run("demo", changed(CONFIGS["demo"][1], {**TINY, **own}))
    assert not (tmp_path / "run").exists()


def test_bad_data_is_named(tmp_path: Path, chairs: Path) -> None:
    drawings = pickle.loads((chairs / "ChairV2_Coordinate").read_bytes())
    first = drawings["/train/c0_1"]

    def told(message: str, photos: Path = chairs / "photo", **other: object) -> None:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        (root / "photo").symlink_to(photos)
        content = drawings | other
        (root / "ChairV2_Coordinate").write_bytes(pickle.dumps(content))
        own = on_chairs(CONFIGS["table2-full"][1], chairs)
        with pytest.raises((ValueError, OSError), match=message):
            own = changed(own, {"data.root": str(root)})
            print(recipe.Sources(own, recipe.load_split(own.data)).of_share(1.0).notes)

    told("c0_1", **{"/train/c0_1": np.where(np.arange(3) < 1, np.nan, first)})
    told("pen never lifts.*c0_1", **{"/train/c0_1": first * [1, 1, 0]})
    told("no photo.*zebra_1", **{"/train/zebra_1": first})
    told("no photo.*c0_1", photos=chairs / "more")
    with pytest.raises(FileNotFoundError, match="V2"):
        recipe.load_split(on_chairs(CONFIGS["table2-full"][1], chairs / "more").data)


def test_pictures_of_sketches_train_retrieval_but_nothing_that_draws(tmp_path: Path, chairs: Path) -> None:
    for i in range(8):
        thing = synthetic.instance("chair", i, 0)
        for kind, image, name in (
            ("photo", thing.photo(64), f"n{i}"),
            ("sketch", thing.sketch(0, 64), f"n{i}-1"),
        ):
            file = tmp_path / "data" / kind / "chair" / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)
    own = on_chairs(CONFIGS["table2-full"][1], chairs)
    own = changed(own, {"data.dataset": "folder", "data.root": str(tmp_path / "data")})
    sources = recipe.Sources(own, recipe.load_split(own.data))
    networks = recipe.Networks(own, sources, 1.0, None)
    task = recipe.networks_of.retrieval(
        own.retrieval,
        networks.labelled.pairs,
        None,
        own.retrieval_training,
        networks.common,
        title="retrieval",
    )
    stepped_through(task)
    assert "not their strokes" in networks.labelled.notes[0]
    with pytest.raises(ValueError, match=r"must have strokes to learn drawing from.*n\d-1\.png"):
        networks.generator("generator")
    (tmp_path / "data" / "sketch" / "chair" / "n3-1.png").unlink()
    with pytest.raises(ValueError, match=r"labelled photos have no sketch.*n3\.png"):
        recipe.load_split(own.data)
