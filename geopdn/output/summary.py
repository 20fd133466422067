"""What a run says of itself: one paragraph for people, one object for programs."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geopdn.detections import RunResult


def summary_text(
    result: RunResult,
    *,
    seconds: float,
    output: str | Path | None = None,
    peak_memory_mb: float | None = None,
) -> str:
    """One paragraph: what was found where, at what cost, how complete it is, and where it was written.

    Args:
        result: the run.
        seconds: wall-clock time of the run.
        output: the file that was written, if any.
        peak_memory_mb: peak resident memory in MB, if it was measured.
    """
    frame, facts = result.frame, result.facts
    sentences = [
        f"Found {_found(result)} in {Path(frame.name).name} ({frame.size.width:,} x {frame.size.height:,} px).",
        _cost(result, seconds, peak_memory_mb),
    ]
    audit = facts.get("audit")
    if isinstance(audit, dict) and audit.get("missed") is not None:
        sentences.append(_audit(audit))
    failed = _failures(result)
    if failed:
        windows = _counted(len(failed), "window")
        sentences.append(f"{windows} could not be read (first: {failed[0]['cause'] or 'cause unknown'}).")
    if output is not None:
        sentences.append(f"Wrote {output}.")
    return " ".join(sentences)


def summary_json(
    result: RunResult,
    *,
    seconds: float,
    output: str | Path | None = None,
    peak_memory_mb: float | None = None,
    bytes_read: int | None = None,
) -> dict[str, Any]:
    """The JSON object of one scene; measurements (seconds, memory, bytes) are here and never in the files.

    Args:
        result: the run.
        seconds: wall-clock time of the run.
        output: the file that was written, if any.
        peak_memory_mb: peak resident memory in MB.
        bytes_read: bytes read from the scene.

    Returns:
        Values that `json.dumps(..., allow_nan=False)` takes; `estimated_recall` is None where nothing tells it.
    """
    facts = result.facts
    total = int(facts.get("pixels_total", result.frame.size.area))
    read = int(facts.get("pixels_read", 0))
    recall = facts.get("estimated_recall")
    return {
        "scene": result.frame.name,
        "output": None if output is None else str(output),
        "model": facts.get("model"),
        "detections": len(result.detections),
        "windows": len(result.windows),
        "pixels_total": total,
        "pixels_read": read,
        "share": _share(result),
        "bytes_read": bytes_read,
        "seconds": round(seconds, 3),
        "peak_memory_mb": None if peak_memory_mb is None else round(peak_memory_mb, 1),
        "estimated_recall": None if recall is None or not math.isfinite(recall) else float(recall),
        "audit": facts.get("audit"),
        "failures": _failures(result),
    }


def merged_text(result: RunResult, *, seconds: float, output: str | Path) -> str:
    """One paragraph: what a run's raw boxes were merged to, by which rule, and where it was written.

    Args:
        result: merged again.
        seconds: wall-clock time.
        output: the file that was written.
    """
    rule = result.facts["merge"]
    scores = sorted(set(rule["min_score"].values()))
    least = f"{scores[0]:g}" if len(scores) == 1 else ", ".join(f"{k} {v:g}" for k, v in rule["min_score"].items())
    n_raw = 0 if result.raw is None else len(result.raw)
    return (
        f"Merged {_counted(n_raw, 'box')} of {Path(result.frame.name).name} to {_found(result)} by {rule['method']}"
        f" (overlap {rule['iou']:g}, lowest score {least}) in {seconds:.1f} s. Wrote {output}."
    )


def merged_json(result: RunResult, *, seconds: float, output: str | Path) -> dict[str, Any]:
    """The JSON object of a run merged again; arguments as of `merged_text`."""
    return {
        "scene": result.frame.name,
        "output": str(output),
        "raw": 0 if result.raw is None else len(result.raw),
        "detections": len(result.detections),
        "merge": result.facts["merge"],
        "seconds": round(seconds, 3),
    }


def _found(result: RunResult) -> str:
    """`42 aircraft`, or `42 objects (40 aircraft, 2 vessels)` with the classes that were found."""
    n = len(result.detections)
    if len(result.classes) == 1:
        return _counted(n, result.classes[0])
    counts = Counter(result.detections.label.tolist())
    kinds = [_counted(counts[index], name) for index, name in enumerate(result.classes) if counts[index]]
    return _counted(n, "object") + (f" ({', '.join(kinds)})" if kinds else "")


def _cost(result: RunResult, seconds: float, peak_memory_mb: float | None) -> str:
    share = 100 * _share(result)
    digits = 1 if share >= 0.1 or share == 0 else 3
    text = f"Looked at {_counted(len(result.windows), 'window')} covering {share:.{digits}f} % of the pixels"
    text += f" in {seconds:.1f} s"
    if peak_memory_mb is not None:
        text += f" with at most {peak_memory_mb:,.0f} MB"
    recall = result.facts.get("estimated_recall")
    if recall is not None and math.isfinite(recall):
        text += f"; estimated recall {recall:.2f}"
    dates = result.facts.get("previous") or ()
    return text + "." + (f" {_counted(len(dates), 'earlier date')} helped to say where." if dates else "")


def _audit(audit: dict[str, Any]) -> str:
    """The audit's sentence; `missed` with `low` and `high`, the ends of its 95 % interval."""
    text = f"Audit: about {audit['missed']:.0f} more where nothing was looked at"
    if audit.get("low") is not None and audit.get("high") is not None:
        text += f", 95 % between {math.floor(audit['low'])} and {math.ceil(audit['high'])}"
    return text + "."


def _share(result: RunResult) -> float:
    """Share of the scene's pixels that were read, from the facts."""
    share = result.facts.get("share")
    if share is not None:
        return float(share)
    return float(result.facts.get("pixels_read", 0)) / result.frame.size.area


def _failures(result: RunResult) -> list[dict[str, Any]]:
    """The windows that could not be read: index, core in level-0 pixels, cause."""
    return [
        {
            "window": record.index,
            "row": record.core.row,
            "col": record.core.col,
            "height": record.core.height,
            "width": record.core.width,
            "cause": record.cause,
        }
        for record in result.windows
        if record.status == "failed"
    ]


def _counted(n: int, noun: str) -> str:
    """`1 vessel`, `2 vessels`, `2 aircraft`, `1,000 buses`."""
    if n == 1 or noun.endswith(("craft", "sheep")):
        return f"{n:,} {noun}"
    return f"{n:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"
