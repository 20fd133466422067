"""Small scenes on the map with labels of every kind, as a user's folder holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine
from scene_factory import write_scene
from shapely import affinity

from geopdn.evaluate.labelled import Labelled
from geopdn.evaluate.layers import LabelFile
from geopdn.survey.survey import Survey, survey

SIDE = 200
"""Pixels of 10 m: scenes of 2 km."""
X, Y = 500_000.0, 5_000_000.0
"""Upper left corner of the first scene, in EPSG:32631."""


def scene_at(path: Path, *, east_km: float = 0.0, south_km: float = 0.0, **options: Any) -> Path:
    """A scene with its corner so far from (X, Y); other arguments as in `scene_factory.write_scene`."""
    transform = Affine(10, 0, X + 1000 * east_km, 0, -10, Y - 1000 * south_km)
    given = {"size": (SIDE, SIDE), "crs": "EPSG:32631", "transform": transform}
    write_scene(path, **{**given, **options})
    return path


def boxes_at(n: int, *, east_km: float = 0.0, length_m: float = 120.0, width_m: float = 40.0, turn: float = 30.0):
    """`n` boxes, at most 36, 300 m apart, turned by so many degrees, in a scene so far east of the first."""
    half_l, half_w = length_m / 2, width_m / 2
    shape = affinity.rotate(shapely.box(-half_l, -half_w, half_l, half_w), turn)
    x, y = X + 1000 * east_km, Y
    return [affinity.translate(shape, x + 250 + 300 * (k % 6), y - 250 - 300 * (k // 6)) for k in range(n)]


def write_labels(
    path: Path, geometries: Any, *, crs: int | None = 32631, to: int | None = None, **columns: Any
) -> Path:
    """A layer `labels` of a system, written in another where one is given."""
    table = geopandas.GeoDataFrame(columns, geometry=list(geometries), crs=crs)
    (table if to is None else table.to_crs(to)).to_file(path, layer="labels")
    return path


def folder_with(root: Path, counts: dict[str, dict[str, int]], *, apart_km: float = 20.0, to: int = 4326) -> Path:
    """`root/scenes` with a scene for each name and `root/labels.gpkg` with so many objects of each `kind`."""
    scenes = root / "scenes"
    scenes.mkdir()
    geometries, kinds = [], []
    for k, (name, of_kind) in enumerate(counts.items()):
        scene_at(scenes / f"{name}.tif", east_km=k * apart_km, seed=k)
        here = [kind for kind, n in of_kind.items() for _ in range(n)]
        geometries += boxes_at(len(here), east_km=k * apart_km)
        kinds += here
    write_labels(root / "labels.gpkg", geometries, to=to, kind=kinds)
    return scenes


def surveyed(scenes: list[Path], labels: Path, *, classes: list[str] | None = None, **reading: Any) -> Survey:
    """The survey of scenes that share a file."""
    file = LabelFile(labels, **reading)
    return survey([Labelled(scene, file) for scene in scenes], classes=classes)


def texts(seen: Survey, *, is_error: bool = False) -> list[str]:
    """The problems of one kind."""
    return [problem.text for problem in seen.problems if problem.is_error is is_error]


def lengths_m(seen: Survey) -> np.ndarray:
    """Lengths of all objects on the ground."""
    return np.concatenate([scene.sides_m[:, 0] for scene in seen.scenes])
