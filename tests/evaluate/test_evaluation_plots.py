"""The plots: what they draw, and that the same evaluation gives the same bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from test_evaluation_report import labels, result

from geopdn.evaluate import plots
from geopdn.evaluate.evaluation import Evaluation
from geopdn.evaluate.plots import draw_precision_recall, draw_reliability
from geopdn.evaluate.report import evaluate_result
from geopdn.output.write import write_result


@pytest.fixture
def report(tmp_path: Path) -> Evaluation:
    return evaluate_result(write_result(result(), tmp_path / "d.gpkg"), labels(tmp_path / "l.gpkg"))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list:
    """The figures as they are saved."""
    figures = []
    save = plots._save

    def keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "_save", keep)
    return figures


def line(axes, label: str) -> np.ndarray:
    (found,) = [one for one in axes.lines if str(one.get_label()).startswith(label)]
    return found.get_xydata()


def test_the_curve_is_the_measured_one(report: Evaluation, tmp_path: Path, drawn: list) -> None:
    draw_precision_recall(report, tmp_path / "pr.png")
    (axes,) = drawn[0].axes
    # hits at ranks 1, 2 and 4, from recall 0 on
    np.testing.assert_allclose(
        line(axes, "oriented, AP 0.691"), [[0, 1], [0.25, 1], [0.5, 1], [0.5, 2 / 3], [0.75, 0.75]]
    )
    np.testing.assert_allclose(line(axes, "best F1 0.750, score from 0.60"), [[0.75, 0.75]])
    assert line(axes, "axis-aligned").shape == (5, 2)


def test_every_class_has_a_curve(tmp_path: Path, drawn: list) -> None:
    path = write_result(result(classes=("tug", "ferry"), label=[0, 1, 1, 0]), tmp_path / "d.gpkg")
    got = evaluate_result(path, labels(tmp_path / "l.gpkg", label=["ferry", "ferry", "tug", "$tug$"]))
    draw_precision_recall(got, tmp_path / "pr.png")
    (axes,) = drawn[0].axes
    assert line(axes, "ferry, AP").tolist() == [[0, 0], [0, 0], [0.5, 0.5]]
    assert line(axes, "all together, AP")[-1].tolist() == [0.25, 0.25]


def test_the_diagram_shows_the_bins(report: Evaluation, tmp_path: Path, drawn: list) -> None:
    draw_reliability(report, tmp_path / "r.png")
    above, below = drawn[0].axes
    np.testing.assert_allclose(line(above, "in tenths"), [[0.6, 1], [0.7, 0], [0.8, 1], [0.9, 1]])
    (bars,) = above.containers
    np.testing.assert_allclose(bars.lines[0].get_xydata(), [[0.6, 1], [0.7, 0], [0.8, 1], [0.9, 1]])
    assert [patch.get_height() for patch in below.patches] == [1, 1, 1, 0, 1, 1, 1, 1]  # all, then right, of each
    assert any("expected calibration error 0.350, largest 0.700" in text.get_text() for text in above.texts)


@pytest.mark.parametrize("empty", ["detections", "labels"])
def test_nothing_to_draw_is_drawn_empty(tmp_path: Path, empty: str) -> None:
    none = np.zeros((0, 5))
    path = write_result(result(none, np.zeros(0)) if empty == "detections" else result(), tmp_path / "d.gpkg")
    truth = labels(tmp_path / "l.gpkg", none) if empty == "labels" else labels(tmp_path / "l.gpkg")
    got = evaluate_result(path, truth)
    for draw in (draw_precision_recall, draw_reliability):
        draw(got, tmp_path / "p.png")
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_same_bytes_and_no_pyplot(report: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it fails
    for draw in (draw_precision_recall, draw_reliability):
        draw(report, tmp_path / "a.png")
        draw(report, tmp_path / "b.png")
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        assert b"matplotlib" not in (tmp_path / "a.png").read_bytes().lower()
