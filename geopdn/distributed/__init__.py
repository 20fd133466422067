"""Many scenes on several processes or machines, by dask.distributed: what is shipped are paths and settings."""

from geopdn.distributed.cluster import connected, local
from geopdn.distributed.preflight import check_workers
from geopdn.distributed.spread import Lost, spread

__all__ = ["Lost", "check_workers", "connected", "local", "spread"]
