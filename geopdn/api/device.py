"""Where the network runs."""

import ctypes

from geopdn.errors import ConfigError, DeviceError

DRIVERS = ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so")
"""Libraries without which PyTorch finds no GPU; it takes seconds to import, they are asked for in no time."""


def resolve_device(name: str) -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: another word.
        DeviceError: `cuda` on a machine without a usable GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {name!r}: expected auto, cpu or cuda")
    if name == "cpu" or (name == "auto" and not any(map(_is_there, DRIVERS))):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise DeviceError(
            f"--device cuda: torch {torch.__version__} finds no CUDA GPU on this machine; use --device cpu or auto"
        )
    return "cpu"


def _is_there(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
