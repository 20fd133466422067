"""geopdn: find sparse objects in huge georeferenced scenes without looking at every pixel."""

__version__ = "0.1.0"
