"""Lets the tests import toy_task.py, and start it in processes of its own."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def start() -> Callable[..., BaseProcess]:
    """start(loop, options, log, **environment) -> a started process of the toy run.

    Processes are forked from a clean server that has imported everything once: importing takes seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["toy_task"])
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.forkserver.ensure_running()

    def start_process(loop: object, options: object, log: Path, **environment: str) -> BaseProcess:
        import toy_task

        process = context.Process(target=toy_task.process, args=(loop, options, str(log), environment))
        process.start()
        return process

    return start_process
