"""What is wrong with labels: warnings to read, errors that stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geopdn.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        text: one line that names the thing, what was expected and the next step.
        is_error: nothing can be learnt as it is; else a warning.
    """

    text: str
    is_error: bool = False


MOST_LINES = 20
"""Warnings, and errors, that are said one by one: hundreds of label files may all have the same one."""


def stop_at_errors(problems: Iterable[Problem], *, say: Callable[[str], None]) -> None:
    """Say the warnings and raise the errors.

    Args:
        problems: in the order in which they are to be said.
        say: receives one line a problem, but for the last error.

    Raises:
        LabelError: at least one is an error; the message is the last one.
    """
    every = list(problems)
    warnings = [problem.text for problem in every if not problem.is_error]
    *errors, last = [problem.text for problem in every if problem.is_error] or [""]
    for kind, texts in (("warning", warnings), ("error", errors)):
        for text in texts[:MOST_LINES]:
            say(f"{kind}: {text}")
        if len(texts) > MOST_LINES:
            say(f"{kind}: {len(texts) - MOST_LINES} more of this kind")
    if last:
        raise LabelError(last)


def counted(n: int, noun: str) -> str:
    """`1 label`, `2 labels`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def few(names: Iterable[str], *, most: int = 3) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
