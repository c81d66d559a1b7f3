"""Compile csrc/cuda with a C++ compiler against the CUDA of emulation/cuda_runtime.h, and run cases through it.

One program per op: emulation/emulation_<op>.cpp. A case knows the bytes that its program reads and the arrays it writes.
"""

import hashlib
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
EMULATION = Path(__file__).resolve().parent / "emulation"
SANITIZE = os.environ.get("SKETCHFAST_EMULATION_SANITIZERS") == "1"


class Case(Protocol):
    def encoded(self) -> bytes: ...

    def outputs(self) -> list[tuple[tuple[int, ...], np.dtype]]: ...


def build(op: str, sanitize: bool = SANITIZE) -> Path:
    """The op's program under build/, compiled again only where its text, headers included, changed."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise FileNotFoundError("no C++ compiler found (CXX, g++, c++)")
    flags = [
        "-std=c++17",
        "-O1",
        "-g",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unknown-pragmas",
        "-Wno-clobbered",
        f"-I{EMULATION}",
        f"-I{REPOSITORY / 'csrc'}",
    ]
    if sanitize:
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = str(EMULATION / f"emulation_{op}.cpp")
    text = subprocess.run([compiler, *flags, "-E", source], check=True, capture_output=True).stdout
    digest = hashlib.sha256(" ".join([compiler, *flags]).encode() + text).hexdigest()[:16]
    program = REPOSITORY / "build" / "cuda_emulation" / f"{op}-{digest}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, *flags, source, "-o", str(unfinished)], check=True)
        unfinished.replace(program)
    return program


def run(program: Path, cases: Sequence[Case], seed: int) -> tuple[list[list[np.ndarray]], str]:
    """Every case's outputs, and the program's line of statistics; RuntimeError with its words where it stops."""
    given = struct.pack("<q", seed) + b"".join(case.encoded() for case in cases)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_stack_use_after_return=0:detect_leaks=0"}
    done = subprocess.run([str(program)], input=given, capture_output=True, env=environment)
    said = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise RuntimeError(f"emulation ended with {done.returncode}: {said[-4000:]}")
    results, position = [], 0
    for case in cases:
        arrays = []
        for shape, dtype in case.outputs():
            count = int(np.prod(shape, dtype=np.int64))
            arrays.append(np.frombuffer(done.stdout, dtype, count, position).reshape(shape))
            position += count * dtype.itemsize
        results.append(arrays)
    if position != len(done.stdout):
        raise RuntimeError(f"emulation wrote {len(done.stdout)} bytes, expected {position}")
    return results, said
