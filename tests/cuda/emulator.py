"""Compile csrc/cuda with a C++ compiler against the CUDA of emulation/cuda_runtime.h, and run cases through it."""

import hashlib
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
EMULATION = Path(__file__).resolve().parent / "emulation"
TOPK, CDIST, PACK = 0, 1, 2
# Raw 16-bit floats travel as uint16; codes 4 and 5 tell bfloat16 and float16 apart.
PACK_DTYPES = {"float32": 0, "float64": 1, "int8": 2, "uint8": 3, "bfloat16": 4, "float16": 5}


@dataclass(frozen=True)
class Tuning:
    """HammingTuning of csrc/cuda/hamming_plan.h."""

    warps_wanted: int = 4096
    groups_per_unit: int = 8
    pairs_worth_sampling: int = 1 << 22
    counts_bytes: int = 128 << 20


@dataclass
class Case:
    operation: int
    arrays: tuple[np.ndarray, ...]
    k: int = 0
    dtype: str = ""
    offsets: tuple[int, int] = (0, 0)  # bytes past a 16-byte boundary
    tuning: Tuning = field(default_factory=Tuning)

    def encoded(self) -> bytes:
        first = self.arrays[0]
        if self.operation == PACK:
            numbers = [PACK, first.shape[0], 0, PACK_DTYPES[self.dtype], first.shape[1], *self.offsets]
        else:
            numbers = [self.operation, len(first), len(self.arrays[1]), first.shape[1], self.k, *self.offsets]
        tuning = self.tuning
        numbers += [
            tuning.warps_wanted,
            tuning.groups_per_unit,
            tuning.pairs_worth_sampling,
            tuning.counts_bytes,
        ]
        return struct.pack("<11q", *numbers) + b"".join(
            np.ascontiguousarray(a).tobytes() for a in self.arrays
        )

    def outputs(self) -> list[tuple[tuple[int, int], np.dtype]]:
        first = self.arrays[0]
        if self.operation == PACK:
            return [((first.shape[0], first.shape[1] // 8), np.dtype(np.uint8))]
        if self.operation == CDIST:
            narrow = 8 * first.shape[1] <= 255
            return [((len(first), len(self.arrays[1])), np.dtype(np.uint8 if narrow else np.int16))]
        return [((len(first), self.k), np.dtype(np.int32)), ((len(first), self.k), np.dtype(np.int64))]


def build(sanitize: bool) -> Path:
    """The emulation's program under build/, compiled again only where a source changed."""
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
    ]
    if sanitize:
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    folders = (REPOSITORY / "csrc" / "cuda", REPOSITORY / "csrc" / "math", EMULATION)
    sources = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
    digest = hashlib.sha256(" ".join([compiler, *flags]).encode())
    for path in sources:
        digest.update(path.name.encode() + path.read_bytes())
    program = REPOSITORY / "build" / "cuda_emulation" / digest.hexdigest()[:16]
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        command = [compiler, *flags, f"-I{EMULATION}", f"-I{REPOSITORY / 'csrc'}"]
        subprocess.run([*command, str(EMULATION / "emulation.cpp"), "-o", str(unfinished)], check=True)
        unfinished.replace(program)
    return program


def run(program: Path, cases: list[Case], seed: int) -> tuple[list[list[np.ndarray]], str]:
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
            count = shape[0] * shape[1]
            arrays.append(np.frombuffer(done.stdout, dtype, count, position).reshape(shape))
            position += count * dtype.itemsize
        results.append(arrays)
    if position != len(done.stdout):
        raise RuntimeError(f"emulation wrote {len(done.stdout)} bytes, expected {position}")
    return results, said
