"""A GPU's limits, and timing against them: CUDA graph replays over rotated inputs, contenders taking turns, medians."""

import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

Calls = list[Callable[[], Any]]  # the same work on rotated inputs
ROUNDS = 9

# ---- the device --------------------------------------------------------------------------------------------------------


@dataclass
class Device:
    name: str
    multiprocessors: int
    l2_bytes: int
    sm_clock_hz: float | None
    copy_bytes_per_second: float  # read + written, measured

    def popc_pairs_per_second(self, bits: int) -> float | None:
        """16 POPC of 32 bits a clock and multiprocessor."""
        return self.sm_clock_hz * self.multiprocessors * 16 * 32 / max(bits, 64) if self.sm_clock_hz else None


def largest_sm_clock() -> float | None:
    try:
        query = ["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits"]
        said = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        return float(said.splitlines()[torch.cuda.current_device()]) * 1e6
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def look_at_device() -> Device:
    properties = torch.cuda.get_device_properties(0)
    size = min(1 << 30, properties.total_memory // 8)
    source, target = (
        torch.zeros(size, dtype=torch.uint8, device="cuda"),
        torch.empty(size, dtype=torch.uint8, device="cuda"),
    )
    (seconds,) = medians([[lambda: target.copy_(source)]])
    return Device(
        torch.cuda.get_device_name(0),
        properties.multi_processor_count,
        properties.L2_cache_size,
        largest_sm_clock(),
        2 * size / seconds,
    )


# ---- timing ------------------------------------------------------------------------------------------------------------


def recorded(calls: Calls) -> Callable[[], Any]:
    """One replay = every call once. What cannot be captured is run call by call."""
    for call in calls:
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            for call in calls:
                call()
    except RuntimeError as error:
        print(f"    (timed without a graph: {str(error).splitlines()[0]})")
        torch.cuda.synchronize()
        return lambda: [call() for call in calls]
    return graph.replay


def medians(contenders: list[Calls]) -> list[float]:
    """Seconds per call of each contender, the median over rounds in which they take turns."""
    replays = [recorded(calls) for calls in contenders]
    times: list[list[float]] = [[] for _ in contenders]
    repeats = []
    for replay in replays:  # warm-up, and how many replays make about 20 ms
        replay()
        torch.cuda.synchronize()
        begin = time.perf_counter()
        replay()
        torch.cuda.synchronize()
        repeats.append(max(1, min(200, round(0.02 / max(time.perf_counter() - begin, 1e-6)))))
    for _ in range(ROUNDS):
        for replay, count, calls, measured in zip(replays, repeats, contenders, times):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            for _ in range(count):
                replay()
            end.record()
            end.synchronize()
            measured.append(start.elapsed_time(end) / 1e3 / count / len(calls))
    return [statistics.median(measured) for measured in times]


@dataclass
class Case:
    name: str
    ours: Calls
    peers: dict[str, Calls]
    unit: str  # what `work` counts: "pairs", "bytes" or "pixel_passes"
    work: float
    limit: float | None  # work per second that the device allows
    numbers: dict[str, int | str] = field(default_factory=dict)
    millions: dict[str, float] = field(
        default_factory=dict
    )  # what else a call does, to be told in millions a second


def rotations(device: Device, bytes_each: int) -> int:
    return max(2, min(16, -(-3 * device.l2_bytes // max(bytes_each, 1))))


def measured(case: Case) -> dict[str, Any]:
    ours, *others = medians([case.ours, *case.peers.values()])
    rate = case.work / ours
    row: dict[str, Any] = {"case": case.name, **case.numbers, "microseconds": round(ours * 1e6, 2)}
    row[f"giga_{case.unit}_per_second"] = round(rate / 1e9, 2)
    row["limit"] = round(case.limit / 1e9, 2) if case.limit else None
    row["fraction_of_limit"] = round(rate / case.limit, 3) if case.limit else None
    for name, done in case.millions.items():
        row[f"million_{name}_per_second"] = round(done / ours / 1e6, 3)
    for name, seconds in zip(case.peers, others):
        row[f"times_{name}"] = round(seconds / ours, 2)
    print("  " + "  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return row
