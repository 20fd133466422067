"""Python's garbage collector kept from what is not garbage: modules being imported, and everything at the end.

Importing large libraries makes up to a million objects that stay. Looking through them again and again takes a fifth of
the import of torch, and looking through them a last time most of a second after the result was written.
"""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_import(name: str) -> Iterator[None]:
    """While a large module is imported for the first time nothing is collected, and what it has made never again."""
    if name in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def not_at_exit() -> None:
    """The process ends without a last look for garbage: its memory goes back as a whole."""
    atexit.register(gc.freeze)
