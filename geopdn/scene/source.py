"""What may be opened: paths and URLs are checked before GDAL sees them."""

from __future__ import annotations

import re
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.errors import SceneOpenError
from geopdn.scene.hosts import settled

if TYPE_CHECKING:
    from collections.abc import Collection

RASTER_DRIVERS = ("GTiff", "JP2OpenJPEG", "PNG", "JPEG")
"""Drivers that read pixels out of the file itself, and out of nothing else. A COG is opened by GTiff."""

VRT_MAX_BYTES = 4 << 20

_MAGIC = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\x00\x00\x00\x0cjP  ": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
}
"""The first bytes of the formats, and the driver for each."""


def check_source(
    path: str | PathLike[str], *, allow_vrt: bool = False, allow_hosts: Collection[str] = ()
) -> tuple[str, list[str]]:
    """Decide whether and how a scene may be opened.

    Args:
        path: a file, or an `http(s)://` URL on a public host. Redirects are followed here, each host judged.
        allow_vrt: also accept a VRT whose sources lie under its own folder.
        allow_hosts: hosts that URLs may name although they are not public.

    Returns:
        What to give to rasterio, and the GDAL drivers that may open it.

    Raises:
        SceneOpenError: missing, a directory, empty, not a raster, or a path of a kind that is refused.
    """
    text = fspath(path)
    if not text or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise SceneOpenError(f"{text!r} is not a path: it is empty or has control characters")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        raise SceneOpenError(f"{text!r} is not UTF-8, as GDAL needs it: rename the file")
    if re.match(r"https?://", text, re.IGNORECASE):
        return f"/vsicurl/{settled(text, allow_hosts=allow_hosts)}", list(RASTER_DRIVERS)
    if "://" in text or text.startswith("/vsi"):
        raise SceneOpenError(f"{text!r} is refused: give a file's plain path, or an http(s):// URL")
    try:
        return _check_file(Path(text), allow_vrt=allow_vrt)
    except OSError as error:
        raise SceneOpenError(f"{text!r} cannot be read: {error.strerror or error}") from error


def _check_file(path: Path, *, allow_vrt: bool) -> tuple[str, list[str]]:
    """`check_source` for a file on this machine."""
    if not path.exists():
        raise SceneOpenError(f"{path} does not exist: check the path")
    if path.is_dir():
        raise SceneOpenError(f"{path} is a directory: give a raster file in it")
    if not path.is_file():
        raise SceneOpenError(f"{path} is not a regular file")
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise SceneOpenError(f"{path} is empty (0 bytes): copy or download it again")
    full = str(path.absolute())
    if _looks_like_vrt(head):
        if not allow_vrt:
            raise SceneOpenError(f"{path} is a VRT, which may point at any file: trust it with --allow-vrt")
        from geopdn.scene.vrt import check_vrt

        check_vrt(path)
        return full, ["VRT"]
    driver = next((driver for magic, driver in _MAGIC.items() if head.startswith(magic)), None)
    if driver is None:
        kind = "text" if _is_text(head) else f"unknown data (first bytes {head[:8].hex(' ')})"
        raise SceneOpenError(f"{path} is not a raster but {kind}: expected GeoTIFF, JPEG 2000, PNG or JPEG")
    return full, [driver]


def _looks_like_vrt(head: bytes) -> bool:
    return b"<VRTDataset" in head or b"<\0V\0R\0T\0D" in head


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)
