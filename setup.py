"""Build the three native modules; everything else about the package is in pyproject.toml.

    _C       torch schemas and CPU implementations, LibTorch stable ABI (target 2.11), abi3
    _C_cuda  CUDA implementations only, same ABI; built where nvcc and a CUDA torch of the same major version are found
    _core    numpy faces of csrc/cpu (pybind11), no torch

Environment: SKETCHFAST_CUDA=auto|0|1 (1 fails where CUDA code cannot be built), SKETCHFAST_WERROR=1 (warnings are errors, as
`make test` has it), and torch's own TORCH_CUDA_ARCH_LIST, CUDA_HOME and MAX_JOBS.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent
# Built where no GPU can be asked; 9.0+PTX also serves every later GPU through the driver's compiler.
DEFAULT_CUDA_ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"
TORCH_TARGET = "0x020b000000000000"  # 2.11


def find_cuda_home() -> Path | None:
    """The toolkit's folder: CUDA_HOME or CUDA_PATH, else what nvcc itself says, else /usr/local/cuda."""
    named = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if named:
        return Path(named) if (Path(named) / "bin" / "nvcc").exists() else None
    nvcc = shutil.which("nvcc")
    if nvcc:
        # The nvcc on PATH may be a link or a wrapper script in another folder; its dry run names the toolkit's true place.
        run = subprocess.run([nvcc, "--dryrun", "-E", "-x", "c", os.devnull], capture_output=True, text=True)
        for line in run.stderr.splitlines():
            if match := re.match(r"#\$ TOP=(.+)", line):
                return Path(match[1].strip()).resolve()
        return Path(nvcc).resolve().parent.parent
    return Path("/usr/local/cuda") if Path("/usr/local/cuda/bin/nvcc").exists() else None


CUDA_HOME = find_cuda_home()
if CUDA_HOME:
    os.environ["CUDA_HOME"] = str(CUDA_HOME)  # torch reads it once, when cpp_extension is imported

import pybind11  # noqa: E402
import torch  # noqa: E402
from torch.utils import cpp_extension  # noqa: E402


@dataclass
class CudaDecision:
    requested: str
    build: bool
    reason: str
    toolkit: str | None = None
    architectures: str | None = None


def decide_cuda() -> CudaDecision:
    requested = os.environ.get("SKETCHFAST_CUDA", "auto").strip().lower() or "auto"
    if requested not in ("auto", "0", "1"):
        raise SystemExit(f"SKETCHFAST_CUDA: expected auto, 0 or 1, found {requested!r}")
    if requested == "0":
        return CudaDecision(requested, False, "SKETCHFAST_CUDA=0")
    toolkit = None
    if CUDA_HOME:
        said = subprocess.run(
            [str(CUDA_HOME / "bin" / "nvcc"), "--version"], capture_output=True, text=True
        ).stdout
        match = re.search(r"release (\d+\.\d+)", said)
        toolkit = match[1] if match else None
    if toolkit is None:
        obstacle = "no CUDA toolkit found (looked at CUDA_HOME, CUDA_PATH, nvcc on PATH, /usr/local/cuda)"
    elif torch.version.cuda is None:
        obstacle = f"torch {torch.__version__} is a CPU-only build"
    elif toolkit.split(".")[0] != torch.version.cuda.split(".")[0]:
        obstacle = f"nvcc is CUDA {toolkit}, torch {torch.__version__} is built for CUDA {torch.version.cuda}"
    elif not list(ROOT.glob("csrc/cuda/*.cu")):
        obstacle = "csrc/cuda holds no kernels"
    else:
        architectures = os.environ.get("TORCH_CUDA_ARCH_LIST")
        if not architectures:
            if torch.cuda.is_available():
                capabilities = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
                architectures = ";".join(f"{major}.{minor}" for major, minor in sorted(capabilities))
            else:
                architectures = DEFAULT_CUDA_ARCHITECTURES
            os.environ["TORCH_CUDA_ARCH_LIST"] = architectures
        reason = f"nvcc {toolkit} and torch {torch.__version__} with CUDA {torch.version.cuda}"
        return CudaDecision(requested, True, reason, toolkit, architectures)
    if requested == "1":
        raise SystemExit(f"SKETCHFAST_CUDA=1 asks for the CUDA kernels, but {obstacle}")
    return CudaDecision(requested, False, obstacle, toolkit)


def sources(*patterns: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))


def extensions(cuda: CudaDecision) -> list[Extension]:
    strict = os.environ.get("SKETCHFAST_WERROR", "0") == "1"
    # Headers are listed so that a change in one of them starts the compiler; ninja then finds out what it touches.
    depends = sources("csrc/**/*.h", "csrc/**/*.cuh")
    cxx = ["-O3", "-fvisibility=hidden", "-Wall", "-Wextra", f"-fmacro-prefix-map={ROOT}/="]
    cxx += ["-Werror"] if strict else []
    for folder in cpp_extension.include_paths():
        cxx += ["-isystem", folder]  # their warnings are not ours to mend
    stable = [f"-DTORCH_TARGET_VERSION={TORCH_TARGET}"]  # torch itself adds Py_LIMITED_API
    # as-needed: the module asks for the torch libraries it uses symbols of, and for no other.
    link = ["-Wl,--as-needed", "-s"]

    built = [
        cpp_extension.CppExtension(
            "sketchfast._C",
            sources("csrc/schema.cpp", "csrc/torch/module.cpp", "csrc/torch/*_cpu.cpp", "csrc/cpu/*.cpp"),
            include_dirs=[str(ROOT / "csrc")],
            depends=depends,
            py_limited_api=True,
            extra_compile_args={"cxx": cxx + stable},
            extra_link_args=link,
        ),
        Extension(
            "sketchfast._core",
            sources("csrc/numpy/*.cpp", "csrc/cpu/*.cpp"),
            include_dirs=[str(ROOT / "csrc"), pybind11.get_include()],
            depends=depends,
            language="c++",
            extra_compile_args={"cxx": cxx},
            extra_link_args=link,
        ),
    ]
    if cuda.build:
        stable_cuda = [*stable, "-DUSE_CUDA"]
        host = ["-Wall", "-Wextra", f"-fmacro-prefix-map={ROOT}/="] + (["-Werror"] if strict else [])
        nvcc = ["-O3", "-lineinfo", "-Xcompiler", ",".join(host)] + (
            ["-Werror", "all-warnings"] if strict else []
        )
        built.append(
            cpp_extension.CUDAExtension(
                "sketchfast._C_cuda",
                sources("csrc/torch/module.cpp", "csrc/torch/*_cuda.cpp", "csrc/cuda/*.cu"),
                include_dirs=[str(ROOT / "csrc")],
                depends=depends,
                py_limited_api=True,
                extra_compile_args={"cxx": cxx + stable_cuda, "nvcc": nvcc + stable_cuda},
                extra_link_args=link,
            )
        )
    return built


def build_record(built: list[Extension]) -> dict[str, object]:
    """What `sketchfast.build_info()` tells later; modules are rebuilt where any of it changes."""
    return {
        "cuda": asdict(CUDA),
        "torch": torch.__version__,
        "torch_target": "2.11",
        "modules": sorted(extension.name for extension in built),
        "warnings_are_errors": os.environ.get("SKETCHFAST_WERROR", "0") == "1",
    }


class BuildExtension(cpp_extension.BuildExtension):
    """torch's build command, one object folder per module, and the decision kept beside the modules."""

    def run(self) -> None:
        folder = ROOT / "sketchfast" if self.inplace else Path(self.build_lib) / "sketchfast"
        record = folder / "_build.json"
        now = json.dumps(build_record(self.extensions), indent=2) + "\n"
        if not record.exists() or record.read_text() != now:
            self.force = (
                True  # setuptools compares dates of files only; other settings also need another build
            )
        print(
            f"sketchfast: CUDA kernels {'will be built' if CUDA.build else 'are left out'}: {CUDA.reason}",
            flush=True,
        )
        if CUDA.build:
            print(
                f"sketchfast: for compute capabilities {CUDA.architectures} (TORCH_CUDA_ARCH_LIST)",
                flush=True,
            )
        super().run()
        if not CUDA.build:  # a module of an earlier build in the same place would contradict the record
            for stale in folder.glob("_C_cuda*.so"):
                stale.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        record.write_text(now)

    def build_extension(self, ext: Extension) -> None:
        # The same source is compiled with other flags for _C and for _core.
        shared = self.build_temp
        self.build_temp = str(Path(shared) / ext.name.rsplit(".", 1)[-1])
        try:
            super().build_extension(ext)
        finally:
            self.build_temp = shared


CUDA = decide_cuda()
setup(
    ext_modules=extensions(CUDA),
    cmdclass={"build_ext": BuildExtension},
)
