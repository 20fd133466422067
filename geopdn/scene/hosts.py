"""Which hosts may be asked for a scene: public ones and those that are named. Redirects are judged step by step."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from geopdn.errors import SceneOpenError

if TYPE_CHECKING:
    from collections.abc import Collection

MOST_REDIRECTS = 5
TRIES = 3
TIMEOUT_S = 10.0
"""To connect, and between two bytes of an answer."""


def settled(url: str, *, allow_hosts: Collection[str] = ()) -> str:
    """The URL that redirects lead to; each step is judged before its host is asked.

    A server can still send GDAL elsewhere later, or a name change its address in between: whoever needs more than
    this keeps geopdn in a network without private hosts.

    Args:
        url: `http(s)://host/path`.
        allow_hosts: hosts that may be private.

    Raises:
        SceneOpenError: a host is not public and not named, or does not answer.
    """
    for _ in range(MOST_REDIRECTS + 1):
        check_host(url, allow_hosts=allow_hosts)
        target = _redirect(url)
        if target is None:
            return url
        if not re.match(r"https?://", target, re.IGNORECASE):
            raise SceneOpenError(f"{url!r} is refused: it redirects to {target!r}, expected an http(s):// URL")
        url = target
    raise SceneOpenError(f"{url!r} is refused: more than {MOST_REDIRECTS} redirects, give the final URL")


def check_host(url: str, *, allow_hosts: Collection[str] = ()) -> None:
    """Refuse an URL unless its host is named, or has public addresses only.

    Raises:
        SceneOpenError: it is not, the URL is not valid, or it carries a user name.
    """
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
    if host in {name.lower().strip("[]") for name in allow_hosts}:
        return
    for address in _addresses(host, port, url=url):
        if not _is_public(address):
            raise SceneOpenError(
                f"{url!r} is refused: {host} is {address}, not a public address; trust it with --allow-host {host}"
            )


def _redirect(url: str) -> str | None:
    """Where a server sends whoever asks for the first bytes; None where it answers itself, if only with an error.

    Raises:
        SceneOpenError: it does not answer, several times.
    """
    import requests

    for number in range(TRIES):
        try:
            with requests.get(
                url, headers={"Range": "bytes=0-15"}, allow_redirects=False, stream=True, timeout=TIMEOUT_S
            ) as answer:
                target = answer.headers.get("Location") if answer.is_redirect else None
                return None if target is None else urljoin(url, target)
        except (requests.RequestException, OSError) as error:
            if number == TRIES - 1:
                reason = " ".join(str(error).split())[:200]
                raise SceneOpenError(f"{url!r} cannot be reached, tried {TRIES} times: {reason}") from error
            time.sleep(0.5 * 2**number)
    raise AssertionError


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
        raise SceneOpenError(f"{url!r} is refused: {host} is not a public host; trust it with --allow-host {host}")
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
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
