"""`geopdn.detect` and its result: the same search as the command line's, in three lines of Python."""

from __future__ import annotations

import subprocess
import sys

import geopandas
import numpy as np
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from planted import PLACES, SIDE, TARGET, UTM

import geopdn
from geopdn.errors import ConfigError, LabelError, OutputError, SceneError
from geopdn.scene import Scene

TRUTH = np.array([UTM @ (col + TARGET / 2, row + TARGET / 2) for row, col in PLACES])


def centres(table):
    return shapely.get_coordinates(table.geometry.centroid.values)


def test_import_is_light_and_names_are_there():
    code = (
        "import sys, resource, geopdn\n"
        "heavy = [m for m in ('torch', 'rasterio', 'numpy', 'geopandas', 'typer') if m in sys.modules]\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(heavy, used.ru_utime + used.ru_stime < 0.5, {'detect', 'Result'} <= set(dir(geopdn)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True True"
    with pytest.raises(AttributeError, match="no attribute 'detcet'"):
        geopdn.detcet  # noqa: B018


def test_three_lines_give_a_geodataframe(exact, scene):
    result = geopdn.detect(scene, model=exact)
    table = result.to_geodataframe()
    assert table.crs.to_epsg() == 32631
    assert set(table["label"]) == {"target"}
    distance = np.hypot(*(centres(table)[:, None] - TRUTH[None]).transpose(2, 0, 1))
    assert len(table) == len(result) == len(PLACES)
    assert distance.min(0).max() < 0.3
    assert result.summary.startswith("Found 5 targets in scene.tif (700 x 700 px).")
    assert repr(result) == (
        f"<geopdn.Result 'scene.tif': 5 detections, {len(result.run.windows)} windows, "
        f"{100 * result.run.facts['share']:.1f} % of the pixels>"
    )


def test_the_command_line_and_python_write_the_same_layers(cli, exact, scene, tmp_path):
    done = cli("detect", scene, "--model", exact, "-o", "a.gpkg", "--budget", "0.6", "--pictures", "0")
    assert done.code == 0, done.err
    written = geopdn.detect(scene, model=exact, budget=0.6).save(tmp_path / "b.gpkg")
    for layer in ("detections", "windows", "run", "raw"):
        ours, theirs = (geopandas.read_file(path, layer=layer) for path in (written, tmp_path / "a.gpkg"))
        said = ["command", "versions"] if layer == "run" else []  # only the command line has called anything
        assert_geodataframe_equal(ours, theirs.drop(columns=said))


def test_the_shipped_model_that_fits_is_chosen(shipped, exact, scene):
    assert geopdn.detect(scene).run.facts["model"] == "tiny"


def test_layers_are_tables_with_the_columns_of_files(exact, scene, tmp_path):
    result = geopdn.detect(scene, model=exact, budget="full")
    path = result.save(tmp_path / "all.gpkg")
    for layer in ("detections", "windows", "run", "raw"):
        table, read = result.to_geodataframe(layer), geopandas.read_file(path, layer=layer)
        assert len(table) == len(read)
        assert set(table.columns) == set(read.columns) - {"review"}  # an empty column for colleagues
    with pytest.raises(ConfigError, match="layer 'boxes': expected one of detections, windows, run, raw"):
        result.to_geodataframe("boxes")


def test_an_area_is_a_file_or_a_table_of_any_system(exact, scene, tmp_path):
    west = geopandas.GeoDataFrame(geometry=[shapely.box(*(UTM @ (0, SIDE)), *(UTM @ (200, 0)))], crs=32631)
    west.to_crs(3857).to_file(tmp_path / "west.shp")
    for area in (west.to_crs(4326), tmp_path / "west.shp"):
        table = geopdn.detect(scene, model=exact, budget="full", aoi=area).to_geodataframe()
        assert np.allclose(centres(table), TRUTH[[0]], atol=0.3)
    with pytest.raises(LabelError, match="no CRS"):
        geopdn.detect(scene, model=exact, aoi=west.set_crs(None, allow_override=True))


def test_an_open_scene_keeps_its_bands_and_stays_open(exact, scene):
    with Scene.open(scene, bands=[3, 2, 1]) as opened:
        result = geopdn.detect(opened, model=exact)
        assert result.reading.bands == ("3", "2", "1")
        assert len(result) == len(PLACES)
        assert repr(opened).startswith("Scene(")
        assert not opened.changed()


def test_saving_replaces_nothing_unasked(exact, scene, tmp_path):
    result = geopdn.detect(scene, model=exact, budget="4w")
    path = result.save(tmp_path / "found.geojson")
    with pytest.raises(OutputError, match="exists"):
        result.save(path)
    assert result.save(path, overwrite=True) == path
    with pytest.raises(ConfigError, match="decides the format"):
        result.save(tmp_path / "found.csv")


def test_wrong_options_are_refused_before_anything_is_read(tmp_path):
    missing = tmp_path / "missing.tif"
    for options, text in (
        ({"budget": "much"}, "expected a share"),
        ({"min_score": 2}, "from 0 to 1"),
        ({"audit": -1}, "0 or more"),
        ({"recall": 0}, "above 0"),
    ):
        with pytest.raises(ConfigError, match=text):
            geopdn.detect(missing, **options)
    with pytest.raises(SceneError, match="does not exist"):
        geopdn.detect(missing)


def test_a_notebook_shows_the_summary_and_a_picture(exact, scene):
    from IPython.core.formatters import DisplayFormatter

    result = geopdn.detect(scene, model=exact)
    shown, _ = DisplayFormatter().format(result)
    assert shown["text/plain"] == repr(result)
    assert "<p>Found 5 targets in scene.tif" in shown["text/html"]
    assert 'src="data:image/jpeg;base64,' in shown["text/html"]
    picture = result.picture()
    assert picture.width > 600
    colours = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 50


def test_without_the_scene_a_notebook_still_shows_the_summary(exact, scene):
    result = geopdn.detect(scene, model=exact)
    scene.unlink()
    assert "No picture: " in result._repr_html_()
    assert "does not exist" in result._repr_html_()
    with pytest.raises(SceneError, match="does not exist"):
        result.picture()


def test_another_scene_under_the_same_name_is_not_drawn(exact, scene, plant):
    result = geopdn.detect(scene, model=exact)
    plant(scene, side=800)
    with pytest.raises(SceneError, match="not the scene that was searched"):
        result.picture()
