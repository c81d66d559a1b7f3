"""What this installation is: `sketchfast.build_info()` and the text of `sketchfast info`, to paste into a bug report."""

import json
import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sketchfast

NATIVE_MODULES = ("_C", "_C_cuda", "_core")
LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "lightning",
    "safetensors",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "timm",
    "faiss-cpu",
)


def build_info() -> dict[str, Any]:
    """The record the build left beside the native modules, and which of these are there now.

    Returns a dict: "cuda" (requested: "auto"|"0"|"1", build: bool, reason, toolkit, architectures), "torch" (version built
    against), "torch_target" (oldest torch the modules run under), "modules" (those built), "present" (module -> file or None).
    Imports neither torch nor the modules. Where nothing was built, "modules" is empty and cuda.reason says so.
    """
    record = Path(__file__).with_name("_build.json")
    if record.exists():
        info = json.loads(record.read_text())
    else:
        cuda = {"requested": None, "build": False, "reason": "the native modules were never built here"}
        info = {
            "cuda": cuda | {"toolkit": None, "architectures": None},
            "torch": None,
            "torch_target": None,
            "modules": [],
        }
    info["present"] = {}
    for name in NATIVE_MODULES:
        spec = find_spec(f"sketchfast.{name}")
        info["present"][name] = spec.origin if spec else None
    return info


def text() -> str:
    """Versions, native modules, processor, threads and GPUs, one fact a line."""
    built = build_info()
    cuda = built["cuda"]
    lines = [
        f"sketchfast     {sketchfast.__version__} at {Path(__file__).parent}",
        f"python         {sys.version.split()[0]} at {sys.executable}",
        f"platform       {platform.platform()}",
        f"processor      {_processor()}, {os.cpu_count()} logical cores, {len(os.sched_getaffinity(0))} usable",
        f"built          against torch {built['torch']}, runs under torch >= {built['torch_target']}",
        f"CUDA kernels   {'built' if cuda['build'] else 'not built'} (SKETCHFAST_CUDA={cuda['requested']}): {cuda['reason']}",
    ]
    if cuda["build"]:
        lines.append(f"               compute capabilities {cuda['architectures']}")
    for name, origin in built["present"].items():
        lines.append(f"{name:<14} {_module_state(name, origin)}")
    for library in LIBRARIES:
        try:
            lines.append(f"{library:<14} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{library:<14} not installed")
    lines.append(f"GPU            {_gpus()}")
    return "\n".join(lines)


def _module_state(name: str, origin: str | None) -> str:
    if origin is None:
        return "absent"
    from sketchfast import _native

    try:
        if name == "_core":
            paths = ", ".join(_native.load_core().hamming_paths())
            return f"loads from {origin}; Hamming search with {paths}"
        import torch

        if name == "_C_cuda" and torch.version.cuda is None:
            return f"{origin}, not loaded: torch has no CUDA"
        _native.load_torch_ops()
        return f"loads from {origin}"
    except ImportError as error:
        return f"DOES NOT LOAD from {origin}: {error.__cause__ or error}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> str:
    try:
        import torch
    except ImportError as error:
        return f"unknown, torch cannot be imported: {error}"
    if torch.version.cuda is None:
        return "none: this torch is a CPU-only build"
    if not torch.cuda.is_available():
        return f"none visible (torch has CUDA {torch.version.cuda})"
    names = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        capability = f"{properties.major}.{properties.minor}"
        names.append(
            f"{properties.name} (compute capability {capability}, {properties.total_memory / 2**30:.0f} GiB)"
        )
    return "; ".join(names)
