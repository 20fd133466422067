"""Text that comes from outside, made harmless where it stands in a page."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import Any

_IN_SCRIPTS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def escaped(value: object) -> str:
    """Text inside of an element or of a quoted attribute; NUL, which HTML cannot hold, as U+FFFD."""
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return html.escape(text.replace("\x00", "\ufffd"), quote=True)


def json_in_script(value: Any) -> str:
    """JSON that can stand inside of a script element: nothing in it ends the element or a line."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.encode("utf-8", "replace").decode("utf-8")
    for mark, written in _IN_SCRIPTS.items():
        text = text.replace(mark, written)
    return text


def policy(*, script: str, style: str) -> str:
    """A Content-Security-Policy that allows this script, this style, and pictures inside of the page; no network.

    Args:
        script: exactly what stands in the script element.
        style: exactly what stands in the style element.
    """
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"
