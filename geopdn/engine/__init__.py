"""The engine: the only importer of scene and model. `detect` runs one scene from pixels to a `RunResult`."""

from geopdn.engine.run import DetectOptions, Progress, detect, native_pixel_size, saliency_of, saliency_rates

__all__ = ["DetectOptions", "Progress", "detect", "native_pixel_size", "saliency_of", "saliency_rates"]
