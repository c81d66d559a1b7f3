"""Recipes as modules: train/ is a folder of scripts, not a package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TRAIN = Path(__file__).resolve().parents[2] / "train"


def load_recipe(name: str) -> ModuleType:
    """train/<name>.py as the module train_<name>."""
    spec = importlib.util.spec_from_file_location(f"train_{name}", TRAIN / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module
