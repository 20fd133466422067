"""Open raster handles: one a thread and overview, all closed together."""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geopdn.errors import SceneError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GDAL_OPTIONS: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no sidecar is believed, no folder listed on a server
    "GDAL_NUM_THREADS": 1,  # the readers are the threads
    "GDAL_CACHEMAX": 256 << 20,  # bytes; GDAL's own default is a share of the machine
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": 10,
    "GDAL_HTTP_TIMEOUT": 60,
    "GDAL_HTTP_LOW_SPEED_TIME": 20,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,
}


@contextmanager
def block_cache(n_bytes: int) -> Iterator[None]:
    """While the block runs, GDAL keeps at most so many bytes of decoded blocks, of all files and threads together."""
    before = GDAL_OPTIONS["GDAL_CACHEMAX"]
    GDAL_OPTIONS["GDAL_CACHEMAX"] = n_bytes
    try:
        yield
    finally:
        GDAL_OPTIONS["GDAL_CACHEMAX"] = before


def environment(*, most_cache: int | None = None) -> rasterio.Env:
    """The GDAL options under which geopdn opens and reads.

    Args:
        most_cache: bytes of decoded blocks that are kept at most while blocks are read that nobody will ask for again.
    """
    cache = GDAL_OPTIONS["GDAL_CACHEMAX"]
    return rasterio.Env(**{**GDAL_OPTIONS, "GDAL_CACHEMAX": cache if most_cache is None else min(cache, most_cache)})


def open_raster(path: str, *, drivers: Sequence[str], **options: Any) -> Any:
    """Open with the first of the drivers that can, and with no other.

    Raises:
        rasterio.errors.RasterioIOError: none can; the first one's reason.
    """
    reason: RasterioIOError | None = None
    for driver in drivers:  # rasterio 1.4 takes one name only
        try:
            return rasterio.open(path, driver=driver, sharing=False, **options)
        except RasterioIOError as error:
            reason = reason or error
    raise reason or RasterioIOError("no driver is allowed")


class Handles:
    """Rasterio datasets of one path. A dataset shared by threads crashes the process, so each thread has its own.

    Args:
        path: what rasterio opens.
        drivers: the drivers allowed to open it.
    """

    def __init__(self, path: str, *, drivers: Sequence[str]) -> None:
        self.path = path
        self.drivers = tuple(drivers)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._n_reading = 0
        self._all: list[tuple[threading.Thread, Any]] = []
        self._closed = False

    def get(self, overview: int | None = None) -> Any:
        """This thread's dataset, or that of one of its overviews (from 0); call it inside `environment()`.

        Raises:
            SceneError: the handles are closed.
            rasterio.errors.RasterioIOError: GDAL cannot open the file.
        """
        if self._closed:
            raise SceneError(f"{self.path} is closed: open the scene again")
        mine: dict[int | None, Any] = self._local.__dict__.setdefault("datasets", {})
        if overview not in mine:
            options = {} if overview is None else {"overview_level": overview}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = open_raster(self.path, drivers=self.drivers, **options)
            with self._lock:
                self._close_ended()
                self._all.append((threading.current_thread(), dataset))
            self.drivers = (dataset.driver,)
            mine[overview] = dataset
        return mine[overview]

    def _close_ended(self) -> None:
        """Close the datasets of threads that have ended: each holds a block and the places of all blocks."""
        for thread, dataset in self._all:
            if not thread.is_alive():
                dataset.close()
        self._all = [(thread, dataset) for thread, dataset in self._all if thread.is_alive()]

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While the block runs, nobody closes a dataset: one that is closed under a reader crashes the process.

        Raises:
            SceneError: the handles are closed.
        """
        with self._lock:
            if self._closed:
                raise SceneError(f"{self.path} is closed: open the scene again")
            self._n_reading += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_reading -= 1
                self._idle.notify_all()

    @property
    def is_remote(self) -> bool:
        """Whether the file is read over the network."""
        return self.path.startswith("/vsi")

    def close(self) -> None:
        """Close every thread's datasets, once those that are being read have been; a run may have ended in between."""
        with self._lock:
            self._closed = True
            self._idle.wait_for(lambda: not self._n_reading)
            for _, dataset in self._all:
                dataset.close()
            self._all.clear()


def cause(error: BaseException) -> str:
    """The deepest reason that GDAL gave, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())
