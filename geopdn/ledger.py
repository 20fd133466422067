"""The ledger of a run: a file beside the output that says what each finished window brought.

It grows by a line a window and is read by a run that goes on where another was stopped. It is locked while it is open,
so that two runs never write one output, and removed once the output is complete.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from geopdn.errors import LedgerError, OutputError
from geopdn.ledger_lines import MAX_LINE, Entry, Key, checked_line, encode, entry_of, key_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ENDING = ".ledger"
VERSION = 1
SYNC_S = 5.0  # what a power cut can cost; a killed process loses nothing that was written

_BEGINS = b'{"format":"geopdn ledger","version":'
_CRC = 9  # bytes of the checksum and the blank after it


def ledger_path(output: Path) -> Path:
    """Where the ledger of an output lies: `OUT.gpkg.ledger` beside `OUT.gpkg`."""
    return output.with_name(output.name + ENDING)


def outputs_of(output: Path) -> tuple[str, ...]:
    """The files that the run which left a ledger beside this output was to write; none without a ledger."""
    try:
        with ledger_path(output).open("rb") as stream:
            header = record_of(stream.readline(MAX_LINE))
    except (OSError, ValueError, TypeError):
        return ()
    return tuple(str(name) for name in header.get("outputs", ()))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a line stands in the file."""

    start: int
    length: int


class Ledger:
    """An open, locked ledger; a context manager. Make one with `Ledger.open`.

    On leaving, a ledger that holds windows stays; `remove` it when the output is complete.

    Attributes:
        path: the file.
        resume: whether the windows that it holds count.
        n_before: windows that it held when it was opened.
    """

    def __init__(self, path: Path, handle: int, *, resume: bool, outputs: Sequence[str] = ()) -> None:
        self.path, self.resume, self.n_before = path, resume, 0
        self._handle: int | None = handle
        self._outputs = list(outputs)
        self._context: dict[str, Any] = {}
        self._about: dict[str, Any] | None = None
        self._places: dict[Key, _Place] = {}
        self._begun = False
        self._end = 0
        self._synced = time.monotonic()

    @classmethod
    def open(cls, output: Path, *, resume: bool, outputs: Sequence[str] = ()) -> Self:
        """Open and lock the ledger of an output; nothing in it is changed before `begin`.

        Args:
            output: the file that the run is to write.
            resume: go on with what an earlier run left.
            outputs: names of all files that the run is to write.

        Raises:
            OutputError: another run holds it, it cannot be opened, or a file of that name is no ledger.
            LedgerError: it is to be resumed and damaged before its last line.
        """
        path = ledger_path(output)
        ledger = cls(path, _locked(path), resume=resume, outputs=outputs)
        try:
            ledger._scan()
        except BaseException:
            ledger._let_go()
            raise
        return ledger

    @property
    def n_windows(self) -> int:
        """Windows that a run would find in it now."""
        return len(self._places)

    def tell(self, context: Mapping[str, Any]) -> None:
        """Before `begin`: what windows depend on and who begins does not know, by name (the scene's file, an area)."""
        self._context |= context

    def begin(self, about: Mapping[str, Any]) -> None:
        """Go on, or write what the run is.

        Args:
            about: everything that what windows bring depends on, by name; JSON values.

        Raises:
            LedgerError: the run that left it had another value of one of them.
            OutputError: it cannot be written.
        """
        now = json.loads(json.dumps({**self._context, **about}))
        if self._about is not None and self.resume:
            for name, then, this in _differences(self._about, now):
                raise LedgerError(
                    f"{self.path.name} is of a run with {name} {_short(then)}, this one has {_short(this)}: "
                    "go on with the same, or leave --resume out to start over"
                )
            self._cut(self._end)
        else:
            self._places.clear()
            self._cut(0)
            self._begun = True
            header = {"format": "geopdn ledger", "version": VERSION, "about": now, "outputs": self._outputs}
            self._append(checked_line(header))
            self._about = now
        self._begun = True

    def get(self, key: Key) -> Entry | None:
        """What a window brought, None where it has not been looked at.

        Raises:
            LedgerError: the file was changed since it was opened.
        """
        place = self._places.get(key)
        if place is None:
            return None
        handle = self._open_handle()
        os.lseek(handle, place.start, os.SEEK_SET)
        try:
            return entry_of(record_of(os.read(handle, place.length)))
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(place.start) from error

    def add(self, finished: Sequence[tuple[Key, Entry]]) -> None:
        """Keep windows; after this call they survive the process.

        Raises:
            OutputError: the disk is full or the file cannot be written.
        """
        lines = [(key, encode(key, entry)) for key, entry in finished]
        start = self._end
        self._append(b"".join(line for _, line in lines))
        for key, line in lines:
            self._places[key] = _Place(start, len(line))
            start += len(line)
        if time.monotonic() - self._synced > SYNC_S:
            os.fsync(self._open_handle())
            self._synced = time.monotonic()

    def remove(self) -> None:
        """Take the file away: the output is complete, or what it holds is of no use."""
        if self._handle is None:
            return
        if sys.platform == "win32":  # open files cannot be removed there
            self._let_go()
        self.path.unlink(missing_ok=True)  # before the lock is given back: nobody else takes it for theirs
        self._let_go()

    def close(self) -> None:
        """Give the lock back; without windows nothing stays."""
        if self._handle is None:
            return
        if os.fstat(self._handle).st_size == 0 or (self._begun and not self._places):
            self.remove()
            return
        os.fsync(self._handle)
        self._let_go()

    @property
    def stays(self) -> bool:
        """Whether there is something in it that a later run can go on with."""
        return self._handle is not None and self._begun and bool(self._places)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _scan(self) -> None:
        """Find the lines; a last one that is cut or damaged does not count."""
        with os.fdopen(self._open_handle(), "rb", closefd=False) as stream:
            head = stream.read(_CRC + len(_BEGINS))
            if not _BEGINS.startswith(head[_CRC:]):
                raise OutputError(f"{self.path} is no ledger of geopdn: move it, or choose another output")
            stream.seek(0)
            while line := stream.readline(MAX_LINE):
                start = self._end
                try:
                    record = record_of(line)
                    if start == 0:
                        self._about = _about(record)
                    else:
                        self._places[key_of(record)] = _Place(start, len(line))
                except (ValueError, KeyError, TypeError) as error:
                    if self.resume and stream.read(1):
                        raise self._damaged(start) from error
                    break
                self._end += len(line)
        self.n_before = len(self._places)

    def _append(self, lines: bytes) -> None:
        try:
            written = os.write(self._open_handle(), lines)
            if written < len(lines):
                written += os.write(self._open_handle(), lines[written:])  # says why
        except OSError as error:
            raise OutputError(f"cannot write {str(self.path)!r}: {error.strerror}; make room and --resume") from error
        self._end += written

    def _cut(self, size: int) -> None:
        os.ftruncate(self._open_handle(), size)
        self._end = size

    def _open_handle(self) -> int:
        if self._handle is None:
            raise ValueError(f"{self.path} is closed")
        return self._handle

    def _let_go(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _damaged(self, start: int) -> LedgerError:
        return LedgerError(
            f"{self.path} is damaged at byte {start}, before its last line: it cannot be gone on with; leave --resume "
            "out to start over"
        )


def _about(header: dict[str, Any]) -> dict[str, Any]:
    if header["version"] != VERSION:
        raise LedgerError(
            f"the ledger is of version {header['version']}, this geopdn goes on with version {VERSION}: leave --resume "
            "out to start over"
        )
    return dict(header["about"])


def _differences(then: dict[str, Any], this: dict[str, Any], inside: str = "") -> Iterator[tuple[str, str, str]]:
    """Name and both values, as JSON, of what differs; parts of a value are named after it."""
    for name in sorted({*then, *this}):
        one, other = then.get(name), this.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, f"{inside}{name} ")
        else:
            texts = [json.dumps(value, ensure_ascii=False, sort_keys=True) for value in (one, other)]
            if texts[0] != texts[1]:
                yield f"{inside}{name}", texts[0], texts[1]


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:117]}..."


def _locked(path: Path) -> int:
    """The file opened for appending, made where there is none, and locked; the lock ends with the process."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    while True:
        try:
            handle = os.open(path, flags, 0o666)
        except OSError as error:
            raise OutputError(
                f"cannot write {str(path)!r}: {error.strerror}; move it, or choose another output"
            ) from error
        try:
            _lock(handle, path)
            if _is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its run ended between the two calls and took the file away


def _lock(handle: int, path: Path) -> None:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise OutputError(f"{path} is no regular file: move it, or choose another output")
    if sys.platform == "win32":
        return  # there is no lock that a killed process gives back and that leaves the file readable
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        output = path.name.removesuffix(ENDING)
        raise OutputError(
            f"another run is writing {output!r} ({path.name} is locked): wait for it, or choose another -o"
        ) from error
    except OSError:
        return  # file systems without locks


def _is_at(handle: int, path: Path) -> bool:
    if sys.platform == "win32":
        return True
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
