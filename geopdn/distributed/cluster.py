"""Where work goes: worker processes of this machine, or the workers of a scheduler that somebody runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from geopdn.errors import ConfigError, ResourceLimitError

if TYPE_CHECKING:
    from distributed import Client

INSTALL = "pip install 'geopdn[distributed]'"
ANSWER_S = 15
"""How long a scheduler and its first worker may take to answer."""

START_S = 120
"""How long workers of this machine may take to start."""


@contextmanager
def local(n: int) -> Iterator[Client]:
    """Worker processes of this machine, one scene each at a time; they end with the block.

    The cores are shared out among them, unless OMP_NUM_THREADS is set. They listen on the loopback device alone and
    talk TLS with keys made for this run, so that no other user of the machine can give them work.

    Args:
        n: number of processes.

    Raises:
        ConfigError: dask.distributed or cryptography is not installed.
        ResourceLimitError: the processes do not start.
    """
    with _installed():
        import cryptography  # noqa: F401  # what makes the keys
        import dask
        from distributed import Client, LocalCluster
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, len(os.sched_getaffinity(0)) // n))
    settings: dict[str, Any] = {
        "distributed.scheduler.http.routes": [],  # nothing is shown to whoever asks
        "distributed.worker.http.routes": [],
        "distributed.scheduler.allowed-failures": 0,  # deaths are counted by `spread`, which goes on from the ledger
        "distributed.comm.timeouts.connect": f"{START_S}s",
        "distributed.deploy.lost-worker-timeout": "1 hour",  # what died is started again, on busy machines slowly
    }
    environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    try:
        with (
            dask.config.set(settings),
            LocalCluster(
                n_workers=n,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                security=True,
                dashboard_address="127.0.0.1:0",
                memory_limit=None,
                silence_logs=logging.CRITICAL,
                env=environment,
            ) as cluster,
            Client(cluster, timeout=START_S) as client,
        ):
            client.wait_for_workers(n, timeout=START_S)
            yield client
    except (TimeoutError, OSError) as error:
        raise ResourceLimitError(f"{n} worker processes did not start: {error}; try fewer --workers") from error


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """The workers of a scheduler; certificates, where it asks for them, are those of dask's configuration.

    Args:
        address: such as `tcp://host:8786` or `tls://host:8786`.

    Raises:
        ConfigError: dask.distributed is not installed, no scheduler answers there, or it has no workers.
    """
    with _installed():
        from distributed import Client
    try:
        client = Client(address, timeout=ANSWER_S)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise ConfigError(
            f"no scheduler answers at {address} ({error}): start one by `dask scheduler`, or use --workers"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWER_S)
        except TimeoutError as error:
            raise ConfigError(
                f"the scheduler at {address} has no workers: start some by `dask worker {address} --nthreads 1`"
            ) from error
        yield client


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"workers need dask.distributed ({error}): {INSTALL}") from error
