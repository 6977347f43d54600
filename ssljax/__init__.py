"""Self-supervised visual learning in JAX.

    import ssljax

    model = ssljax.load("runs/simclr")
    rows = model.embed("photographs")

What is public, and stays as it is from one minor version to the next:

- what `ssljax.__all__` names: `load`, `Model`, the errors, and the modules `losses`, `augment` and
  `ops` with the functions and classes that their docstrings describe;
- what a method of one's own, or a config, is written with: `ssljax.config.base_config`,
  `ssljax.methods.contract`, `ssljax.methods.protocols`, `ssljax.methods.passes`, and the table
  `ssljax.methods.REGISTRY`;
- the command line `python -m ssljax.main` and the programs in `ssljax.tools`, the keys of a config
  (the command `--help` and the documentation list them), and the files of a workdir.

A name that begins with an underscore is not public. All other modules are the workings of these:
they can be read and imported, and may change with any version.

Importing ssljax loads none of that. Each of its names is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssljax import augment, losses, methods, ops
    from ssljax.errors import StoppedError, UserError
    from ssljax.loading import load
    from ssljax.model import Model

__version__ = "0.1.0"

__all__ = [
    "Model",
    "StoppedError",
    "UserError",
    "__version__",
    "augment",
    "load",
    "losses",
    "methods",
    "ops",
]

_HOMES = {
    "Model": "ssljax.model",
    "StoppedError": "ssljax.errors",
    "UserError": "ssljax.errors",
    "load": "ssljax.loading",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        found = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found
        return found
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
