"""Descriptors of whole sets: known values in row order, centres of k-means; which trait network of a run is read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sketchfast.data.image_set import ImageSet
from sketchfast.models.sketch_vae import SketchVAE, SketchVAEConfig
from sketchfast.models.traits import TraitConfig, TraitNetwork
from sketchfast.models.vtd import VTD, VTDConfig, WordDescriber
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import save_model
from sketchfast.training.sketch_descriptors import describe_set, read_trait_network, with_centroids

SIZE = 8
CHANNELS = (8, 8, 8, 8, 8)
TRAITS = TraitConfig(descriptors=4, dim=8, channels=CHANNELS, size=32)


class Dots(ImageSet):
    """One black pixel a sketch, at (x, y)."""

    def __init__(self, places: np.ndarray, size: int = SIZE) -> None:
        self.places, self.size = places, size
        names = [f"{row}.png" for row in range(len(places))]
        super().__init__(["ant", "bee"], np.arange(len(places)) % 2, names, "sketch")

    def load(self, i: int) -> np.ndarray:
        image = np.full((self.size, self.size, 3), 255, np.uint8)
        x, y = self.places[i]
        image[y, x] = 0
        return image


class MeanPlace(nn.Module):
    """Describes a sketch by the mean x and y of its ink."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.preprocess = Preprocess(size=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3)

    def describe(self, images: Tensor) -> Tensor:
        ink, steps = (1 - images[:, 0]) / 2, torch.arange(SIZE, dtype=torch.float32)
        where = torch.stack([ink.sum(1) @ steps, ink.sum(2) @ steps], dim=1) / ink.sum((1, 2))[:, None]
        return self.scale * where


@pytest.mark.parametrize("memory", [4 << 30, 0])
def test_descriptors_are_in_row_order_and_mirrored_from_left_to_right(memory: int, seed: int) -> None:
    """More sketches than are described at once; decoded ahead, and one by one."""
    places = np.random.default_rng(seed).integers(0, SIZE, (300, 2))
    describer, sketches = MeanPlace().train(), Dots(places)
    found = describe_set(describer, sketches, memory=memory)
    assert found.dtype == torch.float32 and not found.requires_grad and not describer.training
    torch.testing.assert_close(found, torch.from_numpy(places).float())
    mirrored = torch.from_numpy(np.stack([SIZE - 1 - places[:, 0], places[:, 1]], axis=1)).float()
    torch.testing.assert_close(describe_set(describer, sketches, mirrored=True, memory=memory), mirrored)


def test_words_describe_a_sketch_by_its_category() -> None:
    sketches = Dots(np.zeros((3, 2), np.int64))  # ant, bee, ant
    words = WordDescriber(["bee", "cat", "ant"], torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    for mirrored in (False, True):
        assert describe_set(words, sketches, mirrored).tolist() == [[5, 6], [1, 2], [5, 6]]
    with pytest.raises(ValueError, match="bee"):
        describe_set(WordDescriber(["ant"], torch.ones(1, 2)), sketches)


def test_centres_of_as_many_drawings_are_those_drawings(seed: int) -> None:
    torch.manual_seed(seed)
    vae = SketchVAE(SketchVAEConfig(latent=6, channels=CHANNELS, size=32, ink_margin=0.0))
    vae.preprocess = Preprocess(size=32, mean=(0.5,) * 3, std=(0.5,) * 3)  # a dot stays where it is
    places = np.array([[2, 3], [29, 5], [16, 16], [4, 27], [25, 28]])
    drawings = Dots(np.tile(places, (3, 1)), 32)
    own = describe_set(vae, Dots(places, 32))
    assert torch.cdist(own, own)[~torch.eye(5, dtype=torch.bool)].min() > 0
    clustered = with_centroids(vae, drawings, 5, seed)
    assert vae.centroids is None and not clustered.training
    # centres come in any order
    torch.testing.assert_close(
        clustered.centroids[np.lexsort(clustered.centroids.numpy().T)], own[np.lexsort(own.numpy().T)]
    )
    clustered.preprocess = vae.preprocess
    torch.testing.assert_close(describe_set(clustered, drawings), own.repeat(3, 1))
    between = describe_set(clustered, Dots(np.array([[3, 4], [28, 9]]), 32))
    latent = describe_set(vae, Dots(np.array([[3, 4], [28, 9]]), 32))
    nearest = torch.cdist(latent.double(), clustered.centroids.double()).argmin(dim=1)
    assert torch.equal(between, clustered.centroids[nearest])
    with pytest.raises(ValueError, match="6 centres of k-means need as many training sketches, found 5"):
        with_centroids(vae, Dots(places, 32), 6, seed)


# ---- the trait network of a run


def traits(folder: Path, assignment: str = "soft") -> TraitNetwork:
    """A trait network saved there."""
    settings = {**vars(TRAITS), "assignment": assignment}
    network = TraitNetwork(TraitConfig(**settings))
    save_model(folder / "model", network, {"task": "traits"})
    return network


def retrieval(folder: Path, describer: TraitNetwork | None, method: str) -> None:
    config = VTDConfig("resnet10", "none", width=0.125, descriptor_dim=8 if describer else 0)
    save_model(folder / "model", VTD(config, ["cat"], Preprocess(size=32), describer), {"task": method})


def same(a: TraitNetwork, b: TraitNetwork) -> bool:
    return torch.equal(a.dictionary, b.dictionary)


def test_a_run_gives_the_trait_network_that_is_asked_for(tmp_path: Path) -> None:
    names = ("traits-soft", "traits-hard", "traits-edge", "traits-soft-without-revival")
    made = {name: traits(tmp_path / name, "hard" if "hard" in name else "soft") for name in names}
    retrieval(tmp_path, made["traits-hard"], "hard")
    for name in names:
        assert same(read_trait_network(tmp_path, TRAITS, name), made[name]), name
    assert same(read_trait_network(tmp_path, TRAITS), made["traits-soft"])


def test_a_run_of_one_trait_network_gives_no_other(tmp_path: Path) -> None:
    soft, hard = traits(tmp_path / "soft"), traits(tmp_path / "hard", "hard")
    edge = traits(tmp_path / "a" / "traits-edge")
    retrieval(tmp_path / "full", soft, "full")
    retrieval(tmp_path / "b", edge, "edge")
    for folder, kind, network in (
        ("soft", "traits-soft", soft),
        ("full", "traits-soft", soft),
        ("hard", "traits-hard", hard),
        ("a/traits-edge", "traits-edge", edge),
        ("b", "traits-edge", edge),
    ):
        for name in ("traits-soft", "traits-hard", "traits-edge"):
            if name == kind:
                assert same(read_trait_network(tmp_path / folder, TRAITS, name), network)
                continue
            with pytest.raises(ValueError, match=f"expected a trait network '{name}', found only {kind}$"):
                read_trait_network(tmp_path / folder, TRAITS, name)
        assert same(read_trait_network(tmp_path / folder, TRAITS), network)


def test_runs_without_the_trait_network(tmp_path: Path) -> None:
    traits(tmp_path / "run" / "traits-hard", "hard")
    traits(tmp_path / "run" / "seed-1" / "traits-edge")
    with pytest.raises(ValueError, match=r"'traits-soft', found only seed-1/traits-edge, traits-hard$"):
        read_trait_network(tmp_path / "run", TRAITS, "traits-soft")
    retrieval(tmp_path / "plain", None, "hard-transfer")
    with pytest.raises(ValueError, match="expected a run with a trait network, found NoneType"):
        read_trait_network(tmp_path / "plain", TRAITS, "traits-soft")
    with pytest.raises(FileNotFoundError, match="nothing: expected a run folder"):
        read_trait_network(tmp_path / "nothing", TRAITS, "traits-soft")
    other = TraitConfig(**{**vars(TRAITS), "descriptors": 5})
    with pytest.raises(ValueError, match="K = 4 descriptors, expected 5"):
        read_trait_network(tmp_path / "run", other, "traits-hard")
    other = TraitConfig(**{**vars(TRAITS), "dim": 16})
    with pytest.raises(ValueError, match=r"its trait network is .*dim=8.*, expected .*dim=16"):
        read_trait_network(tmp_path / "run", other, "traits-hard")
