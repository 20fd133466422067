"""`geopdn models`: the shipped weights."""

import json
from typing import TYPE_CHECKING, Any

from geopdn.cli import options
from geopdn.cli.messages import tell

if TYPE_CHECKING:
    from geopdn.model.weights import WeightsHeader


def models(*, as_json: options.Json = False) -> None:
    """List the shipped models.

    What they find, what they were trained on, how good they are, and their licence.

    Example: geopdn models
    """
    from geopdn.cli.tables import print_facts
    from geopdn.model.weights import read_header, shipped_models

    found = {path: read_header(path) for path in shipped_models().values()}
    if as_json:
        records = [{**json.loads(header.to_json()), "bytes": path.stat().st_size} for path, header in found.items()]
        tell(json.dumps(records, allow_nan=False, ensure_ascii=False))
        return
    if not found:
        tell("No models are shipped with this geopdn: train one with `geopdn train`.")
    for number, (path, header) in enumerate(found.items()):
        if number:
            tell()
        print_facts(_rows(header, path.stat().st_size))


def _rows(header: "WeightsHeader", n_bytes: int) -> list[tuple[str, str]]:
    model = header.model
    return [
        ("model", header.name),
        ("finds", f"{', '.join(model.classes)}{'' if model.has_heading else ' (upright boxes)'}. {header.description}"),
        ("bands", f"{', '.join(model.bands)}, pixels of {model.pixel_size_m:g} m"),
        ("trained on", header.trained_on or "unknown"),
        *_scores(header.scores),
        ("licence", header.licence or "unknown"),
        ("made", f"{header.training.get('date', 'date unknown')}, {n_bytes / 1e6:.1f} MB"),
    ]


def _scores(scores: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the scores on places that were not trained on."""
    rows = []
    for key, name in (("full", "full scan"), ("default", "default run")):
        one = scores.get(key)
        if one:
            values = [f"{label} {one[field]:.2f}" for field, label in _SHOWN.items() if one.get(field) is not None]
            rows.append((name, f"{', '.join(values)}, reading {100 * one.get('share', 1):.0f} % of the pixels"))
    if rows:
        places = ", ".join(str(place) for place in scores.get("places", []))
        seen = _SEEN.get(scores.get("split", ""), "")
        rows.append(("scored on", f"{scores.get('scenes', '?')} scenes of {places or 'unknown places'}{seen}"))
    return rows or [("scores", "unknown")]


_SEEN = {
    "calibration": ", where the threshold and the saliency were fitted",
    "train": ", which it was trained on: no measure of other places",
}
_SHOWN = {"ap": "AP", "f1": "F1", "recall": "recall"}
