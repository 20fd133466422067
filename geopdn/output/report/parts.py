"""Parts of the page that need no script: figures, tables, the map's frame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from geopdn import __version__
from geopdn.output.fields import FIELDS
from geopdn.output.report.embed import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geopdn.output.found import Found
    from geopdn.output.report.images import Placed

MOST_UNREAD = 100
"""Failed windows that are listed."""

_HELP = (
    "Drag or use the arrow keys to move, the wheel or + and - to zoom, 0 for the whole scene. Choose a detection by a "
    "click; n and p go to the next and the previous one, r marks it right, w wrong, u takes the mark away."
)


def figures(found: Found) -> str:
    """The numbers that are asked for first."""
    facts = found.facts
    recall, share = facts.get("estimated_recall"), facts.get("share")
    items = [
        ("detections", f"{len(found):,}"),
        ("estimated recall", "unknown" if recall is None else f"{recall:.2f}"),
        ("of the pixels read", "unknown" if share is None else _percent(float(share))),
        ("windows", f"{len(found.windows):,}"),
    ]
    failed = int(facts.get("n_failed") or 0)
    if failed:
        items.append(("windows not read", f"{failed:,}"))
    return f'<dl class="figures">{"".join(f"<div><dd>{v}</dd><dt>{escaped(k)}</dt></div>" for k, v in items)}</dl>'


def controls(found: Found, *, has_picture: bool, expected: Placed | None) -> str:
    """The map's frame, its buttons, and where the chosen detection and the review stand."""
    toggles = [("show-detections", "Detections", True), ("show-windows", "Windows", True)]
    if has_picture:
        toggles.insert(0, ("show-whole", "Scene", True))
    if expected is not None:
        highest = "" if expected.highest is None else f" (up to {expected.highest:.2g} a cell)"
        toggles.append(("show-expected", f"Expected objects{highest}", False))
    boxes = "".join(
        f'<label><input type="checkbox" id="{name}"{" checked" if on else ""}> {escaped(text)}</label>'
        for name, text, on in toggles
    )
    label = f"Map of {found.frame.name}. {_HELP}"
    return f"""<div class="bar" id="layers">{boxes}</div>
<div class="split">
<div class="mapbox">
<svg id="map" tabindex="0" role="application" aria-label="{escaped(label)}" preserveAspectRatio="xMidYMid meet"></svg>
<div class="zoom" role="group" aria-label="Zoom">
<button type="button" id="zoom-in" aria-label="Zoom in">+</button>
<button type="button" id="zoom-out" aria-label="Zoom out">&minus;</button>
<button type="button" id="zoom-all" aria-label="Whole scene">all</button>
</div>
<div class="scalebar" id="scalebar" aria-hidden="true"><i></i><span></span></div>
</div>
<aside id="side" aria-label="Chosen detection and review">
<div id="chosen"></div>
<div id="review"></div>
</aside>
</div>
<p class="quiet" id="map-help">{escaped(_HELP)}</p>"""


def cost(found: Found) -> str:
    """What was spent and how complete the result is said to be."""
    facts = found.facts
    names = ("budget", "pixels_total", "pixels_read", "share", "n_windows", "n_failed")
    rows = [(_alias(name), _value(facts.get(name))) for name in names if name in facts]
    rows += [(_alias(n), _value(facts.get(n))) for n in ("expected_total", "estimated_recall") if n in facts]
    audit = facts.get("audit")
    if isinstance(audit, dict) and audit.get("missed") is not None:
        low, high = audit.get("low"), audit.get("high")
        between = "" if low is None or high is None else f" (95 % between {low:.0f} and {high:.0f})"
        rows.append(("Missed, by the audit", f"about {audit['missed']:.0f}{between}"))
    about = (
        "Estimated recall is relative to a full scan by the same network: its own estimate from what the overview led "
        "to expect and from windows drawn at random. Reviewing tells how many detections are right; an audit (geopdn "
        "detect --audit N) how many are missed."
    )
    return _table(rows) + f'<p class="quiet">{escaped(about)}</p>'


def unread(found: Found) -> str:
    """Windows that could not be read; nothing where all could."""
    failed = [record for record in found.windows if record.status == "failed"]
    if not failed:
        return ""
    rows = "".join(
        f"<tr><td>{r.index}</td><td>{r.core.row}, {r.core.col}</td><td>{r.core.height} × {r.core.width}</td>"
        f"<td>{escaped(r.cause)}</td></tr>"
        for r in failed[:MOST_UNREAD]
    )
    more = f'<p class="quiet">and {len(failed) - MOST_UNREAD:,} more</p>' if len(failed) > MOST_UNREAD else ""
    return (
        f'<h3>{len(failed):,} windows could not be read</h3><div class="wide"><table><thead><tr><th>Window</th>'
        f"<th>Row, column (px)</th><th>Size (px)</th><th>Cause</th></tr></thead><tbody>{rows}</tbody></table></div>"
        f"{more}"
    )


def made_by(found: Found) -> str:
    """The command, the model, the versions."""
    facts = found.facts
    command = facts.get("command")
    text = (
        f'<pre tabindex="0"><code>{escaped(command)}</code></pre>'
        if command
        else '<p class="quiet">This result does not record the command that made it.</p>'
    )
    rows = [("Result", found.path.name), ("Digest of the detections", found.digest)]
    rows += [(_alias(n), _value(facts.get(n))) for n in ("model", "model_digest", "detector") if facts.get(n)]
    rows += [
        (_alias(n), _value(facts.get(n))) for n in ("config_hash", "pixel_size_m", "min_score", "path") if n in facts
    ]
    merge = facts.get("merge")
    if isinstance(merge, dict):
        scores = ", ".join(f"{name} {value:g}" for name, value in (merge.get("min_score") or {}).items())
        rows.append(("Merged by", f"{merge.get('method')}, overlap {merge.get('iou')}, lowest scores: {scores}"))
    rows.append(("CRS", "none, pixel coordinates" if found.frame.crs is None else found.frame.crs.name))
    rows.append(("Scene taken", found.frame.datetime or "unknown"))
    rows.append(("Searched with geopdn", _value(facts.get("geopdn"))))
    versions = facts.get("versions")
    if isinstance(versions, dict):
        rows.append(("Versions", ", ".join(f"{name} {value}" for name, value in versions.items())))
    rows.append(("Report written by geopdn", __version__))
    return text + _table(rows)


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    cells = "".join(f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value)}</td></tr>' for name, value in rows)
    return f'<div class="wide"><table class="facts">{cells}</table></div>'


def _alias(name: str) -> str:
    field = FIELDS["run"].get(name)
    return field.alias if field else name.replace("_", " ").capitalize()


def _value(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "unknown"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _percent(share: float) -> str:
    text = 100 * share
    return f"{text:.{0 if text >= 10 or text == 0 else 1 if text >= 0.1 else 3}f} %"
