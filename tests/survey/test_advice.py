"""What training says about a configuration's windows, given the objects."""

from __future__ import annotations

import pytest
from own_scenes import boxes_at, scene_at, surveyed, write_labels

from geopdn.config import ModelConfig, RadiometryConfig, WindowKind
from geopdn.survey.advice import window_advice

SIZES = "objects are mostly 12 to 12 px long at 10 m: "
SUITS = SIZES + "windows at 1/1 and an overview at 1/4 suit them"
OTHERS = (
    SIZES + "windows at 1/1 and an overview at 1/4 would suit them; "
    "the configuration has windows at 1/1 and an overview at 1/8 (`geopdn configure` proposes all values)"
)


@pytest.mark.parametrize(("scale", "expected"), [(0.25, SUITS), (0.125, OTHERS)])
def test_windows_and_overview_are_compared_with_the_objects(tmp_path, scale, expected):
    seen = surveyed([scene_at(tmp_path / "a.tif")], write_labels(tmp_path / "l.gpkg", boxes_at(9)))
    model = ModelConfig(
        classes=("object",),
        bands=("1",),
        pixel_size_m=10,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(1.0,)),
        global_scale=scale,
        kinds=(WindowKind(extent=512, level=0, halo=32),),
    )
    assert window_advice(seen, model) == expected
