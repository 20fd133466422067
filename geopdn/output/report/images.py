"""Pictures inside of the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture and where it lies on the result's grid, in its pixels.

    Attributes:
        content: the file.
        mime_type: of it.
        x: left edge.
        y: upper edge.
        width: across.
        height: down.
        highest: what the strongest colour stands for, of pictures of numbers.
    """

    content: bytes
    mime_type: str
    x: float
    y: float
    width: float
    height: float
    highest: float | None = None

    def as_record(self) -> dict[str, Any]:
        """For the page's script."""
        return {
            "href": data_uri(self.content, self.mime_type),
            "x": round(self.x, 2),
            "y": round(self.y, 2),
            "width": round(self.width, 2),
            "height": round(self.height, 2),
        }


def data_uri(content: bytes, mime_type: str) -> str:
    """A file as an address that holds it."""
    return f"data:{mime_type};base64,{base64.b64encode(content).decode('ascii')}"
