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


def stop_at_errors(problems: Iterable[Problem], *, say: Callable[[str], None]) -> None:
    """Say the warnings and raise the errors.

    Args:
        problems: in the order in which they are to be said.
        say: receives one line a warning.

    Raises:
        LabelError: at least one is an error; the message is the first, and how many more there are.
    """
    errors = []
    for problem in problems:
        if problem.is_error:
            errors.append(problem.text)
        else:
            say(f"warning: {problem.text}")
    if errors:
        more = f" (and {len(errors) - 1} more errors)" if len(errors) > 1 else ""
        raise LabelError(f"{errors[0]}{more}")


def few(names: Iterable[str], *, most: int = 3) -> str:
    """The first names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
