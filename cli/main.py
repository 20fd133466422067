"""The entry point: commands, and what becomes of errors, warnings and interrupts."""

import os
import signal
import sys
import warnings
from types import FrameType
from typing import Annotated, Any

import typer

from geopdn import __version__
from geopdn.cli.bench import bench
from geopdn.cli.calibrate import calibrate
from geopdn.cli.collecting import not_at_exit
from geopdn.cli.configure import configure
from geopdn.cli.detect import detect
from geopdn.cli.evaluate import evaluate
from geopdn.cli.export import export
from geopdn.cli.info import info
from geopdn.cli.merge import merge
from geopdn.cli.messages import complain, say
from geopdn.cli.models import models
from geopdn.cli.prepare import prepare
from geopdn.cli.qgis import qgis
from geopdn.cli.report import report
from geopdn.cli.review import review
from geopdn.cli.saliency import saliency
from geopdn.cli.simulate import simulate
from geopdn.cli.stac import stac
from geopdn.cli.train import train
from geopdn.errors import GeopdnError, GeopdnWarning

INTERRUPTED = 130
USAGE = 2
RESOURCES = 4

app = typer.Typer(
    name="geopdn",
    help="Find sparse objects in huge georeferenced scenes without looking at every pixel.",
    epilog="Start with: geopdn detect SCENE",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
_COMMANDS = (
    detect,
    merge,
    report,
    review,
    stac,
    info,
    saliency,
    prepare,
    models,
    evaluate,
    bench,
    configure,
    train,
    calibrate,
    export,
    simulate,
)
for _command in _COMMANDS:
    app.command(no_args_is_help=False)(_command)
app.add_typer(qgis)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"geopdn {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: instead of those of the process.

    Raises:
        SystemExit: always.
    """
    if arguments is None:
        not_at_exit()
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with warnings.catch_warnings():
            _show_warnings_in_one_line()
            sys.exit(_code_of(arguments))
    finally:
        signal.signal(signal.SIGTERM, before)


def _code_of(arguments: list[str] | None) -> int:
    """Run a command; report an error that is geopdn's or the user's in one line."""
    try:
        code = app(args=arguments, prog_name="geopdn", standalone_mode=False)
    except GeopdnError as error:
        return complain(error, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # `geopdn info ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's is not imported here
            return complain(f"out of memory: {error or 'the machine has no more'}", RESOURCES)
        if not hasattr(error, "format_message"):  # else a usage error of Typer's or click's
            raise
        return complain(_usage(error), USAGE)
    if code == INTERRUPTED:
        return complain("interrupted: no unfinished output was kept", INTERRUPTED)
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "geopdn"
    return f"{str(error.format_message()).rstrip('.')}; see `{command} --help`"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: temporary files are removed on the way out."""
    raise KeyboardInterrupt


def _show_warnings_in_one_line() -> None:
    """Each of geopdn's warnings once, as one line; those of other libraries are not for users."""
    shown = set()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = " ".join(str(message).split())
        if text not in shown:
            shown.add(text)
            name = "" if issubclass(category, GeopdnWarning) else f"{category.__name__}: "
            say(f"warning: {name}{text}")

    warnings.showwarning = show
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    warnings.simplefilter("always", GeopdnWarning)


if __name__ == "__main__":
    run()
