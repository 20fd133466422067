"""The one error tree of geopdn; the command line maps each class to its exit code.

Every message names the thing, the value received, what was expected and the next step.
"""

from __future__ import annotations

from typing import ClassVar


class GeopdnError(Exception):
    """Base of every error that geopdn raises on purpose."""

    exit_code: ClassVar[int] = 3


class ConfigError(GeopdnError):
    """A configuration file, an option or a combination of options is wrong."""

    exit_code = 2


class DeviceError(ConfigError):
    """The requested compute device does not exist on this machine."""


class SceneError(GeopdnError):
    """A raster cannot be used as a scene."""


class SceneOpenError(SceneError):
    """A raster cannot be opened: missing, damaged, or of a driver that is not allowed."""


class SceneReadError(SceneError):
    """A window of a scene cannot be read (a corrupt or truncated block)."""


class BandError(SceneError):
    """The bands of a scene do not match what was asked for."""


class GeoreferenceError(SceneError):
    """A scene has no usable georeferencing for what was asked."""


class ResultError(GeopdnError):
    """A file of results cannot be used: geopdn did not write it, or it does not hold what is needed."""


class LedgerError(GeopdnError):
    """A run cannot go on from a ledger: it is damaged, or of another run."""


class LabelError(GeopdnError):
    """Vector labels cannot be used."""


class CheckpointError(GeopdnError):
    """A weights file is damaged, unsafe, or does not fit the network."""


class DetectorError(GeopdnError):
    """A detector that is not geopdn's cannot be used: its file, what it says of itself, or what it returned."""


class ResourceLimitError(GeopdnError):
    """The work would exceed a stated limit of memory or size."""

    exit_code = 4


class OutputError(GeopdnError):
    """An output cannot be written."""

    exit_code = 6


class ExportError(OutputError):
    """A network cannot be written as ONNX, or what was written does not answer as the network does."""


class GeopdnWarning(UserWarning):
    """Base of every warning that geopdn raises."""


class NoOverviewsWarning(GeopdnWarning):
    """A scene has no overviews: its overview costs a pass over all its pixels."""


class OverviewMismatchWarning(GeopdnWarning):
    """An overview is damaged or disagrees with the full resolution."""


class EarlierDateWarning(GeopdnWarning):
    """An earlier date of a scene's ground cannot be read everywhere."""


class SidecarWarning(GeopdnWarning):
    """A sidecar file beside a scene is present and was ignored."""


class ReviewWarning(GeopdnWarning):
    """Labels are detections that nobody, or not yet everybody, has reviewed."""


class RadiometryWarning(GeopdnWarning):
    """The values of a scene look unlike what the radiometry expects."""
