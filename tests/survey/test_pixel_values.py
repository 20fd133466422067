"""Bands, pixel size and radiometry that scenes have in common."""

from __future__ import annotations

import numpy as np
import pytest
from own_scenes import SIDE, boxes_at, scene_at, surveyed, write_labels

from geopdn.errors import BandError, GeoreferenceError
from geopdn.scene import Radiometry
from geopdn.survey.values import look_at_values


def values_of(tmp_path, *options, bands=None):
    """Values of scenes side by side, one for each set of options of the factory."""
    scenes = [scene_at(tmp_path / f"s{k}.tif", east_km=5 * k, seed=k, **given) for k, given in enumerate(options)]
    seen = surveyed(scenes, write_labels(tmp_path / "l.gpkg", boxes_at(3)))
    return look_at_values(seen.scenes, bands=bands)


def reaching(top, *, dtype="uint16"):
    """Values of one band spread evenly from 0 to `top`."""
    return {"values": np.linspace(0, top, SIDE * SIDE).reshape(1, SIDE, SIDE).astype(dtype)}


def test_common_bands_by_name_and_number(tmp_path):
    values = values_of(tmp_path, {"descriptions": ("B02", "B03", "B04")}, {"descriptions": ("B04", "B02", "B11")})
    assert values.bands == ("B02", "B04")
    with pytest.raises(BandError, match=r"s1.tif has the bands \[B11, B12, B05\] and shares none with s0.tif"):
        values_of(tmp_path, {"descriptions": ("B02", "B03", "B04")}, {"descriptions": ("B11", "B12", "B05")})
    assert values_of(tmp_path, {"bands": 4}, {"bands": 4}, bands=["3", "1"]).bands == ("3", "1")
    with pytest.raises(BandError):
        values_of(tmp_path, {"bands": 4}, {"bands": 3}, bands=["4"])


def test_names_that_a_configuration_refuses_become_numbers(tmp_path):
    values = values_of(tmp_path, {"descriptions": ("(red)", "green", "")}, {"descriptions": ("(red)", "green", "")})
    assert values.bands[:2] == ("1", "green")


def test_pixel_size_is_on_the_ground_and_the_middle(tmp_path):
    from affine import Affine

    values = values_of(tmp_path, {})
    assert values.pixel_size_m == pytest.approx(10, rel=1e-3)
    assert values.pixel_reason == "the scenes' own, on the ground"
    mercator = {"crs": "EPSG:3857", "transform": Affine(10, 0, 334_000, 0, -10, 5_640_000)}  # 45.15 degrees north
    values = values_of(tmp_path, mercator)
    assert values.pixel_size_m == pytest.approx(10 * np.cos(np.radians(45.15)), rel=5e-3)
    twenty = {"transform": Affine(20, 0, 500_000, 0, -20, 5_000_000)}
    values = values_of(tmp_path, {}, {}, twenty)
    assert values.pixel_size_m == pytest.approx(10, rel=1e-3)
    assert "10 to 20 m on the ground; some scenes are resampled" in values.pixel_reason
    forty = {"transform": Affine(40, 0, 500_000, 0, -40, 5_000_000)}
    with pytest.raises(GeoreferenceError, match=r"s2.tif has pixels of 40 m, most scenes of 10 m"):
        values_of(tmp_path, {}, {}, forty)


def test_pictures_of_8_bits_are_taken_as_they_are(tmp_path):
    assert values_of(tmp_path, {}, {}).radiometry == Radiometry("fixed", (0.0,), (255.0,), ("uint8",))


def test_scenes_that_are_alike_share_limits(tmp_path):
    values = values_of(tmp_path, reaching(3000), reaching(4000), reaching(5000))
    assert values.radiometry == Radiometry("fixed", (0.0,), (4000.0,), ("uint16",))
    assert "3 scenes reach 2984 to 4974 (99.5 % of the pixels)" in values.radiometry_reason


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([reaching(1000), reaching(9000)], "2 scenes reach"),
        ([reaching(1000)], "1 scenes reach"),
        ([reaching(1000), reaching(1000, dtype="float32")], "the scenes' values are of float32 and uint16"),
    ],
)
def test_scenes_that_differ_are_scaled_one_by_one(tmp_path, options, why):
    values = values_of(tmp_path, *options)
    assert values.radiometry == Radiometry("percentile", (1.0,), (99.5,))
    assert why in values.radiometry_reason
