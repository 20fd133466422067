"""What every worker must have before it gets work: the same geopdn, and the same files under the same paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from geopdn import __version__
from geopdn.errors import ConfigError, SceneOpenError

if TYPE_CHECKING:
    from distributed import Client


def check_workers(client: Client, *, files: Sequence[str], folders: Sequence[str]) -> None:
    """Ask every worker whether it can do the work.

    Args:
        client: of the workers.
        files: paths that each must be able to read.
        folders: paths that each must be able to write to.

    Raises:
        ConfigError: a worker has no geopdn, or another version.
        SceneOpenError: a worker does not see a file or a folder; one message for all of them.
    """
    answers = client.run(seen_here, list(files), list(folders), on_error="return")
    poor, lacking = [], []
    for worker, answer in sorted(answers.items()):
        if isinstance(answer, BaseException):
            poor.append(f"{worker} ({answer})")
        elif answer[0] != __version__:
            poor.append(f"{worker} (geopdn {answer[0]})")
        elif answer[1]:
            more = f" and {len(answer[1]) - 1} more" if len(answer[1]) > 1 else ""
            lacking.append(f"{worker} {answer[1][0]}{more}")
    if poor:
        raise ConfigError(
            f"workers need geopdn {__version__}, which these have not: {', '.join(poor)}; install it there"
        )
    if lacking:
        raise SceneOpenError(
            f"{len(lacking)} of {len(answers)} workers cannot use what they are asked for: {'; '.join(lacking)}. Every "
            "worker must see scenes, model and output folder under the paths given here: put them on a shared disk"
        )


def seen_here(files: list[str], folders: list[str]) -> tuple[str, list[str]]:
    """On a worker: its geopdn's version, and what it cannot use."""
    unseen = [f"cannot read {path}" for path in files if not os.access(path, os.R_OK)]
    return __version__, unseen + [f"cannot write to {path}" for path in folders if not os.access(path, os.W_OK)]
