"""What a search found, for Python and notebooks: as a table, as files, as a picture."""

from __future__ import annotations

import html
from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from geopdn.errors import ConfigError, GeopdnError, SceneError

if TYPE_CHECKING:
    from os import PathLike

    from geopandas import GeoDataFrame
    from PIL.Image import Image

    from geopdn.api.scenes import Reading
    from geopdn.detections import RunResult

Layer = Literal["detections", "windows", "run", "raw"]
LAYERS: tuple[Layer, ...] = ("detections", "windows", "run", "raw")
SHOWN_PX = 1200
"""Longest side of the picture in a notebook."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What `geopdn.detect` found in one scene. A notebook shows its picture and its summary.

    Attributes:
        run: everything the engine says: boxes in pixels, windows, facts.
        scene: path or address of the scene, which pictures are read from.
        weights: file of the model.
        reading: how the scene was opened.
        seconds: wall-clock time of the search.
    """

    run: RunResult
    scene: str
    weights: Path
    reading: Reading
    seconds: float

    def __len__(self) -> int:
        return len(self.run.detections)

    def __repr__(self) -> str:
        share = 100 * float(self.run.facts["share"])
        return (
            f"<geopdn.Result {self.run.frame.name!r}: {len(self)} detections, {len(self.run.windows)} windows, "
            f"{share:.1f} % of the pixels>"
        )

    @property
    def summary(self) -> str:
        """One paragraph: what was found, at what cost, how complete it is."""
        from geopdn.output.summary import summary_text

        return summary_text(self.run, seconds=self.seconds)

    def to_geodataframe(self, layer: Layer = "detections") -> GeoDataFrame:
        """A layer as a table in the scene's CRS, with the columns that files have.

        Args:
            layer: `detections`, `windows` (what was looked at and why), `run` (one row) or `raw` (every box).

        Raises:
            ConfigError: another name.
        """
        import pandas as pd

        from geopdn.output.frames import detection_batches, raw_batches, run_frame, window_batches

        if layer not in LAYERS:
            raise ConfigError(f"layer {layer!r}: expected one of {', '.join(LAYERS)}")
        if layer == "run":
            return run_frame(self.run)
        batches = {"detections": detection_batches, "windows": window_batches, "raw": raw_batches}[layer]
        tables = list(batches(self.run))
        return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a file; its ending decides the format: .gpkg (all layers), .geojson, .fgb or .parquet.

        Returns:
            The path that was written.

        Raises:
            ConfigError: an unknown ending, or the path is the scene's.
            OutputError: the file exists and `overwrite` is False, or it cannot be written.
        """
        from geopdn.output.write import check_destination, write_result

        check_destination(Path(path), inputs=[self.scene, self.weights], overwrite=overwrite)
        if self.run.frame.crs is None and Path(path).suffix.lower() != ".gpkg":
            raise ConfigError(f"{self.run.frame.name} has no CRS: pixel coordinates go into a .gpkg, not {path}")
        return write_result(self.run, Path(path), overwrite=overwrite)

    def picture(self) -> Image:
        """The scene with the windows that were looked at, what was found, and close-ups, read from the scene again.

        Raises:
            SceneError: the scene cannot be opened any more, or is another one.
        """
        from PIL import Image

        return Image.open(BytesIO(self._png))

    @cached_property
    def _png(self) -> bytes:
        from geopdn.api.quicklook import draw
        from geopdn.api.scenes import opened

        with opened(self.scene, model=str(self.weights), reading=self.reading) as item:
            if (item.source.size, item.source.transform) != (self.run.frame.size, self.run.frame.transform):
                raise SceneError(f"{self.scene} is not the scene that was searched any more: search it again")
            with TemporaryDirectory() as folder:
                path = Path(folder) / "picture.png"
                draw(self.run, item.source, path)
                return path.read_bytes()

    def _repr_html_(self) -> str:
        """The summary above the picture, or above the reason why there is none."""
        text = f"<p>{html.escape(self.summary)}</p>"
        try:
            return f'{text}<img style="max-width: 100%" src="data:image/jpeg;base64,{_small(self.picture())}">'
        except GeopdnError as error:
            return f"{text}<p>No picture: {html.escape(str(error))}</p>"


def _small(picture: Image) -> str:
    """The picture as it fits a notebook, as base64 of a JPEG file."""
    file = BytesIO()
    shown = picture.convert("RGB")
    shown.thumbnail((SHOWN_PX, SHOWN_PX))
    shown.save(file, "JPEG", quality=85)
    return b64encode(file.getvalue()).decode("ascii")
