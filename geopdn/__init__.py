"""geopdn: find sparse objects in huge georeferenced scenes without looking at every pixel."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geopdn.api.detect import detect
    from geopdn.api.result import Result

__version__ = "0.1.0"
__all__ = ["Result", "__version__", "detect"]

_PLACES = {"detect": "geopdn.api.detect", "Result": "geopdn.api.result"}


def __getattr__(name: str) -> object:
    """What is loaded on first use, so that `import geopdn` takes no time."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
