"""Layers of vector files as tables: which layer, which features are of a scene, what their columns say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import LabelError
from geopdn.output.geopackage import NO_SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

Mask = NDArray[np.bool_]

DEFAULT_FIELD = "label"
DEFAULT_NAME = "object"
OWN_LAYER = "detections"


@dataclass(frozen=True, slots=True)
class LabelFile:
    """Where labels are and how they are to be understood.

    Attributes:
        path: GeoPackage, GeoJSON or any other vector file that GDAL reads; where several scenes are read, it may be a
            folder with one file for each.
        layer: layer name; None takes `labels`, else `detections` (what geopdn found may be learnt from), else the only
            one.
        label_field: column with the class names; None takes `label` where present, else there is one class.
        point_size_m: ground size of the upright square that stands for a point; None refuses points.
        ignore_regions: another vector file, of areas whose objects nobody labelled (`geopdn.evaluate.regions`).
    """

    path: Path
    layer: str | None = None
    label_field: str | None = None
    point_size_m: float | None = None
    ignore_regions: Path | None = None

    @classmethod
    def of(cls, labels: LabelFile | str | Path) -> LabelFile:
        """The same, or a bare path as a file that nothing is said about."""
        return labels if isinstance(labels, LabelFile) else cls(Path(labels))

    def __str__(self) -> str:
        return str(self.path)


def read_layer(labels: LabelFile | str | Path, *, preferred: str = "labels") -> Any:
    """One layer of a vector file as a GeoDataFrame.

    The named one, else the preferred one, else that of detections that geopdn wrote, else the only one.

    Raises:
        LabelError: the file or the layer does not exist, cannot be read or has no geometry.
    """
    import geopandas
    import pyogrio

    file = LabelFile.of(labels)
    path, layer = file.path, file.layer
    if not path.is_file():
        msg = f"{path} is not a file: give a GeoPackage or GeoJSON"
        raise LabelError(msg)
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if layer is None:
            known = [name for name in (preferred, OWN_LAYER) if name in layers]
            layer = known[0] if known else layers[0] if len(layers) == 1 else None
        if layer not in layers:
            msg = f"{path} has the layers {layers}: name the one to read"
            raise LabelError(msg)
        table = geopandas.read_file(path, layer=layer, engine="pyogrio")
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as a vector file: {error}"
        raise LabelError(msg) from error
    if not isinstance(table, geopandas.GeoDataFrame):
        msg = f"{path}, layer {layer!r}, has no geometry column: name another layer"
        raise LabelError(msg)
    if table.crs is not None and table.crs.name.startswith(NO_SYSTEM):
        table = table.set_crs(None, allow_override=True)
    return table


def read_label_layer(labels: LabelFile | str | Path) -> Any:
    """`read_layer` of labels; of detections that people have reviewed, what `geopdn.evaluate.reviewed` says.

    Raises:
        LabelError: as `read_layer`, or a review that geopdn does not know.
    """
    from geopdn.evaluate.reviewed import as_labels

    file = LabelFile.of(labels)
    return as_labels(read_layer(file), name=str(file))


def class_texts(table: Any, file: LabelFile, *, names: Sequence[str] | None = None) -> list[str]:
    """The class name of every feature.

    Raises:
        LabelError: the column does not exist, or several classes are expected and there is no column.
    """
    field = file.label_field or DEFAULT_FIELD
    if field in table.columns:
        column = table[field]
        return [str(value) for value in column.astype(object).where(column.notna(), DEFAULT_NAME)]
    if file.label_field is not None or (names is not None and len(names) > 1):
        columns = [str(name) for name in table.columns if name != table.geometry.name]
        msg = f"{file} has no column {field!r}, only {columns}: name the column that holds the classes"
        raise LabelError(msg)
    return [names[0] if names else DEFAULT_NAME] * len(table)


def of_scene(table: Any, name: str) -> Mask:
    """`[F]` True for the features of the scene, by the column `scene` where there is one."""
    if "scene" not in table.columns:
        return np.ones(len(table), np.bool_)
    wanted = Path(name).stem
    return np.array([str(value) == name or Path(str(value)).stem == wanted for value in table["scene"]], np.bool_)


def flags(table: Any, field: str, file: LabelFile) -> Mask:
    """`[F]` a column of yes and no as bool, False where it is missing or empty.

    Raises:
        LabelError: a value is neither yes nor no.
    """
    if field not in table.columns:
        return np.zeros(len(table), np.bool_)
    words = {"true": True, "1": True, "1.0": True, "yes": True, "t": True} | dict.fromkeys(
        ("false", "0", "0.0", "no", "f", "", "none", "nan", "<na>"), False
    )
    values = [str(value).strip().lower() for value in table[field]]
    odd = sorted({value for value in values if value not in words})
    if odd:
        msg = f"{file}: column {field!r} should hold true or false, found {odd[:5]}"
        raise LabelError(msg)
    return np.array([words[value] for value in values], np.bool_)
