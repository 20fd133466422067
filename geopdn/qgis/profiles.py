"""Where QGIS keeps the profiles of its users."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS = ("QGIS3", "QGIS4")
SCRIPTS = Path("processing", "scripts")
"""Of a profile: where Processing looks for scripts."""


def profile_folders(
    profile: str | None, *, environment: Mapping[str, str] | None = None, platform: str | None = None
) -> list[Path]:
    """The folders of a profile, one for each version of QGIS that has been used.

    Args:
        profile: a name, a folder, or None for the one that QGIS starts with.
        environment: instead of the process's.
        platform: instead of this one's, as of `sys.platform`.

    Returns:
        At least one. Where QGIS was never started, the profile that it will make.

    Raises:
        ConfigError: there is no such profile or folder.
    """
    if profile is not None and (os.sep in profile or "/" in profile or Path(profile).is_dir()):
        if not Path(profile).is_dir():
            raise ConfigError(f"--profile {profile!r} is no folder: in QGIS, Settings > User Profiles shows it")
        return [Path(profile).absolute()]
    roots = [root for root in _roots(environment, platform) if root.is_dir()]
    if not roots:
        if profile not in (None, "default"):
            raise ConfigError(f"--profile {profile!r}: QGIS has no profiles yet, start it once, or give a folder")
        return [_roots(environment, platform)[0] / "default"]
    folders = [root / (profile or _starting(root)) for root in roots]
    found = [folder for folder in folders if folder.is_dir()]
    if not found and profile is not None:
        known = sorted({entry.name for root in roots for entry in root.iterdir() if entry.is_dir()})
        raise ConfigError(f"--profile {profile!r}: QGIS has the profiles {', '.join(known) or 'none'}")
    return found or folders[:1]


def _roots(environment: Mapping[str, str] | None, platform: str | None) -> list[Path]:
    """Folders of profiles, whether or not they exist."""
    variables = os.environ if environment is None else environment
    own = variables.get("QGIS_CUSTOM_CONFIG_PATH")
    if own:
        return [Path(own, "profiles")]
    system = sys.platform if platform is None else platform
    home = Path(variables.get("USERPROFILE" if system == "win32" else "HOME") or Path.home())
    if system == "win32":
        base = Path(variables.get("APPDATA") or home / "AppData" / "Roaming")
    elif system == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(variables.get("XDG_DATA_HOME") or home / ".local" / "share")
    return [base / "QGIS" / version / "profiles" for version in VERSIONS]


def _starting(root: Path) -> str:
    """The profile that QGIS starts with."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        settings.read(root / "profiles.ini", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return "default"
    name = settings.get("core", "defaultProfile", fallback="").strip().strip('"')
    return name if name and Path(name).name == name else "default"
