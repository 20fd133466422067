"""The paragraph and the JSON object say what the result says."""

from __future__ import annotations

import json

import pytest

from geopdn.output.summary import summary_json, summary_text

KEYS = [
    "scene",
    "output",
    "model",
    "detections",
    "windows",
    "pixels_total",
    "pixels_read",
    "share",
    "bytes_read",
    "seconds",
    "peak_memory_mb",
    "estimated_recall",
    "audit",
    "failures",
]


def test_paragraph(make_result) -> None:
    text = summary_text(make_result(1042), seconds=3.21, output="airport.detections.gpkg")
    assert text == (
        "Found 1,042 aircraft in airport.tif (2,048 x 1,024 px). Looked at 4 windows covering 37.5 % of the pixels"
        " in 3.2 s; estimated recall 0.98. 1 window could not be read (first: corrupt tile <3, 1>)."
        " Wrote airport.detections.gpkg."
    )


def test_paragraph_with_classes_memory_and_audit(make_result) -> None:
    result = make_result(3, classes=("aircraft", "bus", "vessel"))
    result.facts.update(estimated_recall=None, share=0.000_42, audit={"missed": 2.04, "low": 0.0, "high": 6.5})
    text = summary_text(result, seconds=61, peak_memory_mb=1812.4)
    assert text.startswith("Found 3 objects (1 aircraft, 1 bus, 1 vessel) in airport.tif")
    assert "0.042 % of the pixels in 61.0 s with at most 1,812 MB. " in text
    assert "Audit: about 2 more where nothing was looked at, 95 % between 0 and 7." in text
    assert "recall" not in text
    assert "Wrote" not in text


@pytest.mark.parametrize(
    ("n", "name", "said"),
    [(0, "vessel", "0 vessels"), (1, "vessel", "1 vessel"), (2, "bus", "2 buses"), (2, "aircraft", "2 aircraft")],
)
def test_counted_names(make_result, n, name, said) -> None:
    assert summary_text(make_result(n, classes=(name,)), seconds=1).startswith(f"Found {said} in")


def test_object(make_result) -> None:
    result = make_result(7)
    found = summary_json(result, seconds=3.2109, output="a.gpkg", peak_memory_mb=512.06, bytes_read=123)
    assert list(found) == KEYS
    json.dumps(found, allow_nan=False)
    assert found["detections"] == 7
    assert found["windows"] == 4
    assert found["pixels_read"] / found["pixels_total"] == found["share"] == 0.375
    assert (found["seconds"], found["peak_memory_mb"], found["bytes_read"]) == (3.211, 512.1, 123)
    assert found["failures"] == [
        {"window": 3, "row": 0, "col": 1536, "height": 512, "width": 512, "cause": "corrupt tile <3, 1>"}
    ]


def test_object_without_measurements_or_facts(make_result) -> None:
    result = make_result(0)
    result.facts.clear()
    result.facts["estimated_recall"] = float("nan")
    found = summary_json(result, seconds=0)
    assert [found[key] for key in ("output", "model", "bytes_read", "peak_memory_mb", "estimated_recall")] == [None] * 5
    assert (found["pixels_total"], found["share"]) == (2048 * 1024, 0)
