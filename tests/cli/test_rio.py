"""`rio geopdn`: a command of rasterio's own group that hands everything on to `geopdn detect`."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from click_plugins import with_plugins

GROUP = "rasterio.rio_plugins"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def rio():
    """Runs a group as rio's that has the plugins which pyproject.toml declares."""
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"][GROUP]
    points = [EntryPoint(name=name, value=value, group=GROUP) for name, value in declared.items()]
    group = with_plugins(points)(click.Group("rio"))
    return lambda *arguments: CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_the_search_is_the_same(rio, exact, scene, tmp_path):
    done = rio("geopdn", scene, "-o", tmp_path / "a.gpkg", "--model", exact, "--recall", "0.9", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["detections"] == 5
    assert (tmp_path / "a.gpkg").is_file()


def test_help_and_errors_are_those_of_detect(rio, scene):
    for arguments in (("--help",), ()):
        done = rio("geopdn", *arguments)
        assert done.exit_code == 0
        assert "Usage: geopdn detect" in done.stdout
        assert "--budget" in done.stdout
    assert rio("geopdn", scene, "--budget", "much").exit_code == 2
    assert rio("geopdn", "missing.tif", "--model", "aircraft-50cm").exit_code == 3


def test_rio_lists_it_without_loading_anything(rio):
    assert "geopdn  Find sparse objects in huge scenes." in rio("--help").stdout
    code = "import sys, geopdn.cli.rio; print([m for m in ('typer', 'torch', 'numpy', 'rasterio') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
