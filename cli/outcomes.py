"""What comes of each scene of a command: what is said and told of it, and its exit code."""

import json
from dataclasses import dataclass
from pathlib import Path

from geopdn.cli.destinations import Job
from geopdn.cli.messages import say, tell
from geopdn.cli.search import Searched, Wish, search
from geopdn.errors import GeopdnError

INCOMPLETE = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of one scene.

    Attributes:
        code: the exit code it asks for.
        text: its summary for stdout, empty where there is none.
        error: what went wrong, empty where nothing did.
        warnings: of a search whose own stderr nobody reads.
    """

    code: int
    text: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()

    def show(self) -> int:
        """Say and tell it; returns the code."""
        for text in self.warnings:
            say(f"warning: {text}")
        if self.error:
            say(f"error: {self.error}")
        if self.text:
            tell(self.text)
        return self.code


def outcome_of(job: Job, wish: Wish, *, as_json: bool, quiet: bool) -> Outcome:
    """Search one scene.

    Raises:
        GeopdnError: what cannot be done.
    """
    done = search(job, wish)
    return Outcome(INCOMPLETE if done.result.facts["n_failed"] else 0, _text(done, as_json=as_json, quiet=quiet))


def outcome_or_error(job: Job, wish: Wish, *, as_json: bool, quiet: bool) -> Outcome:
    """Search one scene of several: what is wrong with it does not stop the others."""
    try:
        return outcome_of(job, wish, as_json=as_json, quiet=quiet)
    except GeopdnError as error:
        text = str(error)
        return Outcome(error.exit_code, error=text if Path(job.scene).name in text else f"{job.scene}: {text}")


def _text(done: Searched, *, as_json: bool, quiet: bool) -> str:
    if as_json:
        return json.dumps(done.as_record(), allow_nan=False, ensure_ascii=False)
    return "" if quiet else done.as_text()
