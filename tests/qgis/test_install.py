"""The script goes where QGIS looks for it, and uninstalling takes away exactly what installing brought."""

from __future__ import annotations

import ast
import sys
from importlib import resources
from pathlib import Path

import pytest

from geopdn.errors import ConfigError, OutputError
from geopdn.qgis.install import NAME, install, script_in, script_text, uninstall
from geopdn.qgis.profiles import profile_folders

COMMAND = ['/opt/it\'s "geopdn" ✈/bin/geopdn']


def snapshot(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_script_knows_command_and_models_and_is_old_enough_for_qgis() -> None:
    tree = ast.parse(script_text(COMMAND, ["a", 'b"']), feature_version=(3, 9))
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("COMMAND", "MODELS")
    }
    assert values == {"COMMAND": COMMAND, "MODELS": ["a", 'b"']}
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.partition(".")[0] for name in modules} - {"qgis"} <= sys.stdlib_module_names


def test_installing_twice_and_uninstalling_leaves_nothing(tmp_path) -> None:
    profile = tmp_path / "profiles" / "default"
    path = install(profile, command=COMMAND, models=["a"])
    assert path == script_in(profile) == profile / "processing" / "scripts" / NAME
    first = path.read_bytes()
    assert install(profile, command=COMMAND, models=["a"]).read_bytes() == first
    install(profile, command=["other"], models=[])
    assert b'COMMAND = ["other"]' in path.read_bytes()
    (path.parent / "__pycache__").mkdir()
    (path.parent / "__pycache__" / "geopdn_detect.cpython-39.pyc").write_bytes(b"")
    removed = uninstall(profile)
    assert removed[0] == path
    assert snapshot(tmp_path) == set()
    assert uninstall(profile) == []


def test_files_and_folders_of_others_stay(tmp_path) -> None:
    scripts = tmp_path / "processing" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "mine.py").write_text("")
    before = snapshot(tmp_path)
    install(tmp_path, command=COMMAND, models=[])
    uninstall(tmp_path)
    assert snapshot(tmp_path) == before
    (scripts / "mine.py").unlink()
    install(tmp_path, command=COMMAND, models=[])
    uninstall(tmp_path)
    assert snapshot(tmp_path) == {"processing", "processing/scripts"}  # empty, but they were there before


def test_files_that_were_changed_or_are_not_ours_are_left_alone(tmp_path) -> None:
    path = install(tmp_path, command=COMMAND, models=[])
    text = path.read_text(encoding="utf-8")
    for content, why in ((text + "# mine\n", "changed since"), ("mine", "not written by geopdn")):
        path.write_text(content, encoding="utf-8")
        for attempt in (lambda: uninstall(tmp_path), lambda: install(tmp_path, command=COMMAND, models=[])):
            with pytest.raises(OutputError, match=why):
                attempt()
        assert path.read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    ("platform", "variables", "root"),
    [
        ("linux", {"HOME": "{0}"}, ".local/share/QGIS/QGIS3/profiles"),
        ("linux", {"HOME": "{0}", "XDG_DATA_HOME": "{0}/data"}, "data/QGIS/QGIS3/profiles"),
        ("darwin", {"HOME": "{0}"}, "Library/Application Support/QGIS/QGIS3/profiles"),
        ("win32", {"USERPROFILE": "{0}", "APPDATA": "{0}/Roaming"}, "Roaming/QGIS/QGIS3/profiles"),
        ("linux", {"HOME": "{0}", "QGIS_CUSTOM_CONFIG_PATH": "{0}/own"}, "own/profiles"),
    ],
)
def test_profiles_of_every_system(tmp_path, platform, variables, root) -> None:
    settings = {name: value.format(tmp_path) for name, value in variables.items()}

    def folders(profile=None):
        return profile_folders(profile, environment=settings, platform=platform)

    profiles = tmp_path / root
    assert folders() == [profiles / "default"]  # QGIS was never started: the one it will make
    with pytest.raises(ConfigError, match="no profiles yet"):
        folders("work")
    (profiles / "default").mkdir(parents=True)
    (profiles / "work").mkdir()
    assert folders() == [profiles / "default"]
    assert folders("work") == [profiles / "work"]
    (profiles / "profiles.ini").write_text("[core]\ndefaultProfile=work\n")
    assert folders() == [profiles / "work"]
    with pytest.raises(ConfigError, match=r"'plya'.*default, work"):
        folders("plya")
    assert folders(str(profiles / "default")) == [profiles / "default"]
    with pytest.raises(ConfigError, match="no folder"):
        folders(str(tmp_path / "missing" / "place"))


def test_two_versions_of_qgis_are_both_served(tmp_path) -> None:
    for version in ("QGIS3", "QGIS4"):
        (tmp_path / ".local/share/QGIS" / version / "profiles/default").mkdir(parents=True)
    found = profile_folders(None, environment={"HOME": str(tmp_path)}, platform="linux")
    assert [folder.parts[-3] for folder in found] == ["QGIS3", "QGIS4"]


def test_the_script_is_part_of_the_package() -> None:
    assert resources.files("geopdn.qgis").joinpath(NAME).is_file()
