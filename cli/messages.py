"""What is said: messages on stderr, results on stdout, and nothing in either that steers a terminal."""

import re

import typer

_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # escape sequences begin with one of these
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # marks that turn the order of what is read
    "\ud800-\udfff]"  # halves that stand for bytes of odd file names: no stream takes them
)


def printable(text: object) -> str:
    r"""The text with characters that steer terminals written out, as JSON writes them: `\u001b`.

    Names of files, bands, layers and classes come from whoever made the file. Line feeds and tabs stay.
    """
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", str(text))


def tell(text: object = "", *, nl: bool = True) -> None:
    """A result on stdout."""
    typer.echo(printable(text), nl=nl)


def say(text: object) -> None:
    """One line on stderr."""
    typer.echo(printable(" ".join(str(text).split())), err=True)


def complain(error: object, code: int) -> int:
    """One line `error: ...` on stderr; returns the exit code."""
    say(f"error: {error}")
    return code
