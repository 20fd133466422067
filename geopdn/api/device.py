"""Where the network runs."""

from geopdn.errors import ConfigError, DeviceError


def resolve_device(name: str) -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`.

    Raises:
        ConfigError: another word.
        DeviceError: `cuda` on a machine without a usable GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {name!r}: expected auto, cpu or cuda")
    if name == "cpu":
        return name
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise DeviceError(
            f"--device cuda: torch {torch.__version__} finds no CUDA GPU on this machine; use --device cpu or auto"
        )
    return "cpu"
