"""The page: what was found, at what cost, made how, with a map and pictures; one file that loads nothing else."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from geopdn import __version__
from geopdn.output.atomic import replacing
from geopdn.output.report.charts import histogram
from geopdn.output.report.embed import escaped, json_in_script, policy
from geopdn.output.report.parts import controls, cost, figures, made_by, unread
from geopdn.output.report.records import MOST_LISTED, page_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geopdn.output.found import Found
    from geopdn.output.report.images import Placed

STYLES = ("page.css",)
SCRIPTS = ("state.js", "map.js", "gallery.js", "review.js")
"""In this order, as one script."""


def write_report(
    found: Found,
    path: Path,
    *,
    whole: Placed | None = None,
    expected: Placed | None = None,
    close_ups: Sequence[Placed | None] = (),
    note: str = "",
) -> Path:
    """Write the page, complete or not at all; the same input gives the same bytes.

    Args:
        found: the result.
        path: the page.
        whole: the scene, None where it could not be read.
        expected: expected counts, if there are any.
        close_ups: of the best detections, in their order; None for one without an outline.
        note: what the reader should know of the pictures.

    Returns:
        The path that was written.

    Raises:
        OutputError: it cannot be written.
    """
    text = page(found, whole=whole, expected=expected, close_ups=close_ups, note=note)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path


def page(
    found: Found, *, whole: Placed | None, expected: Placed | None, close_ups: Sequence[Placed | None], note: str
) -> str:
    """The page as HTML; arguments as of `write_report`."""
    style, script = _joined(STYLES), _joined(SCRIPTS)
    record = page_record(found, whole=whole, expected=expected, close_ups=close_ups)
    name = escaped(found.frame.name)
    has_crs = found.frame.crs is not None
    scores, lengths = (found.table[column].to_numpy(np.float64) for column in ("score", "length_m"))
    notes = [note, _left_out(len(found), len(close_ups))]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escaped(policy(script=script, style=style))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="geopdn {escaped(__version__)}">
<title>{name} - geopdn</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#found">To the detections</a>
<header>
<h1>{name}</h1>
<p class="lead">{escaped(_headline(found))}</p>
{figures(found)}
{"".join(f'<p class="note">{escaped(text)}</p>' for text in notes if text)}
<noscript><p class="note">The map and the pictures need JavaScript, which is switched off here.</p></noscript>
</header>
<main>
<section id="overview" aria-labelledby="overview-title">
<h2 id="overview-title">Map</h2>
{controls(found, has_picture=whole is not None, expected=expected)}
</section>
<section id="found" aria-labelledby="found-title">
<h2 id="found-title">Detections</h2>
<form id="filters" class="bar"></form>
<p id="shown" class="quiet" role="status"></p>
<ul id="cards"></ul>
<button type="button" id="more" hidden>Show more</button>
</section>
<section aria-labelledby="numbers-title">
<h2 id="numbers-title">Scores and sizes</h2>
<div class="charts">
{histogram(scores, title="Scores", unit="score", limits=(0.0, 1.0))}
{histogram(lengths, title="Lengths", unit="m") if has_crs else ""}
</div>
</section>
<section aria-labelledby="cost-title">
<h2 id="cost-title">Cost and completeness</h2>
{cost(found)}
{unread(found)}
</section>
<section aria-labelledby="made-title">
<h2 id="made-title">How it was made</h2>
{made_by(found)}
</section>
</main>
<script type="application/json" id="record">{json_in_script(record)}</script>
<script>{script}</script>
</body>
</html>
"""


def _headline(found: Found) -> str:
    """How many of what, in how large a scene."""
    counts = Counter(found.table["label"])
    kinds = ", ".join(f"{counts[name]:,} {name}" for name in found.classes if counts[name])
    size = found.frame.size
    return f"{len(found):,} detections ({kinds or 'nothing was found'}) in {size.width:,} × {size.height:,} px."


def _left_out(n: int, n_close_ups: int) -> str:
    """What of many detections is not here."""
    parts = []
    if n > MOST_LISTED:
        parts.append(
            f"The {MOST_LISTED:,} detections with the highest scores are listed and drawn; {n - MOST_LISTED:,} are "
            "left out here (the histograms count all)."
        )
    if 0 < n_close_ups < n:
        parts.append(
            f"The {n_close_ups:,} best have a picture, {n - n_close_ups:,} are left without one: --pictures N makes "
            "more."
        )
    return " ".join(parts)


def _joined(names: Sequence[str]) -> str:
    folder = files("geopdn.output.report")
    return "\n" + "\n".join((folder / name).read_text(encoding="utf-8") for name in names)
