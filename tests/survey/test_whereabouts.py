"""Which labels touch which scene, and what other reading of their coordinates would put them there."""

from __future__ import annotations

import numpy as np
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS

from geopdn.detections import SceneFrame
from geopdn.geometry import ground
from geopdn.geometry.window import Size
from geopdn.survey.whereabouts import name_of, other_reading, touching

UTM31 = CRS.from_epsg(32631)
TURNED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
FRAME = SceneFrame(name="scene", size=Size(300, 200), transform=TURNED, crs=UTM31)


def geometries(items):
    out = np.empty(len(items), dtype=object)
    out[:] = items
    return out


def on_map(x0, y0, x1, y1):
    """A rectangle of pixels as a polygon of the map."""
    return shapely.Polygon(ground.pixel_to_map(np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float), TURNED))


@given(
    st.lists(st.tuples(st.floats(-300, 500), st.floats(-300, 500), st.floats(1, 90), st.floats(1, 90)), max_size=9),
    st.sampled_from([4326, 3857, 32631, 32632]),
)
def test_a_rectangle_of_pixels_touches_where_it_overlaps_the_scene(rectangles, code):
    scene = shapely.box(0, 0, 200, 300)
    pixels = [shapely.box(x, y, x + w, y + h) for x, y, w, h in rectangles]
    shapes = [on_map(*pixel.bounds) for pixel in pixels]
    system = CRS.from_epsg(code)
    there = ground.transformer(UTM31, system).transform
    moved = [shapely.transform(s, lambda xy: np.stack(there(xy[:, 0], xy[:, 1]), -1)) for s in shapes]
    seen = touching(geometries(moved), system, FRAME)
    for touches, pixel in zip(seen, pixels, strict=True):
        clear = shapely.buffer(scene, -1e-3).intersects(pixel), shapely.buffer(scene, 1e-3).intersects(pixel)
        assert touches in clear  # within rounding of the transformation


def test_what_has_no_place_touches_nothing():
    odd = geometries([None, shapely.Polygon(), shapely.Point(np.inf, 0), on_map(10, 10, 20, 20)])
    assert touching(odd, UTM31, FRAME).tolist() == [False, False, False, True]
    far = geometries([shapely.Point(-170, 89.9), shapely.Point(3.05, 45.15)])
    assert touching(far, CRS.from_epsg(4326), FRAME).tolist()[0] is False


def test_other_readings():
    shapes = geometries([on_map(10 * k, 10, 10 * k + 5, 30) for k in range(8)])
    assert other_reading(shapes, CRS.from_epsg(32633), [FRAME]) == (
        "read as EPSG:32631 (WGS 84 / UTM zone 31N), 100% of them would lie there"
    )
    assert "EPSG:32631" in other_reading(shapes, None, [FRAME])
    swapped = shapely.transform(shapes, lambda xy: xy[:, ::-1])
    assert "as declared with x and y swapped" in other_reading(swapped, UTM31, [FRAME])
    assert other_reading(geometries([shapely.Point(7, 8)]), UTM31, [FRAME]) == ""
    assert other_reading(geometries([None]), UTM31, [FRAME]) == ""


def test_names_of_systems():
    assert name_of(None) == "no CRS"
    assert name_of(UTM31) == "EPSG:32631 (WGS 84 / UTM zone 31N)"
    assert name_of(CRS.from_proj4("+proj=laea +lat_0=45 +lon_0=3")) == "unknown"
