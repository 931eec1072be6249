"""How the commands lay out what they tell, for a terminal or for a pipe."""

import json
import os
import sys
from collections.abc import Iterable

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 200


def console() -> Console:
    """For standard output: as wide as the terminal; into a pipe or a log nothing is cut. COLUMNS
    says otherwise."""
    fixed = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if fixed else _WIDE)


def show_answer(message: Message) -> None:
    """Prints an answer for a program as JSON, its fields named as the contract names them."""
    told = MessageToDict(message, preserving_proto_field_name=True)
    print(json.dumps(told, indent=2, ensure_ascii=False))


def listing(*columns: str) -> Table:
    """For rows of texts under `columns`. Where the terminal is narrow a text goes on in the next
    line: half an id is none, half a deed is no evidence."""
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def figures(title: str, name_width: int) -> Table:
    """For rows of a name, a figure and a note."""
    table = Table(
        title=title, title_justify="left", title_style="bold", show_header=False, box=None
    )
    table.add_column(width=name_width)
    table.add_column(justify="right", width=14)
    table.add_column()
    return table


def complaints(sentences: Iterable[str]) -> list[Text]:
    """Whole lines: a sentence cut into a column is overlooked."""
    return [Text(f"  {sentence}", style="bold red") for sentence in sentences]
