"""Files that exist complete or not at all: written under a temporary name beside the target, then renamed."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from geopdn.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME_KEPT = 48  # characters of the target's name kept in the temporary one: 255 bytes is the limit of a name
_ODD = re.compile(r"[^\w.-]")
_in_use: set[str] = set()  # temporary names that this process is writing now


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that takes the place of `path` when the block ends well.

    The content is on the disk before the rename. On any exception, Ctrl-C included, the temporary file and what
    SQLite and GDAL keep beside it are removed, and an older file at `path` is left as it was.

    Raises:
        OutputError: the folder cannot be written, the disk is full, or a driver failed to write.
    """
    remove_stale(path)
    # Absolute and without odd characters: pyogrio would read `;` or `zip:` in a name as parts of an address.
    temporary = path.parent.absolute() / f"{_prefix(path)}{os.getpid()}-{secrets.token_hex(4)}.tmp{path.suffix}"
    _in_use.add(temporary.name)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except Exception as error:
        if isinstance(error, OSError | sqlite3.Error) or _is_pyogrio_error(error):
            msg = f"cannot write {str(path)!r}: {error}; check the folder, its permissions and the free space"
            raise OutputError(msg) from error
        raise
    finally:
        _remove_with_companions(temporary)
        _in_use.discard(temporary.name)


def remove_stale(path: Path) -> list[Path]:
    """Remove temporary files for `path` that killed runs of this machine left behind; returns what was removed."""
    prefix = _prefix(path)
    try:
        names = sorted(entry.name for entry in os.scandir(path.parent) if entry.name.startswith(prefix))
    except OSError:
        return []  # a missing folder is refused where it is written to
    removed = []
    for name in names:
        pid, _, rest = name.removeprefix(prefix).partition("-")
        if not pid.isdigit() or ".tmp" not in rest or _is_alive(int(pid), name):
            continue
        leftover = path.parent / name
        try:
            leftover.unlink(missing_ok=True)
        except OSError:
            continue  # somebody else's file; it harms nothing
        removed.append(leftover)
    return removed


def _prefix(path: Path) -> str:
    """`.name.<machine>-`: process numbers mean something on their own machine only."""
    machine = zlib.crc32(gethostname().encode("utf-8", "replace"))
    return f".{_ODD.sub('_', path.name)[:_NAME_KEPT]}.{machine:08x}-"


def _is_alive(pid: int, name: str) -> bool:
    if pid == os.getpid():
        return any(name.startswith(used) for used in _in_use)
    if sys.platform == "win32":  # signal 0 ends a process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it belongs to another user
    return True


def _sync(path: Path) -> None:
    """Wait until a file, or a folder's entries, are on the disk."""
    if sys.platform == "win32" and path.is_dir():
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_with_companions(temporary: Path) -> None:
    """Remove `name`, `name-journal`, `name.tmp_rtree...` and whatever else begins with the temporary name."""
    try:
        companions = [Path(e.path) for e in os.scandir(temporary.parent) if e.name.startswith(temporary.name)]
        for companion in companions:
            companion.unlink(missing_ok=True)
    except OSError:
        return  # the error that brought us here says more


def _is_pyogrio_error(error: Exception) -> bool:
    """True for what pyogrio raises when a file cannot be opened or a feature not be written."""
    if "pyogrio" not in sys.modules:
        return False
    from pyogrio.errors import DataLayerError, DataSourceError

    return isinstance(error, DataLayerError | DataSourceError)
