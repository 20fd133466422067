"""What workers are asked in tests of `geopdn.distributed`: importable in their processes."""

from __future__ import annotations

import os
import time


def double(number: int, deaths: int) -> int:
    del deaths
    time.sleep(0.05 * (3 - number % 3))  # the later ones of three finish first
    return 2 * number


def double_at_second_try(number: int, deaths: int) -> int:
    """Kills its worker where the number is odd, unless one has died of it."""
    if number % 2 and not deaths:
        os._exit(1)
    return 2 * number


def kill_at_three(number: int, deaths: int) -> int:
    del deaths
    if number == 3:
        os._exit(1)
    return 2 * number
