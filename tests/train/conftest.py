"""Trainings of tests leave out the graph for ONNX Runtime, which takes seconds to trace."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def without_graph(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Unless a test is marked `graph`."""
    if request.node.get_closest_marker("graph") is None:
        monkeypatch.setattr("geopdn.train.finish.graphs_of", lambda *_, **__: {})
