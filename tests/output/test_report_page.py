"""The page of a result: complete, harmless whatever the names, the same bytes each time, and alive in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from headless_browser import opened_browser
from PIL import Image

from geopdn.output.found import read_found
from geopdn.output.marks import read_marks
from geopdn.output.report.charts import histogram
from geopdn.output.report.embed import escaped, json_in_script
from geopdn.output.report.images import Placed
from geopdn.output.report.page import page, write_report
from geopdn.output.report.records import detection_records
from geopdn.output.review import write_reviewed
from geopdn.output.write import write_result

EVIL = '</script><img src=x onerror="document.title=1">&\u2028\'"'


def jpeg(colour):
    file = BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "JPEG")
    return file.getvalue()


WHOLE = Placed(jpeg("green"), "image/jpeg", 0, 0, 2048, 1024)


def page_of(found, **changes):
    return page(found, **{"whole": None, "expected": None, "close_ups": (), "note": "", **changes})


def record_of(text):
    return json.loads(re.search(r'<script type="application/json" id="record">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture
def evil(make_result, tmp_path):
    result = make_result(9, classes=("air craft", EVIL), name=EVIL.replace("/", "-"))
    return read_found(write_result(result, tmp_path / "it's a result.gpkg"))


def test_text_and_json_cannot_leave_their_place() -> None:
    assert escaped("<a href='x'>&\x00\ud800") == "&lt;a href=&#x27;x&#x27;&gt;&amp;\ufffd?"
    written = json_in_script({"a": EVIL, "b": "\ud800\u2029"})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written)["a"] == EVIL


def test_names_from_outside_are_text_everywhere(evil) -> None:
    text = page_of(evil, note=EVIL)
    assert "<img" not in text
    assert "\u2028" not in re.sub(r"<script>.*?</script>|<style>.*?</style>", "", text, flags=re.DOTALL).replace(
        html.escape(EVIL), ""
    ).replace(html.escape(EVIL.replace("/", "-")), "")
    assert text.count("<script") == text.count("</script>") == 2
    assert record_of(text)["classes"] == ["air craft", EVIL]
    assert {one["label"] for one in record_of(text)["detections"]} == {"air craft", EVIL}


def test_the_policy_allows_this_script_and_no_network(evil) -> None:
    text = page_of(evil, whole=WHOLE)
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("script", "style"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.search(r'(src|href|action)\s*=\s*["\']?(https?:|//)', text)
    assert not re.search(r"\son\w+\s*=\s*\"", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))


def test_the_same_result_gives_the_same_bytes_and_says_how_it_was_made(make_result, tmp_path) -> None:
    found = read_found(write_result(make_result(5), tmp_path / "a.gpkg"))
    first, second = (write_report(found, tmp_path / name, whole=WHOLE) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()
    text = first.read_text(encoding="utf-8")
    for part in (
        "geopdn detect scenes/airport.tif --budget 0.2",
        "python 3.11.2, torch 2.8.0",
        "<dd>0.98</dd><dt>estimated recall",
        "1 windows could not be read",
        "corrupt tile &lt;3, 1&gt;",
        "WGS 84 / UTM zone 31N",
    ):
        assert part in text, part
    assert [path.name for path in tmp_path.iterdir() if ".tmp" in path.name] == []


def test_positions_are_those_of_the_grid(make_result, tmp_path) -> None:
    result = make_result(6)
    record = record_of(page_of(read_found(write_result(result, tmp_path / "a.gpkg")), whole=WHOLE))
    assert record["size"] == [2048, 1024]
    assert record["pixelM"] == pytest.approx(0.5, rel=2e-3)
    for one, box in zip(record["detections"], result.detections.boxes, strict=True):
        assert np.allclose(np.reshape(one["ring"], (-1, 2)).mean(0), box[:2], atol=0.01)
    assert [window["kind"] for window in record["windows"]] == ["failed", "scale1", "scale2"]
    assert record["windows"][0]["path"] == "M1536 0h512v512h-512z"
    assert record["whole"]["width"] == 2048


def test_what_is_left_out_is_said(make_result, tmp_path, monkeypatch) -> None:
    from geopdn.output.report import page as module
    from geopdn.output.report import records

    monkeypatch.setattr(records, "MOST_LISTED", 4)
    monkeypatch.setattr(module, "MOST_LISTED", 4)
    text = page_of(read_found(write_result(make_result(9), tmp_path / "a.gpkg")), close_ups=(WHOLE, WHOLE))
    assert "The 4 detections with the highest scores are listed and drawn; 5 are left out here" in text
    assert "The 2 best have a picture, 7 are left without one" in text
    assert ["picture" in one for one in record_of(text)["detections"]] == [True, True, False, False]


def test_without_the_scene_the_pictures_that_the_result_keeps_are_shown(make_result, tmp_path) -> None:
    result = replace(make_result(3), pictures=(b"one", b"", b"three"))
    found = read_found(write_result(result, tmp_path / "a.gpkg"))
    listed = detection_records(found, close_ups=())
    assert [one.get("picture", {}).get("href", "") for one in listed] == [
        "data:image/jpeg;base64,b25l",
        "",
        "data:image/jpeg;base64,dGhyZWU=",
    ]


def test_nothing_found_and_no_crs_still_make_a_page(make_result, tmp_path) -> None:
    empty = page_of(read_found(write_result(make_result(0), tmp_path / "a.gpkg")))
    assert "nothing was found" in empty
    assert "No values." in empty
    bare = page_of(read_found(write_result(make_result(4, crs=None), tmp_path / "b.gpkg")))
    assert record_of(bare)["unit"] == "px"
    assert "none, pixel coordinates" in bare
    assert record_of(bare)["detections"][0]["length"] is None


@pytest.mark.parametrize("values", [[0.0], [5.0] * 3, [0.1, 0.2, 99.0], [12.3, 67.8], [1e-9], [1e7, 3e7]])
def test_histograms_hold_every_value_once(values) -> None:
    text = histogram(np.array([*values, np.nan]), title="<t>", unit="m")
    counts = [int(count.replace(",", "")) for count in re.findall(r": ([\d,]+)</title>", text)]
    assert sum(counts) == len(values)
    assert "&lt;t&gt;" in text


def test_in_a_browser_it_shows_marks_and_saves(evil, tmp_path) -> None:
    expected = replace(WHOLE, highest=1.5)
    path = write_report(evil, tmp_path / "a.html", whole=WHOLE, expected=expected, close_ups=[WHOLE] * 5)
    with opened_browser(tmp_path / "profile") as page:
        page.size(1280, 900)
        page.downloads(tmp_path)
        page.open(path)
        assert page.run("document.querySelectorAll('#cards .card').length") == 9
        assert page.run("document.title").endswith("- geopdn")
        assert page.run("document.querySelectorAll('#map polygon').length") == 9
        assert page.run("document.querySelector('#map .expected').classList.contains('off')") is True
        page.run("document.querySelector('#show-expected').click()")
        assert page.run("document.querySelector('#map .expected').classList.contains('off')") is False

        page.run("document.querySelector('#filters [name=order]').value = 'Score, low first'")
        page.run("document.querySelector('#filters').dispatchEvent(new Event('input'))")
        assert page.run("document.querySelector('#cards .card').id") == "card-9"
        page.run("document.querySelector('#filters [name=order]').value = 'Score, high first'")
        page.run("document.querySelector('#filters [name=label]').value = record.classes[1]")
        page.run("document.querySelector('#filters').dispatchEvent(new Event('input'))")
        n_evil = sum(evil.table["label"] == EVIL)
        assert page.run("document.querySelectorAll('#cards .card').length") == n_evil
        page.run("document.querySelector('#filters [name=label]').value = ''")
        page.run("document.querySelector('#filters').dispatchEvent(new Event('input'))")

        page.key("n")  # the first one, right; the second one, wrong; the third one by its button
        page.key("r")
        page.key("w")
        page.run("document.querySelector('#card-3 .right').click()")
        assert page.run("at('progress').textContent").startswith("3 of 9 reviewed: 2 right, 1 wrong")
        assert page.run("document.querySelector('#map .wrong') !== null") is True

        page.run("at('zoom-all').click(); at('map').scrollIntoView(); at('missed-size').value = 20")
        left, top, width, height = page.run(
            "(() => { const box = map.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]; })()"
        )
        page.key("m")
        page.click(left + width / 2, top + height / 2)
        page.key("Escape")
        before = page.run("view.step")
        page.mouse("mouseWheel", left + width / 2, top + height / 2, deltaX=0, deltaY=-100)
        page.wait(f"view.step < {before}")
        page.run("map.focus()")
        page.key("0")
        assert page.run("view.step") == pytest.approx(before)
        page.key("ArrowRight")
        assert page.run("view.x") == pytest.approx(1024 + 60 * before)

        page.run("choose(null); at('zoom-all').click()")
        one = evil.rings[4].mean(0)
        page.click(left + width / 2 + (one[0] - 1024) / before, top + height / 2 + (one[1] - 512) / before)
        assert page.run("state.chosen.id") == 5

        page.run("document.querySelector('#save').click()")
        saved = tmp_path / "it's a result.marks.json"
        page.wait("true")
        for _ in range(200):
            if saved.is_file():
                break
            page.run("new Promise((done) => setTimeout(done, 50))")
        marks = read_marks(saved)
        assert marks.reviews == {1: "right", 2: "wrong", 3: "right"}
        assert (marks.missed[0].column, marks.missed[0].row) == (pytest.approx(1024, abs=1), pytest.approx(512, abs=1))
        assert (marks.missed[0].size_m, marks.missed[0].label) == (20, "air craft")

        page.open(path)  # the browser has kept them
        assert page.run("at('progress').textContent").startswith("3 of 9 reviewed: 2 right, 1 wrong")
        for width in (390, 1280):
            page.size(width, 844)
            assert page.run("document.documentElement.scrollWidth") <= width
        assert page.problems == []
        assert {url.partition(":")[0] for url in page.requests} <= {"file", "data", "blob"}
    reviewed = read_found(write_reviewed(evil.path, marks, tmp_path / "reviewed.gpkg"))
    assert reviewed.table["review"].tolist()[:3] == ["right", "wrong", "right"]
    assert len(reviewed.added) == 1
    assert record_of(page_of(reviewed))["added"][0]["label"] == "air craft"
