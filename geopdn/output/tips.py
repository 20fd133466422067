"""Map tips: what is shown when the pointer rests on a feature, as HTML with QGIS's expressions in `[% %]`."""

from __future__ import annotations

from geopdn.output.fields import PICTURE

PICTURE_PX = 192
"""Width at which pictures are shown."""


def detection_tip(*, pictures: bool) -> str:
    """A picture where there is one, class and score, size, heading, the window.

    Args:
        pictures: whether the layer has the column.
    """
    image = (
        f"""[% if("{PICTURE}" is null, '', '<img width="{PICTURE_PX}" src="data:image/jpeg;base64,'"""
        f""" || to_base64("{PICTURE}") || '"/><br/>') %]"""
    )
    return (image if pictures else "") + "".join(
        (
            f"""<b>[% {_html("label")} %]</b> [% format_number("score", 2) %]""",
            _line("size", """format_number("length_m", 1) || ' × ' || format_number("width_m", 1) || ' m'"""),
            _line("heading", """round("heading_deg") || '° or ' || (round("heading_deg") + 180) || '°'"""),
            _line("area", """format_number("area_m2", 0) || ' m²'"""),
            _line("seen in", f"""'window ' || "window" || ', ' || {_at("scale")}"""),
            _line("scene", _html("scene")),
            _line("taken", """format_date("datetime", 'yyyy-MM-dd hh:mm') || ' UTC'"""),
        )
    )


def window_tip() -> str:
    """When and why it was looked at, how closely, what was expected and found."""
    return "".join(
        (
            """<b>window [% "id" %]</b> (round [% "round" %], [% "reason" %])""",
            _line("read at", _at("scale")),
            _line("expected", """format_number("expected", 1) || ' objects'"""),
            _line("found", """"found" || ' objects'"""),
            _line(
                "not read", f"""if("status" = 'failed', {_html("cause")}, if("status" = 'empty', 'no pixels', ''))"""
            ),
        )
    )


def run_tip() -> str:
    """Scene, model, cost and completeness."""
    return "".join(
        (
            f"""<b>[% {_html("scene")} %]</b>""",
            _line("model", _html("model")),
            _line("found", """"n_detections" || ' objects'"""),
            _line("read", """format_number(100 * "share", 1) || ' % of the pixels, ' || "n_windows" || ' windows'"""),
            _line("estimated recall", """format_number("estimated_recall", 2)"""),
        )
    )


def raw_tip() -> str:
    """Class, score, the window."""
    return f"""[% {_html("label")} %] [% format_number("score", 3) %]""" + _line(
        "seen in", """'window ' || "window\""""
    )


def failure_tip() -> str:
    """Which window, and why it could not be read."""
    return f"""<b>window [% "window" %] could not be read</b><br/>[% {_html("cause")} %]"""


def _line(name: str, expression: str) -> str:
    """One more line; none where the expression is null or empty."""
    return f"""[% coalesce('<br/>{name} ' || nullif({expression}, ''), '') %]"""


def _html(column: str) -> str:
    """An expression for a column's text, escaped."""
    text = f'"{column}"'
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = f"replace({text}, '{mark}', '{entity}')"
    return text


def _at(column: str) -> str:
    return f"""if("{column}" = 1, 'full resolution', '1:' || "{column}")"""
