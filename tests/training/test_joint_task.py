"""Algorithm 1: which networks learn in which step and from what; four steps of it written out, with an Adam for each network."""

import copy
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from drawn_world import drawn_world
from torch import Tensor, nn

from sketchfast.data.augmentation import Augmentation
from sketchfast.data.photo_batches import JointBatches
from sketchfast.data.pixels import normalize
from sketchfast.data.sequence_pictures import with_sequences
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.models.fine_grained import FineGrainedConfig, FineGrainedNet
from sketchfast.models.patch_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sketchfast.models.photo_to_sketch import PhotoToSketch, PhotoToSketchConfig, vae_loss
from sketchfast.models.pix2pix import Pix2Pix, Pix2PixConfig
from sketchfast.models.sketch_samples import log_probability
from sketchfast.training.cross_category_tasks import Optimisation
from sketchfast.training.joint_task import JointNetworks, JointSettings, JointTask

SIZE, POINTS, BATCH = 32, 12, 4
NETWORK: dict[str, Any] = {"weights": "none", "stem": "small", "width": 0.0625, "size": SIZE}
STILL = Augmentation(chance=0.0)
State = dict[str, Tensor]


def networks(kind: str = "strokes") -> tuple[JointNetworks, FineGrainedNet]:
    """F, G, D_C of a world of boxes, and F^T."""
    config = FineGrainedConfig("resnet10", scaled_attention=True, **NETWORK)
    F, teacher = FineGrainedNet(config, ["box"]), FineGrainedNet(config, ["box"])
    # Attention that leans somewhere, and a teacher that is not F.
    nn.init.normal_(F.attend.weight)
    G: Any
    if kind == "pictures":
        G = Pix2Pix(Pix2PixConfig(SIZE, 2, discriminator_width=2, discriminator_layers=1))
    else:
        G = PhotoToSketch(
            PhotoToSketchConfig(
                "resnet10",
                latent=4,
                hidden=8,
                attention_dim=4,
                mixtures=2,
                max_points=POINTS,
                offset_scale=SEQUENCES.scale,
                **NETWORK,
            )
        )
        nn.init.constant_(G.decoder.output.bias[2:3], -1.0)  # drawings have some points
    return JointNetworks(F, G, PatchDiscriminator(PatchDiscriminatorConfig(2, 1, SIZE))), teacher


PAIRS, UNLABELLED = drawn_world(3), drawn_world(4).photos
SEQUENCES = SketchSequences(PAIRS.sketches, POINTS, progress=False)


def joint_task(
    nets: JointNetworks, teacher: FineGrainedNet | None, augmentation: Augmentation = STILL, **settings: Any
) -> JointTask:
    own = JointSettings(k_r=2, k_g=2, **settings)
    pairs = with_sequences(PAIRS, SEQUENCES)
    source = JointBatches(pairs, UNLABELLED, nets.F.preprocess, 4, BATCH, 5, SEQUENCES)
    adam = Optimisation(partial(torch.optim.Adam, lr=1e-2, eps=1e-3))
    return JointTask(nets, teacher, source, own, augmentation, adam, negatives="all", kl=0.7)


def numbers(step: int) -> SimpleNamespace:
    own, shared = (torch.Generator().manual_seed(10 * step + i) for i in range(2))
    fabric = SimpleNamespace(autocast=nullcontext)
    return SimpleNamespace(
        fabric=fabric, rank=0, world_size=1, device=torch.device("cpu"), generator=own, shared_generator=shared,
        local_slice=slice,
    )  # fmt: skip


class Loop:
    """`fit` without its frame."""

    def __init__(self, task: JointTask) -> None:
        self.task, self.optimizer = task, task.make_optimizer(task.parameter_groups())
        self.batches = list(task.batches(0, 0, 1))
        task.model.train()

    def gradients(self, step: int) -> dict[str, Tensor | None]:
        """Of all parameters, by name."""
        context: Any = numbers(step)
        context.model = self.task.model
        self.optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(step)  # of Pix2Pix's dropout
        self.task.training_step(self.batches[step], step, context)["loss"].backward()
        return {name: p.grad for name, p in self.task.model.named_parameters()}

    def step(self, step: int) -> None:
        self.gradients(step)
        self.optimizer.step()

    def moments(self) -> dict[str, Tensor]:
        """Adam's state, by the name of the parameter."""
        names = {p: name for name, p in self.task.model.named_parameters()}
        return {
            f"{names[p]}.{key}": value.clone()
            for p, state in self.optimizer.state.items()
            for key, value in state.items()
        }


def state(model: nn.Module) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before: State, after: State) -> set[str]:
    """The networks of which anything differs; what is new counts."""
    differs = {name for name, value in after.items() if name not in before or not value.equal(before[name])}
    return {name.split(".")[0] for name in differs}


@pytest.mark.parametrize("kind", ["strokes", "pictures"])
def test_each_step_trains_its_own_networks(kind: str, seed: int) -> None:
    """Running statistics and Adam's moments of the others included, at their first steps and later."""
    torch.manual_seed(seed)
    nets, teacher = networks(kind)
    varied = Augmentation(rotation=5.0, colour=0.2)
    loop = Loop(joint_task(nets, teacher, varied))
    taught = state(teacher)
    for step in [0, 1, 2, 3, 0, 2]:
        before, moments = state(nets), loop.moments()
        loop.step(step)
        learning = {"F", "D_C"} if step < 2 else {"G"}
        assert changed(moments, loop.moments()) == learning
        after = state(nets)
        # The average of rewards goes on with G; a generator of pictures has none.
        also = {"baseline"} if step >= 2 and kind == "strokes" else set()
        assert changed(before, after) == learning | also
        for part in learning:
            still = {
                name
                for name, p in getattr(nets, part).named_parameters()
                if after[f"{part}.{name}"].equal(before[f"{part}.{name}"])
            }
            assert not still, (step, still)
    assert not changed(taught, state(teacher))


def test_the_policy_reaches_the_output_layer_alone(seed: int) -> None:
    torch.manual_seed(seed)
    nets, teacher = networks()
    without, some, twice = (
        Loop(joint_task(copy.deepcopy(nets), teacher, lambda_G=lambda_G, baseline=False)).gradients(2)
        for lambda_G in (0.0, 5.0, 10.0)
    )
    for name, gradient in without.items():
        assert (gradient is None) == (not name.startswith("G."))
        if gradient is None:
            assert some[name] is None
        elif name.startswith("G.decoder.output."):
            policy = some[name] - gradient
            assert policy.abs().max() > 1e-4
            torch.testing.assert_close(twice[name] - gradient, 2 * policy, rtol=1e-3, atol=1e-4)
        else:
            assert some[name].equal(gradient), name  # of eq. 3 alone


def test_pix2pix_is_rewarded_through_F_and_D_C_which_learn_nothing(seed: int) -> None:
    torch.manual_seed(seed)
    nets, teacher = networks("pictures")
    found = {
        terms: Loop(joint_task(copy.deepcopy(nets), teacher, lambda_G=weight, lambda_r1=r1, lambda_r2=r2)).gradients(2)
        for terms, weight, r1, r2 in (("none", 0, 1, 1), ("F", 10, 1, 0), ("D_C", 10, 0, 1), ("both", 10, 1, 1))
    }  # fmt: skip
    for name, alone in found["none"].items():
        others = [found[terms][name] for terms in ("F", "D_C", "both")]
        if not name.startswith("G."):
            assert all(gradient is None for gradient in (alone, *others)), name
        elif not name.startswith("G.discriminator."):
            F, D_C, both = (gradient - alone for gradient in others)
            torch.testing.assert_close(F + D_C, both, rtol=1e-3, atol=1e-3)
        else:
            assert all(gradient.equal(alone) for gradient in others)
    for terms in ("F", "D_C"):
        assert (
            max(
                float((gradient - found["none"][name]).abs().max())
                for name, gradient in found[terms].items()
                if name.startswith("G.") and "discriminator" not in name
            )
            > 1e-6
        ), terms
    assert all(p.requires_grad for part in (nets.F, nets.D_C) for p in part.parameters())


@pytest.mark.parametrize("weighting", [True, False])
def test_without_joint_training_G_stays_as_it_is(weighting: bool, seed: int) -> None:
    """And D_C too where nothing asks it."""
    torch.manual_seed(seed)
    nets, teacher = networks()
    before, task = state(nets), joint_task(nets, teacher, joint=False, weighting=weighting)
    assert all(task.trains_retrieval(step) for step in range(20)) and task.judging == weighting
    loop = Loop(task)
    for step in range(4):
        loop.step(step)
    assert changed(before, state(nets)) == {"F", *(["D_C"] if weighting else [])}


def in_float64(module: Any) -> Any:
    """The network, which takes float32 as well."""

    def cast(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(x.double() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)

    module.double().register_forward_pre_hook(cast)
    if isinstance(module, PhotoToSketch):
        encode = module.encode
        module.encode = lambda photos: encode(photos.double())
    return module


def triplets(s: Tensor, p: Tensor, ids: list[int], margin: float = 0.3) -> Tensor:
    """Eq. 4 of each pair of a batch, the mean over the photos with another id."""
    found = []
    for i in range(len(s)):
        negatives = [j for j in range(len(p)) if ids[j] != ids[i]]
        near = (s[i] - p[i]).square().sum().sqrt()
        terms = [(margin + near - (s[i] - p[j]).square().sum().sqrt()).clamp(min=0) for j in negatives]
        found.append(torch.stack(terms).mean())
    return torch.stack(found)


class Written:
    """Algorithm 1 once more, a line after the other: three optimizers, no part of JointTask."""

    def __init__(self, nets: JointNetworks, teacher: FineGrainedNet) -> None:
        self.F, self.G, self.D_C, self.F_T = nets.F, nets.G, nets.D_C, teacher.eval()
        self.adam_F, self.adam_G, self.adam_D = (
            torch.optim.Adam(net.parameters(), lr=1e-2, eps=1e-3) for net in (self.F, self.G, self.D_C)
        )
        self.b: Tensor | None = None

    def images(self, pixels: Tensor) -> Tensor:
        return normalize(pixels, self.F.preprocess).double()

    def phi(self, samples: Any) -> Tensor:
        return self.images(samples.images(SIZE, 1)[..., None].expand(-1, -1, -1, 3))

    def drawn(self, photos: Tensor, random: Any) -> Any:
        self.G.eval()
        samples = self.G.sample(photos, random.generator)
        self.G.train()
        return samples

    def retrieval(self, batch: Any, random: Any) -> None:
        D_L, D_U = batch["labelled"], batch["unlabelled"]
        s_L, p_L, p_U = (self.images(x) for x in (D_L["sketch"], D_L["photo"], D_U["photo"]))
        s_U = self.phi(self.drawn(p_U, random))
        features = self.F(torch.cat([s_L, p_L, s_U, p_U])).split(BATCH)
        with torch.no_grad():
            wanted = self.F_T(torch.cat([s_L, p_L, s_U, p_U])).split(BATCH)
            omega = self.D_C(p_U, s_U).sigmoid().mean(dim=(1, 2, 3))
        L_F = torch.zeros(())
        for side, weight, part in ((0, torch.ones(BATCH), D_L), (2, omega, D_U)):
            s, p = features[side : side + 2]
            L_F = L_F + (weight * triplets(s, p, part["photo_row"].tolist())).mean()
            of_F, of_teacher = (
                (a - b).square().sum(dim=1).sqrt()
                for b, a in (features[side : side + 2], wanted[side : side + 2])
            )
            L_F = L_F + 0.1 * (of_teacher - of_F).abs().mean()
        L_F.backward()
        L_D = -(self.D_C(p_L, s_L).sigmoid().log().mean() + (1 - self.D_C(p_U, s_U).sigmoid()).log().mean())
        L_D.backward()
        for adam in (self.adam_F, self.adam_D):
            adam.step()
            adam.zero_grad()

    def generator(self, batch: Any, random: Any) -> None:
        D_L, D_U = batch["labelled"], batch["unlabelled"]
        p_L, p_U = self.images(D_L["photo"]), self.images(D_U["photo"])
        noise = torch.randn(BATCH, 4, generator=random.shared_generator)
        L_vae = vae_loss(self.G(p_L, D_L["stroke5"], noise), D_L["stroke5"].double(), 0.7)["loss"]
        p = torch.cat([p_L, p_U])
        samples = self.drawn(p, random)
        s = self.phi(samples)
        self.F.eval()
        with torch.no_grad():
            ids = [*D_L["photo_row"].tolist(), *(100 + D_U["photo_row"]).tolist()]
            R = self.D_C(p, s).sigmoid().mean(dim=(1, 2, 3)) - triplets(self.F(s), self.F(p), ids)
        self.F.train()
        b = R.mean() if self.b is None else self.b
        self.b = 0.9 * b + 0.1 * R.mean()
        log_p = log_probability(self.G.decoder.output(samples.hidden), samples)
        (L_vae - 10 * (log_p * (R - b)).mean()).backward()
        self.adam_G.step()
        self.adam_G.zero_grad()


def test_four_steps_are_algorithm_1_with_an_adam_for_each_network(seed: int) -> None:
    """Two of F and D_C, two of G, in float64: the task's one optimizer leaves the same weights."""
    torch.manual_seed(seed)
    own, other = networks(), networks()
    for one, two in zip(own, other, strict=True):
        two.load_state_dict(one.state_dict())
    for nets, teacher in (own, other):
        for net in (nets.F, nets.G, nets.D_C, teacher):
            in_float64(net)
        nets.baseline.double()
    loop, written = Loop(joint_task(*own)), Written(*other)
    other[0].train()
    for step, batch in enumerate(loop.batches):
        before = state(own[0])
        loop.step(step)
        (written.retrieval if step < 2 else written.generator)(batch, numbers(step))
        after, expected = state(own[0]), state(other[0])
        assert changed(before, after) >= ({"F", "D_C"} if step < 2 else {"G"})
        for name, value in after.items():
            if not name.startswith("baseline."):
                difference = (value - expected[name]).abs().max()
                assert difference <= 1e-7 * (1 + expected[name].abs().max()), (step, name, difference)
    assert written.b is not None and float(own[0].baseline.value) == pytest.approx(float(written.b), rel=1e-6)
