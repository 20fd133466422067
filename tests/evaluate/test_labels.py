"""Vector labels become boxes in the scene's pixels, or a refusal that says why."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import shapely.affinity
from affine import Affine
from pyproj import CRS

from geopdn.detections import SceneFrame
from geopdn.errors import LabelError
from geopdn.evaluate.labels import Truth, read_labels
from geopdn.evaluate.layers import LabelFile
from geopdn.evaluate.repeats import first_of_each
from geopdn.geometry import boxes as box
from geopdn.geometry.ground import pixel_to_map
from geopdn.geometry.window import Size

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"labelled scenes are not at {REAL}")

UTM = CRS.from_epsg(32631)
FRAME = SceneFrame("scenes/port.tif", Size(400, 600), Affine(10, 0, 500_000, 0, -10, 5_000_000), UTM)
BOXES = np.array([[100, 50, 40, 10, 0.3], [300, 200, 30, 12, -1.2], [500, 300, 25, 8, 1.0]])


def on_map(boxes: np.ndarray, frame: SceneFrame = FRAME) -> list[shapely.Geometry]:
    return list(shapely.polygons(pixel_to_map(box.corners(boxes), frame.transform)))


def write(path: Path, geometry: list, *, crs: CRS | None = UTM, layer: str = "labels", **columns: list) -> Path:
    frame = gpd.GeoDataFrame(columns or {"label": ["ship"] * len(geometry)}, geometry=geometry, crs=crs)
    frame.to_file(path, layer=layer) if path.suffix == ".gpkg" else frame.to_file(path)
    return path


@pytest.mark.parametrize("name", ["labels.gpkg", "labels.geojson", "labels.fgb"])
def test_polygons_come_back_as_their_boxes(tmp_path: Path, name: str) -> None:
    truth = read_labels(write(tmp_path / name, on_map(BOXES)), FRAME)
    order = np.argsort(truth.boxes[:, 0])  # FlatGeobuf sorts by place
    np.testing.assert_allclose(truth.boxes[order], BOXES, atol=1e-6)
    assert (truth.names, truth.labels.tolist()) == (("ship",), [0, 0, 0])
    assert (truth.axis_aligned, truth.ignore.any(), truth.n_outside, truth.n_empty) == (False, False, 0, 0)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32632"])
def test_labels_of_another_crs_are_brought_to_the_scene(tmp_path: Path, crs: str) -> None:
    there = gpd.GeoSeries(on_map(BOXES), crs=UTM).to_crs(crs)
    truth = read_labels(write(tmp_path / "l.gpkg", list(there), crs=CRS(crs)), FRAME)
    np.testing.assert_allclose(truth.boxes, BOXES, atol=0.01)


def test_rotated_and_south_up_scenes(tmp_path: Path) -> None:
    for transform in (
        Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10),
        Affine(10, 0, 500_000, 0, 10, 5_000_000),
    ):
        frame = SceneFrame("port", FRAME.size, transform, UTM)
        path = write(tmp_path / "l.gpkg", on_map(BOXES, frame))
        np.testing.assert_allclose(read_labels(path, frame).boxes, BOXES, atol=1e-6)
        path.unlink()


def test_classes_are_the_files_or_the_given_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "l.gpkg", on_map(BOXES), kind=["tug", "ferry", "tug"])
    assert read_labels(path, FRAME).names == ("object",)
    truth = read_labels(LabelFile(path, label_field="kind"), FRAME)
    assert (truth.names, truth.labels.tolist()) == (("ferry", "tug"), [1, 0, 1])
    truth = read_labels(LabelFile(path, label_field="kind"), FRAME, names=["tug", "barge", "ferry"])
    assert truth.labels.tolist() == [0, 2, 0]
    with pytest.raises(LabelError, match=r"classes \['ferry'\] are not among \['tug'\]"):
        read_labels(LabelFile(path, label_field="kind"), FRAME, names=["tug"])
    with pytest.raises(LabelError, match=r"no column 'type', only \['kind'\]"):
        read_labels(LabelFile(path, label_field="type"), FRAME)
    with pytest.raises(LabelError, match="no column 'label'"):
        read_labels(path, FRAME, names=["tug", "ferry"])


def test_the_scene_column_keeps_the_scenes_own(tmp_path: Path) -> None:
    scene = ["port", "other", "elsewhere/port.tif"]
    path = write(tmp_path / "l.gpkg", on_map(BOXES), scene=scene, label=["a", "b", "c"])
    truth = read_labels(path, FRAME)
    np.testing.assert_allclose(truth.boxes, BOXES[[0, 2]], atol=1e-6)
    assert truth.names == ("a", "b", "c")  # the classes of the whole file, whatever the scene
    elsewhere = SceneFrame("quay.tif", FRAME.size, FRAME.transform, UTM)
    with pytest.raises(LabelError, match="no feature whose `scene` is 'quay'"):
        read_labels(path, elsewhere)
    assert len(read_labels(path, elsewhere, allow_empty=True)) == 0


@pytest.mark.parametrize("values", [[True, False, None], [1, 0, 0], ["yes", "no", ""]])
def test_truncated_is_ignored(tmp_path: Path, values: list) -> None:
    path = write(tmp_path / "l.gpkg", on_map(BOXES), truncated=values)
    assert read_labels(path, FRAME).ignore.tolist() == [True, False, False]


def test_truncated_must_be_yes_or_no(tmp_path: Path) -> None:
    path = write(tmp_path / "l.gpkg", on_map(BOXES), truncated=["half", "no", "no"])
    with pytest.raises(LabelError, match=r"'truncated' should hold true or false, found \['half'\]"):
        read_labels(path, FRAME)


def test_outside_is_dropped_and_half_outside_ignored(tmp_path: Path) -> None:
    far = np.array([[900, 50, 40, 10, 0.3], [-5, 50, 40, 10, 0], [5, 90, 40, 10, 0]], float)
    truth = read_labels(write(tmp_path / "l.gpkg", on_map(np.concatenate([BOXES, far]))), FRAME)
    assert (len(truth), truth.n_outside, truth.ignore.tolist()) == (5, 1, [False] * 3 + [True, False])


def test_all_outside_names_both_places_and_systems(tmp_path: Path) -> None:
    path = write(tmp_path / "l.gpkg", on_map(BOXES + [9000, 0, 0, 0, 0]))  # noqa: RUF005 (arrays)
    message = r"labels span \(5907.*UTM zone 31N, the scene spans \(500000, 4996000, 506000, 5000000\) in WGS 84 / UTM"
    with pytest.raises(LabelError, match=message):
        read_labels(path, FRAME)
    assert read_labels(path, FRAME, allow_empty=True).n_outside == 3


def test_points_need_a_size_on_the_ground(tmp_path: Path) -> None:
    points = [shapely.Point(500_000 + 10 * x, 5_000_000 - 10 * y) for x, y in BOXES[:, :2]]
    path = write(tmp_path / "l.gpkg", points)
    with pytest.raises(LabelError, match="3 points, which have no size"):
        read_labels(path, FRAME)
    truth = read_labels(LabelFile(path, point_size_m=50), FRAME)
    np.testing.assert_allclose(truth.boxes[:, :2], BOXES[:, :2], atol=1e-6)
    np.testing.assert_allclose(truth.boxes[:, 2:4], 5, rtol=5e-4)  # 10 m pixels, UTM's scale 0.9996
    assert truth.axis_aligned


def test_parts_are_objects_unless_they_touch(tmp_path: Path) -> None:
    apart = shapely.MultiPolygon(on_map(BOXES[:2]))
    halves = on_map(np.array([[400, 100, 20, 10, 0], [420, 100, 20, 10, 0]], float))
    path = write(tmp_path / "l.gpkg", [apart, shapely.MultiPolygon(halves), None, shapely.Polygon()])
    truth = read_labels(path, FRAME)
    np.testing.assert_allclose(truth.boxes, [*BOXES[:2], [410, 100, 40, 10, 0]], atol=1e-6)
    assert truth.n_empty == 2


def test_pixel_masks_and_heights_are_read(tmp_path: Path) -> None:
    stairs = shapely.force_3d(shapely.union_all([shapely.box(k, k, k + 2, k + 2) for k in range(8)]), 7.0)
    moved = shapely.affinity.translate(shapely.affinity.scale(stairs, 10, -10, origin=(0, 0)), 501_000, 4_999_000)
    truth = read_labels(write(tmp_path / "l.gpkg", [moved]), FRAME)
    np.testing.assert_allclose(truth.boxes[0, :2], [104.5, 104.5], atol=1e-6)
    assert truth.boxes[0, 4] == pytest.approx(np.pi / 4)


@pytest.mark.parametrize(("n_turned", "upright"), [(0, True), (1, True), (3, False)])
def test_upright_where_more_than_95_percent_are(tmp_path: Path, n_turned: int, upright: bool) -> None:  # noqa: FBT001
    boxes = np.column_stack(
        [np.linspace(50, 550, 40), np.full(40, 200), np.full(40, 30), np.full(40, 10), np.zeros(40)]
    )
    boxes[:n_turned, 4] = 0.5
    assert read_labels(write(tmp_path / "l.gpkg", on_map(boxes)), FRAME).axis_aligned is upright


def test_a_crs_on_one_side_only_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "l.gpkg", on_map(BOXES), crs=None)
    with pytest.raises(LabelError, match=r"l.gpkg has no CRS but scenes/port.tif has one"):
        read_labels(path, FRAME)
    bare = SceneFrame("bare.tif", FRAME.size, Affine.identity(), None)
    with pytest.raises(LabelError, match=r"bare\.tif has no CRS"):
        read_labels(write(tmp_path / "m.gpkg", on_map(BOXES)), bare)


def test_without_any_crs_rows_run_down_from_zero(tmp_path: Path) -> None:
    bare = SceneFrame("bare.tif", FRAME.size, Affine.identity(), None)
    upright = SceneFrame("", FRAME.size, Affine(1, 0, 0, 0, -1, 0), None)
    path = write(tmp_path / "l.gpkg", on_map(BOXES, upright), crs=None)
    np.testing.assert_allclose(read_labels(path, bare).boxes, BOXES, atol=1e-9)


def test_unreadable_files_and_layers(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="is not a file"):
        read_labels(tmp_path / "none.gpkg", FRAME)
    (tmp_path / "text.gpkg").write_text("not a database")
    with pytest.raises(LabelError, match="cannot be read as a vector file"):
        read_labels(tmp_path / "text.gpkg", FRAME)
    path = write(tmp_path / "two.gpkg", on_map(BOXES), layer="a")
    write(path, on_map(BOXES[:1]), layer="b")
    with pytest.raises(LabelError, match=r"has the layers \['a', 'b'\]: name the one"):
        read_labels(path, FRAME)
    assert len(read_labels(LabelFile(path, layer="b"), FRAME)) == 1
    write(path, on_map(BOXES[:2]), layer="labels")
    assert len(read_labels(path, FRAME)) == 2
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LabelError, match="no geometry"):
        read_labels(tmp_path / "t.csv", FRAME)


def test_no_features(tmp_path: Path) -> None:
    path = write(tmp_path / "l.gpkg", [])
    with pytest.raises(LabelError, match="has no features"):
        read_labels(path, FRAME)
    truth = read_labels(path, FRAME, allow_empty=True, names=["ship"])
    assert (len(truth), truth.names, truth.axis_aligned) == (0, ("ship",), False)


def test_labels_outside_the_domain_of_the_scenes_crs_count_as_outside(tmp_path: Path) -> None:
    mercator = [*gpd.GeoSeries(on_map(BOXES), crs=UTM).to_crs(3857), shapely.box(1e300, 0, 2e300, 10)]
    truth = read_labels(write(tmp_path / "l.gpkg", mercator, crs=CRS(3857)), FRAME)
    assert (len(truth), truth.n_outside) == (3, 1)


def test_an_object_that_is_marked_twice_counts_once(tmp_path: Path) -> None:
    again = BOXES[[0, 1, 0]] + np.array([[2, 1, 1, 1, 0.02], [0, 0, 0, 0, 0], [-1, 0, 0, 0, 0]])
    near = BOXES[:1] + np.array([[0, 9, 0, 0, 0]])  # moored beside the first: overlaps it a little
    geometry = on_map(np.concatenate([BOXES, again, near]))
    names = ["ship"] * 4 + ["boat", "ship", "ship"]
    skip = [False] * 5 + [True, False]
    truth = read_labels(write(tmp_path / "l.gpkg", geometry, label=names, ignore=skip), FRAME)
    np.testing.assert_allclose(truth.boxes, np.concatenate([BOXES, again[1:2], near]), atol=1e-6)
    assert [truth.names[k] for k in truth.labels] == ["ship", "ship", "ship", "boat", "ship"]
    assert truth.n_repeated == 2
    assert truth.ignore.tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_repeats_of_a_repeat_are_not_dropped_with_it(order: list[int]) -> None:
    chain = np.array([[0.0, 0, 20, 20, 0], [5, 0, 20, 20, 0], [10, 0, 20, 20, 0]])[order]
    first = first_of_each(chain, np.zeros(3, np.int64))
    stands = chain[first == np.arange(3)][:, 0]
    assert sorted(stands) == ([5.0] if order[0] == 1 else [0.0, 10.0])


def test_ragged_truth_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2 labels need boxes \[2, 5\]"):
        Truth(BOXES, np.zeros(2, int), ("a",), np.zeros(2, bool))
    with pytest.raises(ValueError, match="do not index the 1 class names"):
        Truth(BOXES, np.array([0, 1, 0]), ("a",), np.zeros(3, bool))


def real_frame(path: Path) -> SceneFrame:
    with rasterio.open(path) as scene:
        crs = CRS.from_wkt(scene.crs.to_wkt())
        return SceneFrame(str(path), Size(scene.height, scene.width), scene.transform, crs)


@needs_real
@pytest.mark.real
def test_real_vessels() -> None:
    truths = [
        read_labels(path.with_suffix(".gpkg"), real_frame(path)) for path in sorted((REAL / "vessels_s2").glob("*.tif"))
    ]
    assert sum(map(len, truths)) == 192
    assert not any(truth.axis_aligned for truth in truths)
    assert {truth.names for truth in truths} == {("vessel",)}
    assert sum(truth.n_outside for truth in truths) == 0
    assert 10 < np.median(np.concatenate([truth.boxes[:, 2] for truth in truths])) < 18


@needs_real
@pytest.mark.real
def test_real_aircraft_that_are_marked_twice() -> None:
    labels = REAL / "aircraft_airbus" / "labels.gpkg"
    truth = read_labels(labels, real_frame(labels.with_name("site08_2.tif")))
    assert (len(truth), truth.n_repeated) == (46, 46)


@needs_real
@pytest.mark.real
def test_real_aircraft() -> None:
    labels = REAL / "aircraft_airbus" / "labels.gpkg"
    table = gpd.read_file(labels)
    for name in ("site00_0", "site11_10", "site24_3"):
        truth = read_labels(labels, real_frame(labels.with_name(f"{name}.tif")))
        mine = table[table["scene"] == name]
        assert len(truth) == len(mine)
        assert truth.ignore.tolist() == mine["truncated"].tolist()
        assert truth.axis_aligned
        np.testing.assert_allclose(truth.boxes[:, 2] * truth.boxes[:, 3] / 4, mine.area, rtol=1e-6)  # 0.5 m pixels
