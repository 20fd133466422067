"""What is said on stderr; stdout belongs to results."""

import typer


def say(text: object) -> None:
    """One line on stderr."""
    typer.echo(" ".join(str(text).split()), err=True)


def complain(error: object, code: int) -> int:
    """One line `error: ...` on stderr; returns the exit code."""
    say(f"error: {error}")
    return code
