"""The engine: the only importer of scene and model. `detect` runs one scene from pixels to a `RunResult`."""

from geopdn.engine.options import DetectOptions, Progress
from geopdn.engine.run import detect, saliency_of, saliency_rates

__all__ = ["DetectOptions", "Progress", "detect", "saliency_of", "saliency_rates"]
