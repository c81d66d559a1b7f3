"""Parts of csrc/cpu behind C functions written in a test: what neither torch's nor numpy's face lets one choose."""

import ctypes
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def compiled_face(name: str, face: str) -> ctypes.CDLL:
    """`face` (C++ text) with csrc/cpu/<name>*.cpp, under build/, compiled again only where a text changed."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler found (CXX, g++, c++)")
    folder = REPOSITORY / "csrc" / "cpu"
    sources = [*sorted(folder.glob(f"{name}*.cpp")), folder / "cpu_features.cpp"]
    texts = [path.read_bytes() for path in sorted((REPOSITORY / "csrc").glob("*/*"))]
    digest = hashlib.sha256(b"".join([face.encode(), *texts])).hexdigest()[:16]
    built = REPOSITORY / "build" / "cpu_paths" / f"{name}-{digest}.so"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        source, unfinished = built.with_suffix(f".{os.getpid()}.cpp"), built.with_suffix(f".{os.getpid()}.so")
        source.write_text(face)
        flags = ["-std=c++17", "-O1", "-fPIC", "-shared", f"-I{REPOSITORY / 'csrc'}", "-pthread"]
        subprocess.run([compiler, *flags, source, *sources, "-o", unfinished], check=True)
        source.unlink()
        unfinished.replace(built)
    return ctypes.CDLL(str(built))
