"""Models of the papers, and the backbones they share. Loaded on first use."""

from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = [
    "L2S",
    "TCN",
    "VTD",
    "Classification",
    "ClassifierFeatures",
    "ClassifierFeaturesConfig",
    "DeepSSP",
    "DeepSSPConfig",
    "FineGrainedConfig",
    "FineGrainedNet",
    "L2SConfig",
    "LandmarkEnsemble",
    "LandmarkNet",
    "LandmarkNetConfig",
    "LandmarkOutput",
    "Parse",
    "PatchDiscriminator",
    "PatchDiscriminatorConfig",
    "PhotoToSketch",
    "PhotoToSketchConfig",
    "Pix2Pix",
    "Pix2PixConfig",
    "SketchClassifier",
    "SketchDecoder",
    "SketchParser",
    "SketchSamples",
    "SketchVAE",
    "SketchVAEConfig",
    "StrokeDecoder",
    "StrokeDecoderConfig",
    "TCNConfig",
    "TraitConfig",
    "TraitNetwork",
    "TraitOutput",
    "TraitSearch",
    "VTDConfig",
    "VTDOutput",
    "WordDescriber",
    "find_checkpoint",
    "fit_fusion",
    "load_run",
    "log_probability",
    "weights_sha256",
]

_HOMES = {
    "TCN": "tcn",
    "TCNConfig": "tcn",
    "DeepSSP": "deepssp",
    "DeepSSPConfig": "deepssp",
    "LandmarkNet": "landmark",
    "LandmarkNetConfig": "landmark",
    "LandmarkOutput": "landmark",
    "LandmarkEnsemble": "landmark_fusion",
    "fit_fusion": "landmark_fusion",
    "SketchClassifier": "sketch_classifier",
    "Classification": "sketch_classifier",
    "SketchParser": "sketch_parser",
    "Parse": "sketch_parser",
    "VTD": "vtd",
    "TraitSearch": "trait_search",
    "VTDConfig": "vtd",
    "VTDOutput": "vtd",
    "WordDescriber": "vtd",
    "TraitNetwork": "traits",
    "TraitConfig": "traits",
    "TraitOutput": "traits",
    "SketchVAE": "sketch_vae",
    "SketchVAEConfig": "sketch_vae",
    "ClassifierFeatures": "sketch_features",
    "ClassifierFeaturesConfig": "sketch_features",
    "FineGrainedNet": "fine_grained",
    "FineGrainedConfig": "fine_grained",
    "PatchDiscriminator": "patch_discriminator",
    "PatchDiscriminatorConfig": "patch_discriminator",
    "PhotoToSketch": "photo_to_sketch",
    "PhotoToSketchConfig": "photo_to_sketch",
    "SketchDecoder": "stroke_decoder",
    "StrokeDecoder": "stroke_decoder",
    "StrokeDecoderConfig": "stroke_decoder",
    "SketchSamples": "sketch_samples",
    "Pix2Pix": "pix2pix",
    "Pix2PixConfig": "pix2pix",
    "L2S": "l2s",
    "L2SConfig": "l2s",
    "log_probability": "sketch_samples",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"sketchfast.models.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint folder that stands for a run folder (or ``path`` itself when it is one).

    A finished run's ``model`` (written when a recipe has ended, with its ITQ) comes before ``checkpoints/best``, unless
    the run was continued since: then what ``model`` holds is out of date. Runs in sub-folders (the members of an ensemble)
    are not looked at: until the recipe has ended again, ``model`` is what it was before they were continued.
    Raises FileNotFoundError naming the folder and what was expected.
    """
    from sketchfast.training.checkpoint import METADATA_FILE

    root = Path(path)
    model, best, last = root / "model", root / "checkpoints" / "best", root / "checkpoints" / "last"

    def saved(folder: Path) -> float:
        file = folder / METADATA_FILE
        return file.stat().st_mtime if file.is_file() else -1.0

    places = [root, model, best] if saved(model) >= saved(last) else [root, best, last]
    for place in places:
        if saved(place) >= 0:
            return place
    raise FileNotFoundError(
        f"{root}: expected a run folder (with model/ or checkpoints/best/) or a checkpoint folder "
        f"(with {METADATA_FILE}), found neither"
    )


def weights_sha256(checkpoint: Path) -> str:
    """SHA-256 of a checkpoint's weights file, as its metadata records it."""
    from sketchfast.training.checkpoint import MODEL_FILE, read_metadata

    return read_metadata(checkpoint)["sha256"][MODEL_FILE]


def load_run(path: str | Path, device: str = "cpu") -> Any:
    """The trained model of a run folder or checkpoint folder (see ``find_checkpoint``), in evaluation mode.

    Raises FileNotFoundError naming the folder and what was expected, ValueError for an unknown kind of model.
    """
    from sketchfast.models.deepssp import DeepSSP
    from sketchfast.models.fine_grained import FineGrainedNet
    from sketchfast.models.l2s import L2S
    from sketchfast.models.landmark import LandmarkNet
    from sketchfast.models.landmark_fusion import LandmarkEnsemble
    from sketchfast.models.patch_discriminator import PatchDiscriminator
    from sketchfast.models.photo_to_sketch import PhotoToSketch
    from sketchfast.models.pix2pix import Pix2Pix
    from sketchfast.models.sketch_features import ClassifierFeatures
    from sketchfast.models.sketch_vae import SketchVAE
    from sketchfast.models.stroke_decoder import SketchDecoder
    from sketchfast.models.tcn import TCN
    from sketchfast.models.traits import TraitNetwork
    from sketchfast.models.vtd import VTD
    from sketchfast.training.checkpoint import load_model

    models = (
        TCN, DeepSSP, LandmarkNet, LandmarkEnsemble, VTD, TraitNetwork, SketchVAE, ClassifierFeatures,
        FineGrainedNet, PatchDiscriminator, PhotoToSketch, SketchDecoder, Pix2Pix, L2S,
    )  # fmt: skip
    factories: dict[str, Any] = {model.__name__: model.from_metadata for model in models}
    return load_model(find_checkpoint(path), factories, device)[0]
