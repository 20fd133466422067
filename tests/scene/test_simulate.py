"""Simulated scenes: the truth is where it says, tiles meet, the same seed gives the same bytes."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely

from geopdn.errors import ConfigError
from geopdn.geometry.window import Size, Window
from geopdn.scene.simulate import Simulation, renderer, simulate
from geopdn.scene.simulated_canvas import Shape, paint
from geopdn.scene.simulated_noise import blur, fractal_noise, value_noise, white_noise

AIRPORT = Simulation("airport", Size(640, 600), seed=3, n_objects=4, occupied_share=0.4)
HARBOUR = Simulation("harbour", Size(300, 320), seed=5, n_objects=6, pixel_size_m=10.0, occupied_share=0.3)


@pytest.fixture(scope="module", params=[AIRPORT, HARBOUR], ids=["airport", "harbour"])
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    simulate(request.param, folder / "a.tif", truth=folder / "a.gpkg")
    return request.param, folder / "a.tif", folder / "a.gpkg"


@pytest.fixture(scope="module")
def airport():
    return renderer(AIRPORT)


@pytest.fixture(scope="module")
def harbour():
    return renderer(HARBOUR)


def test_noise_of_a_window_is_the_noise_of_the_plane():
    whole = Window(-40, -30, 96, 128)
    part = Window(-3, 17, 20, 31)
    rows, cols = slice(37, 57), slice(47, 78)
    for noise in (
        lambda window: value_noise(window, spacing=(7.3, 3.1), seed=5),
        lambda window: fractal_noise(window, spacing=40, octaves=4, seed=9),
        lambda window: white_noise(window, seed=2),
    ):
        assert np.array_equal(noise(whole)[rows, cols], noise(part))


def test_every_second_pixel_is_the_whole_thinned():
    window = Window(-7, 11, 50, 61)
    whole = fractal_noise(window, spacing=40, octaves=4, seed=9)
    assert np.array_equal(whole[::3, ::3], fractal_noise(window, spacing=40, octaves=4, seed=9, every=3))


def test_noise_has_unit_scale():
    window = Window(0, 0, 400, 400)
    assert abs(white_noise(window, seed=1).mean()) < 0.01
    assert white_noise(window, seed=1).std() == pytest.approx(1, abs=0.01)
    assert fractal_noise(window, spacing=20, octaves=3, seed=1).std() == pytest.approx(1, abs=0.15)
    assert np.abs(value_noise(window, spacing=9, seed=1)).max() <= 1


def test_blur_keeps_the_mean_and_loses_its_margin():
    image = np.zeros((1, 15, 15), np.float32)
    image[0, 7, 7] = 1
    out = blur(image, sigma=0.8, margin=3)
    assert out.shape == (1, 9, 9)
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(out[0], out[0].T)
    assert out.argmax() == 4 * 9 + 4


@pytest.mark.parametrize("exact", [True, False])
def test_painted_area_is_the_polygons_area(exact):
    triangle = np.array([(10.0, 5.0), (52.0, 17.0), (21.0, 48.0)])
    window = Window(0, 0, 64, 64)
    painted = paint([Shape(triangle, (200.0, 100.0, 50.0), texture=6)], window, n_bands=3, exact=exact)
    assert painted.cover.sum() == pytest.approx(shapely.Polygon(triangle).area, rel=0.04)
    assert painted.colour[:, 20, 25].tolist() == [200, 100, 50]
    assert painted.texture[20, 25] == 6
    assert painted.light.min() == 1
    shifted = paint([Shape(triangle, (200.0, 100.0, 50.0))], Window(8, 12, 40, 40), n_bands=3, exact=exact)
    assert np.array_equal(painted.colour[:, 8:48, 12:52], shifted.colour)


def test_scene_is_a_georeferenced_cog(written):
    simulation, path, _ = written
    with rasterio.open(path) as scene:
        assert (scene.height, scene.width) == (simulation.size.height, simulation.size.width)
        assert scene.crs.to_epsg() == simulation.epsg
        assert scene.transform == simulation.transform
        assert scene.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert set(scene.block_shapes) == {(256, 256)}
        assert scene.overviews(1)[0] == 2
        if simulation.kind == "airport":
            assert scene.dtypes == ("uint8",) * 3
        else:
            assert scene.dtypes == ("uint16",) * 5
            assert scene.descriptions == ("B04", "B03", "B02", "B08", "B11")
            assert scene.scales == (0.0001,) * 5
            pixels = scene.read()
            assert (pixels % simulation.reflectance_step == 0).all()
            assert 100 < np.median(pixels) < 4000


def test_truth_holds_every_object_inside_the_scene(written):
    simulation, path, truth = written
    labels = gpd.read_file(truth, layer="labels")
    assert len(labels) == simulation.n_objects
    assert set(labels.label) == {"aircraft" if simulation.kind == "airport" else "vessel"}
    assert labels.crs.to_epsg() == simulation.epsg
    with rasterio.open(path) as scene:
        footprint = shapely.box(*scene.bounds)
    assert footprint.covers(labels.geometry.centroid.union_all())
    shortest, longest = (7, 75) if simulation.kind == "airport" else (30, 350)
    assert labels.length_m.between(shortest, longest).all()
    assert gpd.sjoin(labels, labels, predicate="overlaps").empty


def test_first_edge_runs_along_the_length_and_gives_the_heading(written):
    _, _, truth = written
    labels = gpd.read_file(truth, layer="boxes")
    for row in labels.itertuples():
        points = np.array(row.geometry.exterior.coords)
        step = points[1] - points[0]
        assert np.hypot(*step) == pytest.approx(row.length_m, abs=0.02)
        turn = (np.degrees(np.arctan2(step[0], step[1])) - row.heading_deg + 180) % 360 - 180
        assert abs(turn) < 0.2
        assert row.geometry.area == pytest.approx(row.geometry.minimum_rotated_rectangle.area, rel=1e-3)


def test_outlines_lie_in_their_boxes(written):
    _, _, truth = written
    boxes, outlines = gpd.read_file(truth, layer="boxes"), gpd.read_file(truth, layer="labels")
    assert boxes.geometry.buffer(0.01).covers(outlines.geometry).all()
    assert (outlines.length_m == boxes.length_m).all()
    assert (outlines.area > 0.4 * boxes.area).all()


def test_vessels_are_brighter_in_near_infrared_than_the_water_around(harbour):
    pixels = harbour.render(Window(0, 0, 300, 320))[3].astype(float)
    inside = [pixels[int(item.y), int(item.x)] for item in harbour.objects]
    assert np.median(inside) > 1.5 * np.percentile(pixels, 10)


def test_aircraft_stand_where_the_truth_says(airport):
    pixels = airport.render(Window(0, 0, 640, 600)).astype(float)
    for item in airport.objects:
        along = np.array([np.cos(item.direction), np.sin(item.direction)])
        body = [np.array([item.x, item.y]) + along * share * item.length for share in np.linspace(-0.1, 0.3, 9)]
        values = [pixels[:, int(y), int(x)].mean() for x, y in body]
        assert np.std(values) < 35  # one paint along the fuselage


@pytest.mark.parametrize("kind", ["airport", "harbour"])
def test_pixels_do_not_depend_on_the_window(kind, request):
    simulation, scene = {"airport": AIRPORT, "harbour": HARBOUR}[kind], request.getfixturevalue(kind)
    whole = scene.render(Window(0, 0, 200, 200))
    part = scene.render(Window(71, 45, 90, 111))
    difference = np.abs(whole[:, 71:161, 45:156].astype(int) - part.astype(int))
    assert difference.max() <= (1 if simulation.kind == "airport" else simulation.reflectance_step)
    assert (difference > 0).mean() < 1e-3


def test_same_seed_same_bytes(written, tmp_path):
    simulation, path, truth = written
    simulate(simulation, tmp_path / "a.tif", truth=tmp_path / "a.gpkg")
    assert (tmp_path / "a.tif").read_bytes() == path.read_bytes()
    assert (tmp_path / "a.gpkg").read_bytes() == truth.read_bytes()


def test_another_seed_is_another_scene(harbour):
    other = Simulation("harbour", Size(300, 320), seed=6, n_objects=6, pixel_size_m=10.0, occupied_share=0.3)
    window = Window(0, 0, 64, 64)
    assert not np.array_equal(harbour.render(window), renderer(other).render(window))


def test_clouds_cover_about_their_share():
    plain = Simulation("harbour", Size(300, 300), seed=8, n_objects=0, pixel_size_m=10.0)
    cloudy = Simulation("harbour", Size(300, 300), seed=8, n_objects=0, pixel_size_m=10.0, clouds=0.3)
    window = Window(0, 0, 300, 300)
    bright = (renderer(cloudy).render(window)[2] > 3500).mean() - (renderer(plain).render(window)[2] > 3500).mean()
    assert 0.2 < bright < 0.45


def test_progress_ends_complete_and_nothing_else_is_left(tmp_path):
    calls: list[tuple[int, int]] = []
    small = Simulation("harbour", Size(530, 600), seed=1, n_objects=0, pixel_size_m=10.0)
    simulate(
        small, tmp_path / "s.tif", truth=tmp_path / "s.gpkg", progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(item.name for item in Path(tmp_path).iterdir()) == ["s.gpkg", "s.tif"]
    assert len(gpd.read_file(tmp_path / "s.gpkg", layer="labels")) == 0


def test_too_many_objects_are_refused_by_name():
    crowded = Simulation("airport", Size(400, 400), n_objects=60)
    with pytest.raises(ConfigError, match="60 aircraft found no place"):
        renderer(crowded)


@pytest.mark.parametrize(
    "wrong", [{"kind": "desert"}, {"kind": "airport", "clouds": 1.5}, {"kind": "airport", "n_objects": -1}]
)
def test_impossible_simulations_are_refused(wrong):
    with pytest.raises(ConfigError):
        Simulation(size=Size(100, 100), **wrong)
