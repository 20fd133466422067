"""Importing torchvision and timm without torch's compiler, which takes 3 s and 150 MB and compiles nothing here."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

COMPILER = "torch._dynamo"
QUESTIONS = f"{COMPILER}.utils"


@contextmanager
def without_compiler() -> Iterator[None]:
    """While the block runs, what torchvision and timm want of the compiler as they are imported is put off.

    `torchvision.ops.roi_align` takes a function from `torch._dynamo.utils`, and timm marks code that must not be
    compiled: both load the compiler when they are used, the marks only once somebody else has loaded it. Anything else
    that asks for it meanwhile gets the real one.
    """
    if COMPILER in sys.modules:
        yield
        return
    real = torch.compiler.disable
    stand_in = _StandIn(QUESTIONS)
    sys.modules[QUESTIONS] = stand_in
    torch.compiler.disable = _put_off(real)
    try:
        yield
    finally:
        torch.compiler.disable = real
        if sys.modules.get(QUESTIONS) is stand_in:
            del sys.modules[QUESTIONS]


class _StandIn(ModuleType):
    """Stands for `torch._dynamo.utils`; the real one takes its place when it is asked for anything else."""

    def is_compile_supported(self, device: str) -> Any:
        return _real(self).is_compile_supported(device)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what importing asks of every module
            raise AttributeError(name)
        return getattr(_real(self), name)


def _real(stand_in: ModuleType) -> Any:
    if sys.modules.get(QUESTIONS) is stand_in:
        del sys.modules[QUESTIONS]
    return importlib.import_module(QUESTIONS)


def _put_off(disable: Callable[..., Any]) -> Callable[..., Any]:
    """`torch.compiler.disable` that acts when the function is called and the compiler is there."""

    def put_off(function: Callable[..., Any] | None = None, *arguments: Any, **options: Any) -> Any:
        if function is None:
            return functools.partial(put_off, **options)

        @functools.wraps(function)
        def call(*values: Any, **named: Any) -> Any:
            chosen = disable(function, *arguments, **options) if COMPILER in sys.modules else function
            return chosen(*values, **named)

        return call

    return put_off
