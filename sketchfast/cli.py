"""The `sketchfast` command: each subcommand is a typed function, and imports what it needs when it runs."""

import sys
from pathlib import Path

from tyro.extras import SubcommandApp

app = SubcommandApp()
data = SubcommandApp()
app.command(data, name="data")


@app.command
def info() -> None:
    """Print versions, native modules, processor and GPUs: the text to paste into a bug report."""
    from sketchfast.info import text

    print(text())


@data.command(name="check")
def data_check(name: str, root: Path, /) -> None:
    """Read a data set as training would and report what is there and every fault found.

    Args:
        name: sketchy, tu_berlin, quickdraw or folder.
        root: the folder that holds it.
    """
    from sketchfast.data.check import check

    report = check(name, root)
    print(report)
    if not report.ok:
        raise SystemExit(1)


def main() -> None:
    """Run the command line; a bad argument or file ends with its message, not with a traceback."""
    try:
        app.cli(prog="sketchfast", description="Fast kernels, reproduced papers, export and serving for sketches.")
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
        raise SystemExit(1) from None
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"sketchfast: {error}", file=sys.stderr)
        raise SystemExit(2) from error
