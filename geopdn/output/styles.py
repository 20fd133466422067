"""QGIS styles of the layers: outlines only, so that the imagery stays visible."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

from geopdn.output.fields import MISSED, REVIEW, REVIEWS, RIGHT, WRONG
from geopdn.output.qml import Choices, Style, aliases, categories, forms, labels, map_tip, ranges, renderer, symbol
from geopdn.output.tips import detection_tip, failure_tip, raw_tip, run_tip, window_tip

if TYPE_CHECKING:
    from geopdn.detections import RunResult

_SCORE_CLASSES = ((0.0, 0.3, "0,229,255"), (0.3, 0.5, "124,255,0"), (0.5, 0.7, "255,221,0"), (0.7, 1.0, "255,45,120"))
_CLASS_COLOURS = ("255,45,120", "0,229,255", "255,221,0", "124,255,0", "255,140,0", "200,120,255", "255,255,255")
_SCALE_COLOURS = {"1": "255,255,255", "2": "255,214,102", "4": "102,204,255", "8": "178,140,255"}
_VISIT_COLOURS = ("255,255,255", "255,229,140", "255,178,70", "255,110,90", "200,80,160")  # from the first on
_RAW_COLOURS = ("140,140,140", "255,140,0")
_REVIEW_COLOURS = {RIGHT: "124,255,0", WRONG: "255,45,120", MISSED: "0,229,255", "": "255,255,255"}
_FAILED_COLOUR, _FOOTPRINT_COLOUR = "255,0,0", "140,140,140"

_BY_SCORE_MM = 'scale_linear("score", 0.3, 0.9, 0.3, 0.8)'
"""Outlines of detections: the surer, the thicker."""

# Labels appear once about four scene pixels or fewer share one screen pixel (0.26 mm); those of windows, which are
# larger, at four times that.
_LABEL_SCALE_PER_M = 15_000
_WINDOW_LABEL_SCALE_PER_M = 60_000

_AT_UPPER_LEFT = (
    'placement="1" xOffset="0" geometryGeneratorEnabled="1" geometryGeneratorType="PointGeometry"'
    ' geometryGenerator="make_point(x_min($geometry), y_max($geometry))"'
)
_ABOVE = f'{_AT_UPPER_LEFT} quadOffset="2" yOffset="-0.6"'
_INSIDE = f'{_AT_UPPER_LEFT} quadOffset="8" yOffset="0.6"'


PIXEL_M = 0.5
"""Where a run does not say its pixel size (pixel coordinates)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What styles depend on.

    Attributes:
        classes: names of the classes.
        n_windows: number of windows.
        pixel_size_m: pixel size that the scene was searched at, metres.
        pictures: whether detections have pictures.
        raw: whether there is a layer `raw`.
        failures: whether there is a layer `failures`.
    """

    classes: tuple[str, ...]
    n_windows: int
    pixel_size_m: float = PIXEL_M
    pictures: bool = False
    raw: bool = True
    failures: bool = False

    @classmethod
    def of(cls, result: RunResult) -> Self:
        """That of a run as its GeoPackage shows it."""
        size = result.facts.get("pixel_size_m")
        return cls(
            classes=result.classes,
            n_windows=len(result.windows),
            pixel_size_m=float(size) if size else PIXEL_M,
            pictures=bool(result.pictures),
            raw=result.raw is not None,
            failures=any(record.status == "failed" for record in result.windows),
        )


def layer_styles(shown: Shown) -> dict[str, tuple[Style, ...]]:
    """The styles of each layer by its name, in the order of the layers; the first is the one it opens in."""
    styles: dict[str, tuple[Style, ...]] = {
        "detections": detection_styles(shown),
        "windows": window_styles(shown),
        "run": (_footprint(),),
    }
    if shown.raw:
        styles["raw"] = (_raw(),)
    if shown.failures:
        styles["failures"] = (_failures(),)
    return styles


def detection_styles(shown: Shown) -> tuple[Style, Style, Style]:
    """Bright outlines coloured by class, thick where sure, by score, or by review; class and score at large scales."""
    rest = (
        labels(
            """coalesce("label", '') || ' ' || coalesce(format_number("score", 2), "review", '')""",
            largest_scale=shown.pixel_size_m * _LABEL_SCALE_PER_M,
            placement=_ABOVE,
        )
        + aliases("detections")
        + forms(
            (
                Choices("label", shown.classes, "", shown.classes[0] if len(shown.classes) == 1 else ""),
                Choices(REVIEW, tuple(REVIEWS), "not reviewed", MISSED),
            )
        )
        + map_tip(detection_tip(pictures=shown.pictures))
    )
    colours = [_CLASS_COLOURS[n % len(_CLASS_COLOURS)] for n in range(len(shown.classes))]
    by_class = [symbol(str(n), colour, width=_BY_SCORE_MM) for n, colour in enumerate(colours)]
    by_score = [symbol(str(n), colour) for n, (_, _, colour) in enumerate(_SCORE_CLASSES)]
    by_review = [symbol(str(n), colour) for n, colour in enumerate(_REVIEW_COLOURS.values())]
    reviews = categories((value, value or "not reviewed") for value in _REVIEW_COLOURS)
    scores = ranges((low, high, f"{low} - {high}") for low, high, _ in _SCORE_CLASSES)
    return (
        Style(
            "by class",
            renderer("categorizedSymbol", "label", categories((name, name) for name in shown.classes), by_class) + rest,
            labels=True,
        ),
        Style("by score", renderer("graduatedSymbol", "score", scores, by_score) + rest, labels=True),
        Style("by review", renderer("categorizedSymbol", REVIEW, reviews, by_review) + rest, labels=True),
    )


def window_styles(shown: Shown) -> tuple[Style, Style]:
    """Thin dashed outlines coloured by the scale that was read, failed ones in red, or by the order of visit."""
    rest = (
        labels(
            'to_string("id")',
            largest_scale=shown.pixel_size_m * _WINDOW_LABEL_SCALE_PER_M,
            placement=_INSIDE,
            size=7,
        )
        + aliases("windows")
        + map_tip(window_tip())
    )
    values = [(scale, f"1:{scale}" if scale != "1" else "full resolution") for scale in _SCALE_COLOURS]
    values.append(("failed", "failed"))
    colours = [*_SCALE_COLOURS.values(), _FAILED_COLOUR]
    kind = """if("status" = 'failed', 'failed', to_string(min("scale", 8)))"""
    by_scale = [symbol(str(n), colour, width_mm=0.4, line="dash") for n, colour in enumerate(colours)]
    steps = _visits(shown.n_windows)
    by_visit = [
        symbol(str(n), colour, width_mm=0.4) for n, colour in zip(range(len(steps)), _VISIT_COLOURS, strict=False)
    ]
    return (
        Style("by scale", renderer("categorizedSymbol", kind, categories(values), by_scale) + rest, labels=True),
        Style("by order of visit", renderer("graduatedSymbol", "id", ranges(steps), by_visit) + rest, labels=True),
    )


def _visits(n_windows: int) -> list[tuple[float, float, str]]:
    """Up to five ranges of about as many windows each, over `id`."""
    n = max(min(n_windows, len(_VISIT_COLOURS)), 1)
    edges = [step * max(n_windows, 1) // n for step in range(n + 1)]
    return [
        (low - 0.5, high - 0.5, f"{low} - {high - 1}" if high - 1 > low else f"{low}") for low, high in pairwise(edges)
    ]


def _footprint() -> Style:
    outline = renderer("singleSymbol", "", "", [symbol("0", _FOOTPRINT_COLOUR, width_mm=0.4)])
    return Style("footprint", outline + aliases("run") + map_tip(run_tip()))


def _raw() -> Style:
    """Hair-thin dotted grey outlines; pieces cut by a window's edge in orange."""
    values = [("0", "raw box"), ("1", "cut by the edge of its window")]
    symbols = [symbol(str(n), colour, width_mm=0.1, line="dot", alpha=0.5) for n, colour in enumerate(_RAW_COLOURS)]
    outline = renderer("categorizedSymbol", 'to_int("cut")', categories(values), symbols)
    return Style("raw boxes", outline + aliases("raw") + map_tip(raw_tip()))


def _failures() -> Style:
    """Thick red outlines: ground that was not searched."""
    outline = renderer("singleSymbol", "", "", [symbol("0", _FAILED_COLOUR, width_mm=0.8)])
    return Style("not searched", outline + aliases("failures") + map_tip(failure_tip()))
