"""Seeded scenes with known pixels, for every test that reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scene_factory import write_scene

if TYPE_CHECKING:
    from scene_factory import MakeScene


@pytest.fixture
def make_scene() -> MakeScene:
    """A factory that writes a GeoTIFF and returns the values `[C, H, W]` a reader must see: 0 where not valid."""
    return write_scene
