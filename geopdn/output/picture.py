"""A picture of a run: the scene darkened where nobody looked, the windows, the detections, and a few close-ups."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import GeoreferenceError
from geopdn.geometry.boxes import Boxes, corners
from geopdn.geometry.ground import pixel_size
from geopdn.output.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from geopdn.detections import RunResult

Chip = tuple[NDArray[np.uint8], Boxes]

_DPI = 150
_WIDTH_IN, _TALLEST_IN, _NARROWEST_IN = 12.0, 9.0, 8.0  # of the figure, the scene, the figure
_MARGIN_IN, _FOOT_LINE_IN = 0.25, 0.34  # the second is the height of scale bar and legend
_INK, _QUIET, _PAPER = "#f2f4f5", "#9aa5ad", "#101418"
_UNSEEN = 0.38  # brightness left where no window was read
_SCALE_COLOURS = {1: "#ffffff", 2: "#ffd666", 4: "#66ccff", 8: "#b28cff"}
_FAILED_COLOUR = "#ff4040"
_SCORE_COLOURS = ("#00e5ff", "#7cff00", "#ffdd00", "#ff2d78")  # from score 0 to 1, as in the QGIS style
_MAX_CHIPS = 6
_SMALLEST_OUTLINE_PT = 5.0  # boxes smaller than this are drawn as dots


def render(
    result: RunResult,
    backdrop: NDArray[np.uint8],
    *,
    backdrop_step: float,
    path: str | Path,
    title: str,
    chips: Sequence[Chip] = (),
) -> Path:
    """Draw the run as a PNG; the same input gives the same bytes.

    Args:
        result: the run.
        backdrop: `[h, w, 3]` uint8 overview of the whole scene.
        backdrop_step: level-0 pixels per pixel of the backdrop.
        path: the PNG, replaced where it exists.
        title: first line of the picture.
        chips: close-ups `[h, w, 3]` with their boxes `[n, 5]` in the chip's own pixels; the first six are drawn.

    Returns:
        The path that was written.

    Raises:
        OutputError: the picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    figure, scene, panels = _layout(backdrop.shape[:2], len(chips[:_MAX_CHIPS]))
    _draw_scene(scene, result, backdrop, backdrop_step)
    _draw_scale_bar(figure, result, backdrop_step, scene)
    _draw_legend(figure, result)
    for panel, (image, boxes) in zip(panels, chips, strict=False):
        height, width = image.shape[:2]
        panel.imshow(image, extent=(0, width, height, 0), interpolation="nearest")
        _outline(panel, corners(boxes), _SCORE_COLOURS[-1], width=1.4)
        panel.set(xlim=(0, width), ylim=(height, 0))  # boxes that are cut do not widen the view
    _write_head(figure, result, title)
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary), metadata={"Software": None})
    return path


def _layout(shape: Sequence[int], n_chips: int) -> tuple[Figure, Axes, list[Axes]]:
    """A figure with axes for the scene and, beside it, for the chips in one or two columns."""
    from matplotlib.figure import Figure

    columns = 0 if n_chips == 0 else (1 if n_chips <= 3 else 2)
    rows = math.ceil(n_chips / columns) if columns else 0
    margin, head, foot, gap = _MARGIN_IN, 0.85, 0.6, 0.12
    rows_shown = max(rows, 2)  # one or two chips do not grow to the whole height
    # The chips are square and share the scene's height: the height at which all of it is as wide as the figure.
    aspect = shape[1] / shape[0]
    room = _WIDTH_IN - 2 * margin - columns * gap + columns * (rows_shown - 1) * gap / rows_shown
    height = min(max(room / (aspect + columns / rows_shown), 2.0), _TALLEST_IN)
    chip = (height - (rows_shown - 1) * gap) / rows_shown
    width = min(height * aspect, _WIDTH_IN - 2 * margin - columns * (chip + gap))
    wide = max(2 * margin + width + columns * (chip + gap), _NARROWEST_IN)
    total = head + height + foot

    def axes(left: float, top: float, across: float, down: float) -> Axes:
        ax = figure.add_axes((left / wide, 1 - (top + down) / total, across / wide, down / total))
        ax.set_axis_off()
        return ax

    figure = Figure(figsize=(wide, total), dpi=_DPI, facecolor=_PAPER)
    scene = axes(margin, head, width, height)
    panels = [
        axes(margin + width + gap + (n % columns) * (chip + gap), head + (n // columns) * (chip + gap), chip, chip)
        for n in range(n_chips)
    ]
    return figure, scene, panels


def _draw_scene(ax: Axes, result: RunResult, backdrop: NDArray[np.uint8], step: float) -> None:
    height, width = backdrop.shape[:2]
    light = np.where(_seen(result, (height, width), step), 1.0, _UNSEEN)[..., None]
    # Extent in backdrop pixels with the edge convention: (0, 0) is the outer corner of the first pixel.
    shaded = np.round(backdrop * light).astype(np.uint8)
    ax.imshow(shaded, extent=(0, width, height, 0), interpolation="antialiased")
    for scale, colour in [*_SCALE_COLOURS.items(), (0, _FAILED_COLOUR)]:
        rings = [_ring(r.core) / step for r in result.windows if _drawn_scale(r.status, r.window.level) == scale]
        if rings:
            _outline(ax, np.array(rings), colour, width=0.5, alpha=0.8)
    _draw_detections(ax, result, step)
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)


def _seen(result: RunResult, shape: tuple[int, int], step: float) -> NDArray[np.bool_]:
    """`[h, w]` True where a pixel of the backdrop has its centre in the core of a window that was read."""
    seen = np.zeros(shape, np.bool_)
    for record in result.windows:
        if record.status == "failed":
            continue
        core = record.core
        top, bottom, left, right = (
            max(0, math.ceil(edge / step - 0.5)) for edge in (core.row, core.row_stop, core.col, core.col_stop)
        )
        seen[top:bottom, left:right] = True
    return seen


def _drawn_scale(status: str, level: int) -> int:
    return 0 if status == "failed" else min(1 << level, 8)


def _ring(core: Any) -> NDArray[np.float64]:
    x0, x1, y0, y1 = core.col, core.col_stop, core.row, core.row_stop
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def _draw_detections(ax: Axes, result: RunResult, step: float) -> None:
    """Oriented outlines where they can be seen, dots with a dark rim where they cannot."""
    found = result.detections
    if not len(found):
        return
    points_per_px = 72 * ax.bbox.width / _DPI / ax.get_images()[0].get_extent()[1]
    colours = _score_map()(found.score)
    large = found.boxes[:, 2] / step * points_per_px >= _SMALLEST_OUTLINE_PT
    if large.any():
        _outline(ax, corners(found.boxes[large]) / step, colours[large], width=1.4)
    small = ~large
    if small.any():
        order = np.flatnonzero(small)[::-1]  # the best last, on top
        x, y = found.boxes[order, :2].T / step
        size = 22.0 if len(order) < 500 else 8.0
        ax.scatter(x, y, s=size, c=colours[order], edgecolors=_PAPER, linewidths=0.6, zorder=4)


def _score_map() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("score", _SCORE_COLOURS)


def _outline(ax: Axes, rings: NDArray[np.float64], colour: Any, *, width: float, alpha: float = 1.0) -> None:
    """Closed outlines `[N, 4, 2]` over a thin dark line, so that they show on bright ground, too."""
    from matplotlib.collections import PolyCollection

    if not len(rings):
        return
    ax.add_collection(
        PolyCollection(list(rings), facecolors="none", edgecolors="black", linewidths=width + 0.9, alpha=0.5 * alpha)
    )
    ax.add_collection(PolyCollection(list(rings), facecolors="none", edgecolors=colour, linewidths=width, alpha=alpha))


def _draw_scale_bar(figure: Figure, result: RunResult, step: float, scene: Axes) -> None:
    """A bar below the scene of a round length, about a fifth of its width."""
    from matplotlib.lines import Line2D

    frame = result.frame
    metres = 1.0
    unit = "px"
    if frame.crs is not None:
        try:
            size = pixel_size(frame.transform, frame.crs, col=frame.size.width / 2, row=frame.size.height / 2)
        except GeoreferenceError:
            return
        metres, unit = size.x_m, "m"
    across = scene.get_xlim()[1] * step * metres  # ground length of the scene's width
    length = _round_length(across / 5)
    label = f"{length / 1000:g} km" if unit == "m" and length >= 1000 else f"{length:g} {unit}"
    wide, high = figure.get_size_inches()
    bar_in = length / across * scene.bbox.width / _DPI
    left, right, y = _MARGIN_IN / wide, (_MARGIN_IN + bar_in) / wide, _FOOT_LINE_IN / high
    figure.add_artist(Line2D([left, right], [y, y], color=_INK, lw=2.5, solid_capstyle="butt"))
    figure.text(right + 0.1 / wide, y, label, color=_INK, fontsize=9, va="center")


def _round_length(length: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(factor for factor in (1, 2, 5) if factor * power <= length * (1 + 1e-9)) * power


def _draw_legend(figure: Figure, result: RunResult) -> None:
    """What the colours mean, below the scene on the right."""
    from matplotlib.lines import Line2D

    used = sorted({_drawn_scale(r.status, r.window.level) for r in result.windows})
    names = {0: "failed", 1: "full resolution", **{s: f"1:{s}" for s in (2, 4, 8)}}
    handles: list[Any] = [
        Line2D([], [], color=_FAILED_COLOUR if scale == 0 else _SCALE_COLOURS[scale], lw=1.2, label=names[scale])
        for scale in used
    ]
    if len(result.detections):
        score = _score_map()
        handles += [
            Line2D([], [], color=score(value), marker="o", ls="none", ms=4.5, label=f"score {value:g}")
            for value in (0.3, 0.6, 0.9)
        ]
    if handles:
        wide, high = figure.get_size_inches()
        figure.legend(
            handles=handles,
            loc="center right",
            bbox_to_anchor=(1 - _MARGIN_IN / wide, _FOOT_LINE_IN / high),
            ncols=len(handles),
            frameon=False,
            fontsize=8.5,
            labelcolor=_QUIET,
            handlelength=1.2,
            columnspacing=1.2,
            handletextpad=0.5,
            borderaxespad=0.0,
            borderpad=0.0,
        )


def _write_head(figure: Figure, result: RunResult, title: str) -> None:
    """The title and, under it, what was found and what it cost."""
    wide, high = figure.get_size_inches()
    share = result.facts.get("share")
    parts = [f"{len(result.detections):,} detections", f"{len(result.windows):,} windows"]
    if share is not None:
        parts.append(f"{100 * share:.{1 if share >= 0.001 or share == 0 else 3}f} % of the pixels read")
    recall = result.facts.get("estimated_recall")
    if recall is not None:
        parts.append(f"estimated recall {recall:.2f}")
    left = _MARGIN_IN / wide
    figure.text(left, 1 - 0.36 / high, title, color=_INK, fontsize=15, weight="bold", va="center", parse_math=False)
    figure.text(left, 1 - 0.64 / high, "  ·  ".join(parts), color=_QUIET, fontsize=10, va="center")
