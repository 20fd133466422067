"""Histograms as SVG, coloured by the page's style."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from geopdn.output.report.embed import escaped

WIDTH, HEIGHT = 520, 190
_LEFT, _RIGHT, _BOTTOM, _TOP = 44, 24, 40, 12
BINS = 20
_STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20)  # times a power of ten


def histogram(values: NDArray[np.float64], *, title: str, unit: str, limits: tuple[float, float] | None = None) -> str:
    """Counts of values in twenty steps.

    Args:
        values: those that are not finite are left out.
        title: what is counted, for people and for screen readers.
        unit: below the axis.
        limits: of the axis; None for round ones around the values.

    Returns:
        A figure element; one that says so where there is nothing to count.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return (
            f'<figure class="chart"><figcaption>{escaped(title)}</figcaption><p class="quiet">No values.</p></figure>'
        )
    low, high = limits or _round_limits(float(known.min()), float(known.max()))
    counts, edges = np.histogram(known, bins=BINS, range=(low, high))
    top = _round_up(int(counts.max()))
    across, down = WIDTH - _LEFT - _RIGHT, HEIGHT - _BOTTOM - _TOP
    base = HEIGHT - _BOTTOM
    bars = "".join(
        f'<rect x="{_LEFT + across * n / BINS + 1:.1f}" y="{base - down * count / top:.1f}" '
        f'width="{across / BINS - 2:.1f}" height="{down * count / top:.1f}">'
        f"<title>{edges[n]:g} to {edges[n + 1]:g} {escaped(unit)}: {count:,}</title></rect>"
        for n, count in enumerate(counts.tolist())
        if count
    )
    ticks = "".join(
        f'<text x="{_LEFT + across * n / 4:.1f}" y="{base + 16}" text-anchor="middle">'
        f"{_short(low + (high - low) * n / 4)}</text>"
        for n in range(5)
    )
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base - down * share:.1f}" y2="{base - down * share:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{base - down * share + 4:.1f}" text-anchor="end">{_short(top * share)}</text>'
        for share in (0, 0.5, 1)
    )
    return (
        f'<figure class="chart"><figcaption>{escaped(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(title)}: {len(known):,} values '
        f'from {known.min():.3g} to {known.max():.3g} {escaped(unit)}, median {np.median(known):.3g}">'
        f'<g class="grid">{grid}</g><g class="bars">{bars}</g><g class="ticks">{ticks}'
        f'<text x="{_LEFT + across / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escaped(unit)}</text></g>'
        "</svg></figure>"
    )


def _round_limits(low: float, high: float) -> tuple[float, float]:
    """Limits around the values whose twentieth is a round number."""
    span = max(high - low, abs(high) * 0.1, 1e-6)
    power = 10.0 ** math.floor(math.log10(span / BINS))
    step = next(power * factor for factor in _STEPS if power * factor * (BINS - 1) >= span)
    start = math.floor(low / step) * step
    return start, start + BINS * step


def _round_up(count: int) -> int:
    """The least even number of at most two digits and zeros that is no smaller."""
    power = int(10 ** max(len(str(count)) - 2, 0))
    top = -(-count // power) * power
    return top + (top % 2)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
