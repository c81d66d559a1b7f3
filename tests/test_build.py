"""The installation tells the truth about itself: build record, module ABI, lazy imports, messages for missing parts."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path

import pytest
import torch

import sketchfast
from sketchfast import _native, info

PACKAGE = Path(sketchfast.__file__).parent


def run_python(code: str, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds the package in `path` (default: where this one found it)."""
    # An editable installation would otherwise lend the copy what was taken away from it.
    start = f"import sys; sys.path.insert(0, {str(path or PACKAGE.parent)!r})\n"
    start += "sys.meta_path = [finder for finder in sys.meta_path if 'ditable' not in repr(finder)]\n"
    command = [sys.executable, "-c", start + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def copy_of_package(folder: Path) -> Path:
    """The package without its native modules and build record, to take things away from."""
    shutil.copytree(
        PACKAGE, folder / "sketchfast", ignore=shutil.ignore_patterns("*.so", "__pycache__", "_build.json")
    )
    return folder


def test_build_info_is_truthful() -> None:
    built = sketchfast.build_info()
    present = {f"sketchfast.{name}" for name, origin in built["present"].items() if origin}
    assert set(built["modules"]) == present
    assert {"sketchfast._C", "sketchfast._core"} <= present
    assert built["cuda"]["build"] == ("sketchfast._C_cuda" in present)
    assert built["cuda"]["reason"]
    for origin in built["present"].values():
        assert origin is None or Path(origin).is_file()


def test_modules_load_and_register_the_operators() -> None:
    importlib.import_module("sketchfast.ops")
    _native.load_core()
    for op in ("hamming_topk", "hamming_cdist", "pack_bits"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"sketchfast::{op}", "CPU")
        if torch.version.cuda is not None:
            # either the kernel, or the sentence that says why it is not there
            assert torch._C._dispatch_has_kernel_for_dispatch_key(f"sketchfast::{op}", "CUDA")


def test_cuda_module_loads_where_it_was_built() -> None:
    if not sketchfast.build_info()["cuda"]["build"]:
        pytest.skip(f"built without CUDA kernels: {sketchfast.build_info()['cuda']['reason']}")
    if torch.version.cuda is None:
        pytest.skip("this torch has no CUDA")
    _native.load_torch_ops()
    assert "sketchfast._C_cuda" in sys.modules


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm (binutils)")
@pytest.mark.parametrize("module", ["_C", "_C_cuda"])
def test_torch_modules_use_the_stable_abi_only(module: str) -> None:
    """No C++ symbol of c10, at or torch is asked for: only the C functions of the stable shim."""
    origin = sketchfast.build_info()["present"][module]
    if origin is None:
        pytest.skip(f"{module} was not built")
    assert ".abi3." in origin
    lines = subprocess.run(
        ["nm", "-D", "--undefined-only", origin], capture_output=True, text=True, check=True
    ).stdout
    wanted = [line.split()[-1] for line in lines.splitlines()]
    assert any(name.startswith("aoti_torch_") for name in wanted)
    # A nested name is mangled as N..., a const member as NK...; then the length and name of the outermost scope.
    assert [
        name for name in wanted if re.match(r"_Z(N|TI|TS|TV|NK|St)*(3c10|2at|5torch|6caffe2)", name)
    ] == []


@pytest.mark.parametrize(
    "code",
    [
        "import sketchfast",
        "import sketchfast; sketchfast.build_info(); sketchfast.__version__",
        "import sketchfast.numpy_ops",
        "from sketchfast import numpy_ops",
        "import sketchfast.atomic",
        "import sketchfast.cli",
    ],
)
def test_imports_no_torch(code: str) -> None:
    done = run_python(
        f"{code}\nheavy = {{'torch', 'torchvision', 'lightning'}} & set(sys.modules); assert not heavy, heavy"
    )
    assert done.returncode == 0, done.stderr


def test_import_of_the_package_alone_is_light() -> None:
    done = run_python("import sketchfast; assert 'numpy' not in sys.modules and 'PIL' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'sketchfast' has no attribute 'exprot'"):
        sketchfast.exprot  # noqa: B018


@pytest.mark.parametrize("use", ["import sketchfast.ops", "import sketchfast.numpy_ops"])
def test_missing_native_code_names_the_install_command(use: str, tmp_path: Path) -> None:
    done = run_python(use, path=copy_of_package(tmp_path))
    assert done.returncode != 0
    assert "NativeCodeMissing" in done.stderr
    assert _native.INSTALL_COMMAND in done.stderr


def test_info_without_native_code_still_answers(tmp_path: Path) -> None:
    done = run_python("from sketchfast.info import text; print(text())", path=copy_of_package(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "never built here" in done.stdout
    assert re.search(r"^_C +absent$", done.stdout, re.MULTILINE)


def test_build_without_cuda_says_so_on_cuda_tensors(tmp_path: Path) -> None:
    """The record alone decides, so a copy whose record says "no CUDA" behaves like such a build."""
    if torch.version.cuda is None:
        pytest.skip("this torch has no CUDA")
    folder = copy_of_package(tmp_path)
    for name in ("_C", "_core"):
        origin = Path(sketchfast.build_info()["present"][name])
        shutil.copy(origin, folder / "sketchfast" / origin.name)
    cuda = {
        "requested": "0",
        "build": False,
        "reason": "SKETCHFAST_CUDA=0",
        "toolkit": None,
        "architectures": None,
    }
    record = {"cuda": cuda, "torch": torch.__version__, "torch_target": "2.11", "modules": []}
    (folder / "sketchfast" / "_build.json").write_text(json.dumps(record))
    code = """
import torch, sketchfast.ops
kernel = torch._C._dispatch_has_kernel_for_dispatch_key("sketchfast::pack_bits", "CUDA")
assert kernel
op = torch.ops.sketchfast.pack_bits.default
try:
    op.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA), torch.zeros(1, 8))
except ImportError as error:
    print(error)
"""
    done = run_python(code, path=folder)
    assert done.returncode == 0, done.stderr
    assert "built without CUDA kernels (SKETCHFAST_CUDA=0)" in done.stdout
    assert "SKETCHFAST_CUDA=1 pip install" in done.stdout


def test_info_text_holds_what_a_report_needs() -> None:
    text = info.text()
    assert f"sketchfast     {sketchfast.__version__}" in text
    assert f"torch          {metadata.version('torch')}" in text
    assert "CUDA kernels   " in text
    assert "DOES NOT LOAD" not in text
    assert f"; Hamming search with {', '.join(_native.load_core().hamming_paths())}\n" in text


def test_command_line_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sketchfast", "--help"],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "info" in done.stdout


def test_wrong_path_ends_with_a_message_and_no_traceback(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    done = subprocess.run(
        [sys.executable, "-m", "sketchfast", "data", "check", "sketchy", str(missing)],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        timeout=120,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert str(missing) in done.stderr + done.stdout


class TestSettings:
    """setup.py's own decisions, taken without compiling anything."""

    @pytest.fixture
    def setup_file(self) -> Path:
        path = PACKAGE.parent / "setup.py"
        if not path.exists():
            pytest.skip("sketchfast is installed, not a checkout")
        return path

    def run(self, setup_file: Path, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, setup_file, "--version"],
            capture_output=True,
            text=True,
            cwd=setup_file.parent,
            env={**os.environ, **settings},
            timeout=120,
        )

    def test_unknown_setting_is_refused(self, setup_file: Path) -> None:
        done = self.run(setup_file, SKETCHFAST_CUDA="yes")
        assert done.returncode != 0
        assert "SKETCHFAST_CUDA: expected auto, 0 or 1, found 'yes'" in done.stderr

    def test_one_fails_loudly_without_a_toolkit(self, setup_file: Path, tmp_path: Path) -> None:
        done = self.run(setup_file, SKETCHFAST_CUDA="1", CUDA_HOME=str(tmp_path))
        assert done.returncode != 0
        assert "SKETCHFAST_CUDA=1 asks for the CUDA kernels, but no CUDA toolkit found" in done.stderr

    def test_auto_goes_without_a_toolkit(self, setup_file: Path, tmp_path: Path) -> None:
        done = self.run(setup_file, SKETCHFAST_CUDA="auto", CUDA_HOME=str(tmp_path))
        assert done.returncode == 0, done.stderr

    def test_wrapper_script_on_the_path_leads_to_the_toolkit(
        self, setup_file: Path, tmp_path: Path, monkeypatch
    ) -> None:
        real = shutil.which("nvcc")
        if real is None:
            pytest.skip("no nvcc")
        wrapper = tmp_path / "bin" / "nvcc"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.delenv("CUDA_HOME", raising=False)
        monkeypatch.delenv("CUDA_PATH", raising=False)
        monkeypatch.setenv("PATH", str(wrapper.parent), prepend=":")
        source = setup_file.read_text().split("CUDA_HOME = find_cuda_home()")[0]
        names: dict[str, object] = {"__file__": str(setup_file), "__name__": "settings"}
        exec(compile(source, str(setup_file), "exec"), names)  # the function alone, without running setup()
        found = names["find_cuda_home"]()  # type: ignore[operator]
        assert found is not None
        assert (found / "include" / "cuda_runtime.h").exists()


def test_shared_environment_is_keyed_by_its_inputs(tmp_path: Path, monkeypatch) -> None:
    """Another pin, another folder; a folder without the marker counts as never made."""
    file = PACKAGE.parent / ".ci" / "environment.py"
    if not (PACKAGE.parent / "setup.py").exists():
        pytest.skip("sketchfast is installed, not a checkout")
    spec = util.spec_from_file_location("environment", file)
    assert spec and spec.loader
    environment = util.module_from_spec(spec)
    spec.loader.exec_module(environment)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(PACKAGE.parent / name, tmp_path / name)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = environment.folder()
    assert before.parent == tmp_path / "cache" / "sketchfast"
    assert before == environment.folder()
    (tmp_path / "constraints.txt").write_text("torch==2.11.0\n")
    assert environment.folder() != before
    assert {"torch>=2.11", "pytest>=8", "onnx>=1.17"} <= set(environment.requirements())

    half_made = tmp_path / "cache" / "sketchfast" / "env-half"
    (half_made / "bin").mkdir(parents=True)
    (half_made / "bin" / "left-over").touch()

    def fake_create(folder: Path, with_pip: bool) -> None:
        (folder / "bin").mkdir(parents=True)
        shutil.copy("/bin/true", folder / "bin" / "python")

    monkeypatch.setattr(environment.venv, "create", fake_create)
    environment.make(half_made)
    assert (half_made / "complete").exists()
    assert not (half_made / "bin" / "left-over").exists()
    monkeypatch.setattr(
        environment.venv, "create", lambda folder, with_pip: (_ for _ in ()).throw(OSError("disk full"))
    )
    environment.make(half_made)  # complete: not made again
    with pytest.raises(OSError, match="disk full"):
        environment.make(tmp_path / "cache" / "sketchfast" / "env-other")
    assert not (tmp_path / "cache" / "sketchfast" / "env-other" / "complete").exists()
