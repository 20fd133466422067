"""The ledger: what is written is read back exactly, damage is noticed, one run holds it at a time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geopdn.detections import Detections
from geopdn.errors import LedgerError, OutputError
from geopdn.geometry.window import Window
from geopdn.ledger import Ledger, ledger_path, outputs_of
from geopdn.ledger_lines import Entry, Key, encode, entry_of, key_of, record_of

ABOUT = {"budget": {"share": 0.2}, "scene": "a.tif"}


def key(number: int, *, round_: int = 0) -> Key:
    return Key(Window(number, -3, 256, 512, 1), Window(0, 0, 2 * number + 1, 7), round_)


def entry(n: int, *, seed: int = 0, features: bool = True) -> Entry:
    rng = np.random.default_rng(seed)
    found = Detections(
        boxes=rng.normal(size=(n, 5)),
        score=rng.random(n),
        label=rng.integers(0, 5, n),
        window=np.zeros(n, np.int64),
        level=np.ones(n, np.int64),
        cut=rng.random(n) < 0.5,
    )
    tokens, pooled = rng.normal(size=(16, 8)).astype(np.float32), rng.normal(size=8).astype(np.float32)
    return Entry("read", "", found, 2, *((tokens, pooled) if features else (None, None)))


def same(one: Entry, other: Entry) -> bool:
    def bits(entry: Entry) -> list[object]:
        found = entry.detections
        columns = [found.boxes, found.score, found.label, found.level, found.cut, entry.tokens, entry.pooled]
        return [None if values is None else (values.dtype, values.shape, values.tobytes()) for values in columns]

    return bits(one) == bits(other) and (one.status, one.cause, one.n_invalid) == (
        other.status,
        other.cause,
        other.n_invalid,
    )


def fill(output, n: int = 3) -> bytes:
    with Ledger.open(output, resume=False, outputs=["o.gpkg", "p.png"]) as ledger:
        ledger.begin(ABOUT)
        for number in range(n):
            ledger.add([(key(number), entry(number, seed=number))])
    return ledger_path(output).read_bytes()


@given(
    boxes=arrays(np.float64, st.tuples(st.integers(1, 4), st.just(5)), elements=st.floats(width=64)),
    cause=st.text(max_size=20),
)
def test_lines_keep_every_bit(boxes, cause):
    n = len(boxes)
    ints = np.arange(n)
    found = Detections(boxes, boxes[:, 0].copy(), ints, np.zeros(n, np.int64), np.ones(n, np.int64), ints % 2 == 0)
    before = Entry("failed", cause, found)
    line = encode(key(3, round_=2), before)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert key_of(record_of(line)) == key(3, round_=2)
    assert same(entry_of(record_of(line)), before)


def test_a_line_that_was_changed_anywhere_is_no_record():
    line = encode(key(0), entry(1))
    for place in range(len(line)):
        with pytest.raises(ValueError, match="cut or was changed"):
            record_of(line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :])
        with pytest.raises(ValueError, match="cut or was changed"):
            record_of(line[:place])


def test_what_is_kept_is_found_again(tmp_path):
    fill(tmp_path / "o.gpkg")
    assert outputs_of(tmp_path / "o.gpkg") == ("o.gpkg", "p.png")
    assert outputs_of(tmp_path / "other.gpkg") == ()
    with Ledger.open(tmp_path / "o.gpkg", resume=True) as ledger:
        assert ledger.n_before == 3
        ledger.begin(ABOUT)
        for number in range(3):
            assert same(ledger.get(key(number)), entry(number, seed=number))
        assert ledger.get(key(0, round_=1)) is None
        ledger.add([(key(7), entry(2, features=False)), (key(8), entry(0))])
        assert same(ledger.get(key(8)), entry(0))
    with Ledger.open(tmp_path / "o.gpkg", resume=True) as ledger:
        assert ledger.n_before == 5
        assert same(ledger.get(key(7)), entry(2, features=False))


def test_without_resume_it_starts_over_and_only_at_begin(tmp_path):
    before = fill(tmp_path / "o.gpkg")
    with Ledger.open(tmp_path / "o.gpkg", resume=False) as ledger:
        assert ledger.n_before == 3
    assert ledger_path(tmp_path / "o.gpkg").read_bytes() == before
    with Ledger.open(tmp_path / "o.gpkg", resume=False) as ledger:
        ledger.begin({"scene": "other"})
        assert ledger.get(key(0)) is None
    assert not ledger_path(tmp_path / "o.gpkg").exists()


def test_without_windows_nothing_stays(tmp_path):
    with Ledger.open(tmp_path / "o.gpkg", resume=True):
        pass
    assert list(tmp_path.iterdir()) == []
    with Ledger.open(tmp_path / "o.gpkg", resume=False) as ledger:
        ledger.begin(ABOUT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [1, 2, 50])
def test_a_last_line_that_is_cut_is_dropped(tmp_path, missing):
    before = fill(tmp_path / "o.gpkg")
    ledger_path(tmp_path / "o.gpkg").write_bytes(before[:-missing])
    with Ledger.open(tmp_path / "o.gpkg", resume=True) as ledger:
        ledger.begin(ABOUT)
        assert ledger.get(key(2)) is None
        ledger.add([(key(2), entry(2, seed=2))])
    assert ledger_path(tmp_path / "o.gpkg").read_bytes() == before


def test_a_header_that_is_cut_is_a_ledger_without_windows(tmp_path):
    before = fill(tmp_path / "o.gpkg")
    for length in (0, 4, 20, before.index(b"\n")):
        ledger_path(tmp_path / "o.gpkg").write_bytes(before[:length])
        with Ledger.open(tmp_path / "o.gpkg", resume=True) as ledger:
            ledger.begin(ABOUT)
            assert ledger.n_before == 0
            ledger.add([(key(number), entry(number, seed=number)) for number in range(3)])
    with Ledger.open(tmp_path / "o.gpkg", resume=True) as ledger:
        assert ledger.n_before == 3


def test_damage_before_the_last_line_is_refused(tmp_path):
    before = fill(tmp_path / "o.gpkg")
    for place in (before.index(b"\n") - 5, before.index(b"\n") + 30, before.rindex(b"\n", 0, -1)):
        ledger_path(tmp_path / "o.gpkg").write_bytes(before[:place] + b"#" + before[place + 1 :])
        if place < before.rindex(b"\n", 0, -1):
            with pytest.raises(LedgerError, match=r"o\.gpkg\.ledger is damaged at byte"):
                Ledger.open(tmp_path / "o.gpkg", resume=True)
        with Ledger.open(tmp_path / "o.gpkg", resume=False):
            pass


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({**ABOUT, "scene": "b.tif"}, 'scene "a.tif", this one has "b.tif"'),
        ({"scene": "a.tif"}, 'budget {"share": 0.2}, this one has null'),
        ({**ABOUT, "aoi": 1}, "aoi null, this one has 1"),
        ({**ABOUT, "budget": {"share": 0.3}}, "budget share 0.2, this one has 0.3"),
    ],
)
def test_another_run_is_refused_and_what_differs_is_named(tmp_path, about, says):
    before = fill(tmp_path / "o.gpkg")
    with Ledger.open(tmp_path / "o.gpkg", resume=True) as ledger, pytest.raises(LedgerError) as refusal:
        ledger.begin(about)
    assert says in str(refusal.value)
    assert ledger_path(tmp_path / "o.gpkg").read_bytes() == before


def test_files_that_are_no_ledger_stay_as_they_are(tmp_path):
    path = ledger_path(tmp_path / "o.gpkg")
    path.write_text("my own list of things to do\n")
    with pytest.raises(OutputError, match="no ledger of geopdn"):
        Ledger.open(tmp_path / "o.gpkg", resume=False)
    assert path.read_text() == "my own list of things to do\n"
    path.unlink()
    (tmp_path / "target").write_text("")
    path.symlink_to(tmp_path / "target")
    with pytest.raises(OutputError, match="cannot write"):
        Ledger.open(tmp_path / "o.gpkg", resume=False)


def test_it_is_held_by_one_run_at_a_time(tmp_path):
    code = (
        "import sys; from pathlib import Path; from geopdn.ledger import Ledger\n"
        "try:\n    Ledger.open(Path(sys.argv[1]), resume=True)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )

    def other() -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "o.gpkg")], capture_output=True, text=True, check=True
        )
        return done.stdout

    with Ledger.open(tmp_path / "o.gpkg", resume=False):
        assert other().startswith("OutputError another run is writing 'o.gpkg'")
    assert other() == ""
