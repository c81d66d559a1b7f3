"""sketchfast: fast kernels, reproduced papers and export for freehand sketches.

Importing the package imports neither torch nor the native modules; each name below loads what it needs when it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# name -> (module, attribute); an attribute of None is the module itself.
_LAZY = {
    "build_info": ("sketchfast.info", "build_info"),
    "export": ("sketchfast.export", None),
    "load": ("sketchfast.runtime.load", "load"),
    "ops": ("sketchfast.ops", None),
    "reference": ("sketchfast.reference", None),
    "numpy_ops": ("sketchfast.numpy_ops", None),
}

__all__ = ["__version__", *sorted(_LAZY)]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'sketchfast' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
