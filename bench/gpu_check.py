"""Everything that needs a GPU, in one command of less than ten minutes: `python bench/gpu_check.py` (or `make gpu-check`).

    1  the environment: sketchfast info, the device, its measured copy bandwidth
    2  tests/cuda with pytest; a run in which no GPU test was executed is a failure
    3  compute-sanitizer over one small call of every kernel, where it is installed
    4  timings beside the device's limit and the peers: CUDA graph replays over inputs rotated through more than the L2 cache,
       rounds of ours and of the peers alternating, medians; results in bench/results/<op>--<device>.json

Compiles nothing: the native modules have to be built, here or on another machine of the same kind. Ends with status 0 only if
every step that could run passed, 1 if one failed, 2 where there is no CUDA device or no CUDA module. A further op has its
benchmark and its small call in a gpu_checks_*.py, and both in BENCHMARKS and SMALL_CALLS here.
"""

import argparse
import datetime
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # the tree's own package, also where it is not installed

import torch  # noqa: E402
from gpu_checks_hamming import (  # noqa: E402
    bench_cdist,
    bench_pack_bits,
    bench_topk,
    small_cdist,
    small_pack_bits,
    small_topk,
)
from gpu_checks_landmark_pool import bench_landmark_pool, small_landmark_pool  # noqa: E402
from gpu_checks_rasterize import bench_rasterize, small_rasterize  # noqa: E402
from gpu_checks_skeletonize import (  # noqa: E402
    bench_contour_points,
    bench_homogeneous_transform,
    bench_skeletonize,
    small_contour_points,
    small_homogeneous_transform,
    small_skeletonize,
)
from gpu_checks_soft_weighted_loss import bench_soft_weighted_loss, small_soft_weighted_loss  # noqa: E402
from gpu_checks_weighted_search import bench_weighted_search, small_weighted_search  # noqa: E402
from gpu_timing import ROUNDS, Case, Device, look_at_device, measured  # noqa: E402


def stop(message: str) -> None:
    print(f"gpu-check: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def require_gpu() -> None:
    if not torch.cuda.is_available():
        stop(
            f"no CUDA device is usable by torch {torch.__version__} (CUDA {torch.version.cuda}). Nothing was checked."
        )
    from sketchfast.info import build_info

    built = build_info()
    if not built["present"].get("_C_cuda"):
        stop(
            f"sketchfast has no CUDA module here ({built['cuda']['reason']}). Nothing was checked. "
            "Build it with SKETCHFAST_CUDA=1 python setup.py build_ext --inplace"
        )
    import sketchfast.ops  # noqa: F401  raises, with its reason, where the module does not load


# ---- the ops -----------------------------------------------------------------------------------------------------------

BENCHMARKS: dict[str, Callable[[Device], Iterator[Case]]] = {
    "hamming_topk": bench_topk,
    "hamming_cdist": bench_cdist,
    "pack_bits": bench_pack_bits,
    "soft_weighted_loss": bench_soft_weighted_loss,
    "skeletonize": bench_skeletonize,
    "homogeneous_transform": bench_homogeneous_transform,
    "landmark_pool": bench_landmark_pool,
    "contour_points": bench_contour_points,
    "rasterize": bench_rasterize,
    "weighted_search": bench_weighted_search,
}

SMALL_CALLS: dict[str, Callable[[], None]] = {
    "hamming_topk": small_topk,
    "hamming_cdist": small_cdist,
    "pack_bits": small_pack_bits,
    "soft_weighted_loss": small_soft_weighted_loss,
    "skeletonize": small_skeletonize,
    "homogeneous_transform": small_homogeneous_transform,
    "landmark_pool": small_landmark_pool,
    "contour_points": small_contour_points,
    "rasterize": small_rasterize,
    "weighted_search": small_weighted_search,
}

# ---- the steps ---------------------------------------------------------------------------------------------------------


def run_tests(seconds: float) -> list[str]:
    """Failures; a suite that ran no GPU test at all is one."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "tests/cuda",
            "-m",
            "gpu",
            "-q",
            "-x",
            f"--junitxml={report}",
        ]
        try:
            done = subprocess.run(command, cwd=REPOSITORY, timeout=seconds)
        except subprocess.TimeoutExpired:
            return [f"tests/cuda did not end within {seconds:.0f} s"]
        if not report.exists():
            return [f"pytest wrote no report (status {done.returncode}); is pytest installed?"]
        suites = list(ElementTree.parse(report).iter("testsuite"))
    total, skipped = (sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "skipped"))
    print(f"gpu-check: {total - skipped} GPU tests executed, {skipped} skipped", flush=True)
    if done.returncode != 0:
        return [f"tests/cuda: pytest ended with {done.returncode}"]
    return [] if total > skipped else ["tests/cuda: no GPU test was executed"]


def run_sanitizer(seconds: float) -> list[str]:
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    sanitizer = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=f"{home}/bin")
    if sanitizer is None:
        print(
            "gpu-check: compute-sanitizer is not on PATH: kernels were NOT checked for stray memory accesses"
        )
        return []
    failures = []
    until = time.monotonic() + seconds
    for tool in ("memcheck", "racecheck"):
        for op in SMALL_CALLS:
            command = [
                sanitizer,
                "--tool",
                tool,
                "--error-exitcode",
                "9",
                sys.executable,
                __file__,
                "--small-call",
                op,
            ]
            # Every allocation on its own, so that memcheck sees where each ends.
            environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
            try:
                done = subprocess.run(
                    command,
                    cwd=REPOSITORY,
                    env=environment,
                    timeout=max(5.0, until - time.monotonic()),
                    capture_output=True,
                    text=True,
                )
            except subprocess.TimeoutExpired:
                failures.append(f"{tool} of {op} did not end in time")
                continue
            print(f"gpu-check: {tool} of {op}: {done.stdout.strip().splitlines()[-1:]}", flush=True)
            if done.returncode != 0:
                print(done.stdout[-6000:], done.stderr[-2000:])
                failures.append(f"{tool} of {op} ended with {done.returncode}")
    return failures


def run_benchmark(op: str, device: Device, folder: Path) -> None:
    from sketchfast.atomic import write_json

    print(f"\n{op}", flush=True)
    rows = []
    for case in BENCHMARKS[op](device):
        rows.append(measured(case))
        del case
        torch.cuda.empty_cache()
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True
    )
    slug = "-".join(device.name.lower().split())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{op}--{slug}.json"
    result = {
        "op": op,
        "device": device.name,
        "date": datetime.date.today().isoformat(),
        "commit": os.environ.get("SKETCHFAST_COMMIT") or git.stdout.strip() or None,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
        },
        "copy_gigabytes_per_second": round(device.copy_bytes_per_second / 1e9, 1),
        "max_sm_clock_mhz": device.sm_clock_hz and round(device.sm_clock_hz / 1e6),
        "method": f"median of {ROUNDS} rounds of CUDA graph replays, inputs rotated through more than the L2 cache",
        "rows": rows,
    }
    write_json(path, result)
    print(f"  wrote {path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / "bench" / "results", help="folder of the result files"
    )
    parser.add_argument("--op", choices=BENCHMARKS, action="append", help="time only this one (repeatable)")
    parser.add_argument("--skip", choices=("tests", "sanitizer", "bench"), action="append", default=[])
    parser.add_argument("--small-call", choices=SMALL_CALLS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    require_gpu()
    if options.small_call:
        SMALL_CALLS[options.small_call]()
        torch.cuda.synchronize()
        return 0

    from sketchfast.info import text

    print(text(), flush=True)
    failures = []
    if "tests" not in options.skip:
        failures += run_tests(240)
    if "sanitizer" not in options.skip:
        failures += run_sanitizer(120)
    if "bench" not in options.skip:
        device = look_at_device()
        print(f"\n{device}", flush=True)
        for op in options.op or BENCHMARKS:
            try:
                run_benchmark(op, device, options.out)
            except (AssertionError, RuntimeError) as error:
                failures.append(f"{op}: {error}")
    for failure in failures:
        print(f"gpu-check: FAILED: {failure}", file=sys.stderr)
    if not failures:
        left_out = f" (left out: {', '.join(options.skip)})" if options.skip else ""
        print(f"gpu-check: all passed{left_out}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
