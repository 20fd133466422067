"""Tables on stdout."""

import shutil
import sys
from collections.abc import Sequence

from geopdn.cli.messages import tell

PIPED_WIDTH = 120


def print_facts(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns, values wrapped to the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size((PIPED_WIDTH, 24)).columns if sys.stdout.isatty() else PIPED_WIDTH
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name, style="bold"), Text(value))
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(table)
    tell("\n".join(line.rstrip() for line in captured.get().splitlines()))
