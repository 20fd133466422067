"""Every command and every Python block of the README and of docs/*.md is run, or at least parsed, as it stands.

Each page has a folder with small files under the names that it uses. What is not run is in one table, with the reason;
a line of a page that is neither run nor in the table fails, and so does an entry of the table that nothing matches.
"""

from __future__ import annotations

import re
import shlex
import shutil
from functools import cache
from pathlib import Path
from typing import NamedTuple

import geopandas
import pytest
import rasterio
import shapely
import typer
from click.testing import CliRunner
from rasterio.windows import Window

from geopdn.cli.main import app, run

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
SHELL, OTHER = ("", "sh", "shell", "bash"), ("text", "yaml", "json")
PROGRAM = "geopdn"

NOT_RUN = {
    r"^git clone ": "the clone is what is being tested",
    r"^make demo$": "installs PyTorch; the target is looked up in the Makefile",
    r"^(\S*pip|python3 -m venv) ": "makes environments from PyPI",
    r"^(cd|mkdir|for|done)\b": "the shell's own",
    r"^gdal_translate ": "GDAL's own program",
    r"^geopdn qgis (un)?install": "writes into the user's QGIS: tests/qgis/test_install.py",
    r"^geopdn (train|calibrate) ": "takes minutes to an hour: tests/train",
    r"^geopdn bench ": "takes minutes: tests/evaluate/test_bench.py",
    r"^geopdn export ": "takes 10 to 40 s a file: tests/model/test_export.py",
    r"^geopdn simulate .*--size 16384": "takes minutes: tests/scene/test_simulate.py",
    r"^geopdn (detect|evaluate) large\b": "of that scene of 16,384 px",
    r"^geopdn (simulate harbour|configure scenes scenes)": "in a loop of the shell, or of what the loop made",
    r"--detector ": "a detector of the reader's own: tests/cli/test_detector.py",
    r"--model runs/": "weights of the reader's own training",
    r"^geopdn evaluate new": "of a result of those weights",
    r"^geopdn (review .*marks\.json|evaluate .*reviewed\.gpkg$)": "of marks made in a browser",
}
NOT_EXECUTED = {
    "def find(patch)": "a function of the reader's own, left open",
    "onnxruntime.InferenceSession": "of an exported detector: tests/model/test_export.py",
    "num_patches=16": "takes 20 s; docs/researcher.md runs a smaller one",
}


class Block(NamedTuple):
    language: str
    text: str


def blocks(page):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(*one) for one in found]


def commands(page):
    """Commands of a page's shell blocks: without comments, programs by their bare names."""
    for language, text in blocks(page):
        if language in SHELL:
            for line in text.replace("\\\n", " ").splitlines():
                for part in line.split(" && "):
                    words = shlex.split(part, comments=True)
                    if words:
                        yield re.sub(r"^\S*/bin/(geopdn|rio)\b", r"\1", shlex.join(words)).replace("'*'", "*")


def reason(command):
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, command)), None)


@cache
def program():
    return typer.main.get_command(app)


def parsed(words):
    """The command of geopdn's that the words call, its options read; wrong ones raise."""
    command, rest = program(), list(words)
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    with command.make_context(command.name, rest):
        return command


@pytest.fixture(scope="module")
def materials(tmp_path_factory):
    """What the pages take for granted: a scene of an airport, labels, an area, a folder of scenes, a result."""
    folder = tmp_path_factory.mktemp("materials")
    labels = geopandas.read_file(ROOT / "sample_scenes" / "airport.truth.gpkg", layer="labels")
    labels.assign(kind=labels["label"]).to_file(folder / "labels.gpkg", layer="labels")
    (folder / "scenes").mkdir()
    with rasterio.open(ROOT / "sample_scenes" / "airport.tif") as source:
        inside = {"scene.tif": (1024, 832, 768), "scene-april.tif": (960, 800, 768)}
        for number, at in enumerate(shapely.get_coordinates(labels.geometry.centroid.values)[::9]):
            col, row = (int(edge) for edge in ~source.transform @ tuple(at))
            inside[f"scenes/place{number}.tif"] = (max(col - 260, 0), max(row - 260, 0), 520)
        for name, (col, row, side) in inside.items():
            window = Window(col, row, side, side)
            values, transform = source.read(window=window), source.window_transform(window)
            profile = {**source.profile, "height": side, "width": side, "transform": transform}
            with rasterio.open(folder / name, "w", **profile) as target:
                target.write(values)
                target.update_tags(TIFFTAG_DATETIME="2024:05:01 10:30:00")
        west, south, east, north = rasterio.windows.bounds(Window(1024, 832, 400, 768), source.transform)
        geopandas.GeoDataFrame(geometry=[shapely.box(west, south, east, north)], crs=source.crs).to_crs(4326).to_file(
            folder / "area.gpkg"
        )
    call(["detect", folder / "scene.tif", "-o", folder / "scene.detections.gpkg", "-q"])
    return folder


@pytest.fixture
def folder(materials, tmp_path, monkeypatch):
    shutil.copytree(materials, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(words):
    with pytest.raises(SystemExit) as stop:
        run([str(word) for word in words])
    assert not stop.value.code, f"geopdn {shlex.join(map(str, words))} ended with {stop.value.code}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_a_page_run(page, folder):
    for command in commands(page):
        name, *words = shlex.split(command)
        if name == PROGRAM:
            plain = [re.sub(r"\$\{?n\}?", "1", word) for word in words]
            options = {option for one in parsed(plain).params for option in one.opts}
        if reason(command) is not None:
            continue
        words = words[: words.index(">")] if ">" in words else words
        words = [match for word in words for match in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
        if name == PROGRAM:
            # A page shows several ways to write one file; here they follow each other.
            call([*words, *(["--overwrite"] if "--overwrite" in options and "--overwrite" not in words else [])])
        elif name == "rio":
            from geopdn.cli.rio import geopdn

            done = CliRunner().invoke(geopdn, [*words[1:], "--overwrite"])
            assert done.exit_code == 0, done.output
        else:
            pytest.fail(f"{page.name}: {command!r} is neither run nor in NOT_RUN")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_a_page_runs(page, folder):
    for number, block in enumerate(blocks(page)):
        if block.language == "python":
            code = compile(block.text, f"{page.name}, block {number + 1}", "exec")
            if not any(text in block.text for text in NOT_EXECUTED):
                exec(code, {"__name__": "page"})


def test_every_fence_is_of_a_kind_that_is_known():
    kinds = {(page.name, block.language) for page in PAGES for block in blocks(page)}
    assert {language for _, language in kinds} <= {*SHELL, *OTHER, "python"}, kinds
    for page in PAGES:
        assert page.read_text(encoding="utf-8").count("\n```") % 2 == 0


def test_no_reason_is_left_over():
    every = [command for page in PAGES for command in commands(page)]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, command) for command in every)] == []
    python = [block.text for page in PAGES for block in blocks(page) if block.language == "python"]
    assert [text for text in NOT_EXECUTED if not any(text in block for block in python)] == []


def test_targets_of_make_that_pages_name_are_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"\bmake ([a-z-]+)\b`|^make ([a-z-]+)$", page.read_text())
    }
    assert {name for pair in named for name in pair if name} <= targets


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
