"""The tables of README.md and train/README.md are those that bench/results/*.json give."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "bench" / "tables.py"), "--check"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of all that tables.py reads."""
    for page in ("README.md", "train/README.md"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_tables_equal_the_results() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_number_changed_in_the_page_is_found(checkout: Path) -> None:
    assert check(checkout).returncode == 0
    page = checkout / "README.md"
    before = page.read_text()
    after = before.replace("| 1024 | 10 | 1 | ", "| 1024 | 10 | 1 | 9", 1)
    assert after != before
    page.write_text(after)
    done = check(checkout)
    assert done.returncode == 1
    assert done.stdout.startswith("stale tables in README.md:")
    assert page.read_text() == after, "--check must write nothing"


def test_number_changed_in_the_results_is_found(checkout: Path) -> None:
    path = next((checkout / "bench" / "results").glob("retrieval--*.json"))
    result = json.loads(path.read_text())
    result["rows"][0]["seconds"] += 1
    path.write_text(json.dumps(result))
    done = check(checkout)
    assert done.returncode == 1
    assert done.stdout.startswith("stale tables in README.md:")


def test_seeds_of_the_sharing_table_come_from_the_results(checkout: Path) -> None:
    for path in (checkout / "bench" / "results").glob("tcn-sharing--*.json"):
        path.unlink()
    rows = [
        {
            "split": "zeroshot1",
            "sharing": "soft",
            "seed": seed,
            "protocol": "sklearn",
            "method": "TCN",
            "code": "real",
            "searched": "unseen",
            "values": {"mAP@all": 0.5},
        }
        for seed in (7, 3)
    ]
    result = {
        "data": {"zeroshot1": "a few classes"},
        "rows": rows,
        "versions": {"torch": "2"},
        "commit": "abc",
        "date": "today",
    }
    (checkout / "bench" / "results" / "tcn-sharing--cpu.json").write_text(json.dumps(result))
    subprocess.run([sys.executable, str(checkout / "bench" / "tables.py")], check=True, timeout=120)
    assert "; seeds 3, 7 of training" in (checkout / "train" / "README.md").read_text()
    assert check(checkout).returncode == 0


def test_ablation_table_has_every_arm_and_one_line_for_each_baseline(checkout: Path) -> None:
    for path in (checkout / "bench" / "results").glob("deepssp-ablation--*.json"):
        path.unlink()
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "data": data,
            "method": method,
            "category": category,
            "mean_iou": 0.25 + seed / 8,
            "interval": [0.2, 0.6],
            "count": 9,
        }
        for arm in ("soft-background", "ht-train-only", "ce")
        for seed in (2, 0)
        for data in ("test", "real")
        for method, category in (("DeepSSP, stage 1", "given"), ("all background", "-"))
    ]
    result = {
        "data": "a few",
        "rows": rows,
        "versions": {"torch": "2"},
        "commit": "abc",
        "iterations": 250,
        "date": "today",
    }
    (checkout / "bench" / "results" / "deepssp-ablation--cpu.json").write_text(json.dumps(result))
    subprocess.run([sys.executable, str(checkout / "bench" / "tables.py")], check=True, timeout=120)
    page = (checkout / "train" / "README.md").read_text()
    cells = "**0.375** | 0.250 [0.200, 0.600]; 0.500 [0.200, 0.600] |"
    for data in ("held-out synthetic sketches (9)", "real sketches (9)"):
        assert f"| {data} | L, cross entropy | training and test | {cells}" in page
        assert f"| {data} | L*_s, background twice | training only | {cells}" in page
        assert page.count(f"| {data} | all background | - |") == 1
    assert "; seeds 0, 2 of training" in page and check(checkout).returncode == 0


def test_landmark_tables_show_every_seed_the_fusion_and_what_learns_nothing(checkout: Path) -> None:
    def row(method: str, data: str = "test", shift: float = 0.0) -> dict:
        first = 0.25 + shift
        return {
            "data": data, "method": method, "count": 9, "mAP": first, "accuracy": {"1": first, "5": 0.75},
            "intervals": {"1": [0.125, 0.5], "5": [0.5, 1.0]},
        }  # fmt: skip

    def result(arms: dict[str, list[dict]], fusion: dict | None, retrieval: list[dict]) -> dict:
        common = {"data": "a few", "commit": "abcdefgh", "processor": "a CPU", "epochs": 3}
        runs = [
            {"arm": arm, "seed": seed, "rows": rows[seed], "fusion": fusion, "retrieval": retrieval, **common}
            for arm, rows in arms.items()
            for seed in (0, 1)
        ]
        return {"missing": [], "versions": {"torch": "2"}, "date": "today", "runs": runs}

    folder = checkout / "bench" / "results"
    for path in folder.glob("landmark-*.json"):
        path.unlink()
    seeds = [[row("n = 15", shift=k / 8), row("nearest pixel")] for k in (0, 1)]
    variants = result({"resnet": seeds, "full": seeds}, None, [])
    (folder / "landmark-variants--cpu.json").write_text(json.dumps(variants))
    fusion = {"gain": 0.125, "interval": [-0.125, 0.25], "best": 15}
    found = {"method": "n = 15", "code": "f, 8-d", "protocol": "sklearn", "values": {"Prec@1": 0.5, "mAP@all": 0.25},
             "intervals": {"Prec@1": [0.25, 0.75]}}  # fmt: skip
    rows = [[row("fused over n", shift=k / 8), row("among all 20 classes", "quickdraw")] for k in (0, 1)]
    (folder / "landmark-real--cpu.json").write_text(json.dumps(result({"spg-small": rows}, fusion, [found])))
    subprocess.run([sys.executable, str(checkout / "bench" / "tables.py")], check=True, timeout=120)
    page = (checkout / "train" / "README.md").read_text()
    both = "25.0 [12.5, 50.0]; 37.5 [12.5, 50.0]"
    assert f"| full | **31.2** | {both} | 75.0 | 31.2 |" in page
    assert page.count("| nearest pixel | 25.0 | 25.0 [12.5, 50.0] | 75.0 | 25.0 |") == 1
    assert f"| test (9) | fused over n | **31.2** | {both} | 31.2 |" in page
    assert "| quickdraw (9) | among all 20 classes | **25.0** |" in page
    assert "paired: +12.5 [-12.5, +25.0] (n = 15)" in page
    assert "| n = 15 | f, 8-d | **0.500** | 0.500 [0.250, 0.750]; 0.500 [0.250, 0.750] | **0.250** |" in page
    assert check(checkout).returncode == 0
