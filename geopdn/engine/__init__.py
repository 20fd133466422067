"""The engine: the only importer of scene and model. `detect` runs one scene from pixels to a `RunResult`.

`detect_with` does so with a detector of another maker in the place of the model's high-resolution stage.
"""

from geopdn.engine.foreign import Guide, detect_with
from geopdn.engine.options import DetectOptions, Progress
from geopdn.engine.run import detect, saliency_of, saliency_rates

__all__ = ["DetectOptions", "Guide", "Progress", "detect", "detect_with", "saliency_of", "saliency_rates"]
