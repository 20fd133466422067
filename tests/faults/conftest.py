"""What every row of the table of faults has in common: an error class, an exit code, one line, nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import cli, exact, plant, refused, scene, shipped, truth, weights  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def fails(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:  # noqa: F811
    """Runs a command that must fail with an error of that class; returns its line. See `refused`."""
    from geopdn.cli import main

    seen: list[BaseException] = []
    complain = main.complain

    def keep(error: object, code: int) -> int:
        if isinstance(error, BaseException):
            seen.append(error)
        return complain(error, code)

    monkeypatch.setattr(main, "complain", keep)

    def call(kind: type[BaseException], *arguments: object) -> str:
        seen.clear()
        line = refused(kind.exit_code, *arguments)  # type: ignore[attr-defined]
        assert [type(error) for error in seen] == [kind]
        return line

    return call
