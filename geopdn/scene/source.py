"""What may be opened: paths and URLs are checked before GDAL sees them."""

from __future__ import annotations

import ipaddress
import re
import socket
from os import PathLike, fspath
from pathlib import Path
from urllib.parse import urlsplit

from geopdn.errors import SceneOpenError

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


def check_source(path: str | PathLike[str], *, allow_vrt: bool = False) -> tuple[str, list[str]]:
    """Decide whether and how a scene may be opened.

    Args:
        path: a file, or an `http(s)://` URL on a public host. The host is checked here; a server that
            redirects elsewhere is followed by GDAL.
        allow_vrt: also accept a VRT whose sources lie under its own folder.

    Returns:
        What to give to rasterio, and the GDAL drivers that may open it.

    Raises:
        SceneOpenError: missing, a directory, empty, not a raster, or a path of a kind that is refused.
    """
    text = fspath(path)
    if not text or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise SceneOpenError(f"{text!r} is not a path: it is empty or has control characters")
    if re.match(r"https?://", text, re.IGNORECASE):
        _check_url(text)
        return f"/vsicurl/{text}", list(RASTER_DRIVERS)
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


def _check_url(url: str) -> None:
    """Refuse an URL unless its host has public addresses only."""
    host = None
    if not re.search(r"[\s\\]", url):
        try:
            parts = urlsplit(url)
            host, port, user = parts.hostname, parts.port or 443, parts.username
        except ValueError:
            host = None
        else:
            if user is not None:
                raise SceneOpenError(f"{url!r} carries a user name: put credentials into GDAL's own configuration")
    if not host:
        raise SceneOpenError(f"{url!r} is not a valid URL: expected http(s)://host/path")
    for address in _addresses(host, port, url=url):
        if not _is_public(address):
            raise SceneOpenError(f"{url!r} is refused: {host} is {address}, not a public address")


def _addresses(host: str, port: int, *, url: str) -> list[str]:
    """The addresses of a host; names of this machine or of a private network are refused unresolved."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    if re.fullmatch(r"[0-9a-fx.]+", host) and host[-1] in "0123456789abcdefx" and _legacy_ipv4(host):
        return [_legacy_ipv4(host)]
    name = host.rstrip(".")
    if "." not in name or name.endswith((".localhost", ".local", ".internal", ".lan", ".home.arpa")):
        raise SceneOpenError(f"{url!r} is refused: {host} is not a public host")
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise SceneOpenError(f"{url!r}: the host {host} cannot be found ({error})") from error


def _legacy_ipv4(host: str) -> str:
    """The dotted form of `127.1`, `0x7f000001` or `2130706433`; empty where it is none of these."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return ""


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
