"""Calling the command line as a person does."""

import sys

import pytest

from sketchfast import cli


def call_command(command: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code."""
    monkeypatch.setattr(sys, "argv", ["sketchfast", command, *(str(a) for a in arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
