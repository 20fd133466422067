"""What one window brought, and the book in which a run keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geopdn.coverage import Planned
from geopdn.detections import Detections, Status
from geopdn.ledger import Ledger
from geopdn.ledger_lines import Entry, Key

Batch = list[tuple[int, Planned]]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one window brought.

    Attributes:
        index: position in the run's list.
        status: `read`, `empty` or `failed`.
        cause: why it failed.
        tokens: `[16, dim]`, None where it was not read, the finder has no features, or they are not wanted.
        pooled: `[dim]`, likewise.
        detections: in level-0 pixels; those of its core only.
        n_invalid: boxes that the finder dropped as not finite or without area; those of a whole batch stand at its
            first window.
    """

    index: int
    status: Status
    cause: str
    tokens: NDArray[np.float32] | None
    pooled: NDArray[np.float32] | None
    detections: Detections
    n_invalid: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """A ledger as one round of a run uses it.

    Attributes:
        ledger: where finished windows are kept.
        round: of the search.
        strict: windows that could not be read are tried again.
        keep_features: what the network saw is needed.
    """

    ledger: Ledger
    round: int
    strict: bool
    keep_features: bool

    def recall_all(self, batches: Sequence[Batch]) -> tuple[list[Seen], list[Batch]]:
        """What is known of the windows of batches, and the batches that are to be looked at."""
        known: list[Seen] = []
        unknown: list[Batch] = []
        for batch in batches:
            seen = self.recall(batch)
            if seen is None:
                unknown.append(batch)
            else:
                known += seen
        return known, unknown

    def recall(self, batch: Batch) -> list[Seen] | None:
        """What a batch of (index, window) pairs brought, None unless all of it is known.

        A batch goes through the network as a whole: in another company a window's numbers can differ in their last
        bits, so a batch that was stopped half-way is looked at again.
        """
        result = []
        for index, item in batch:
            entry = self.ledger.get(self._key(item))
            if entry is None or (entry.status == "failed" and self.strict):
                return None
            if self.keep_features and entry.status == "read" and entry.tokens is None:
                return None
            result.append(self._seen(index, entry))
        return result

    def note(self, finished: Sequence[Seen], windows: Mapping[int, Planned]) -> None:
        """Keep what windows, found by their index, have brought."""
        self.ledger.add([(self._key(windows[seen.index]), _entry(seen)) for seen in finished])

    def _key(self, item: Planned) -> Key:
        return Key(item.window, item.core, self.round)

    def _seen(self, index: int, entry: Entry) -> Seen:
        found = replace(entry.detections, window=np.full(len(entry.detections), index, np.int64))
        tokens, pooled = (values if self.keep_features else None for values in (entry.tokens, entry.pooled))
        return Seen(index, entry.status, entry.cause, tokens, pooled, found, entry.n_invalid)


def _entry(seen: Seen) -> Entry:
    return Entry(seen.status, seen.cause, seen.detections, seen.n_invalid, seen.tokens, seen.pooled)
