"""Fixtures every test may use: a fresh random seed, printed, and the folder of real data, if there is one."""

import os
import random
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A new seed for each test; SKETCHFAST_TEST_SEED repeats one. pytest shows the line where a test fails."""
    fixed = os.environ.get("SKETCHFAST_TEST_SEED")
    value = int(fixed) if fixed else random.SystemRandom().randrange(2**31)
    print(f"seed of {request.node.nodeid}: {value} (repeat with SKETCHFAST_TEST_SEED={value})")
    return value


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets (SKETCHFAST_DATA, default ../shared/data beside the checkout)."""
    folder = Path(os.environ.get("SKETCHFAST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set SKETCHFAST_DATA to test on it")
    return folder
