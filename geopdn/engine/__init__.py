"""The engine: the only importer of scene and model. `detect` runs one scene from pixels to a `RunResult`."""

from geopdn.engine.run import DetectOptions, detect, saliency_of

__all__ = ["DetectOptions", "detect", "saliency_of"]
