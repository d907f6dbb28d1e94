"""`preview`: what a recipe would do to one file, element by element, and which line does it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, config_option, config_path, console, print_json
from node.cli.settings import Asked, settings_options, settled

if TYPE_CHECKING:
    from node.effects import Row
    from node.files import Settings
    from node.sealing import Sealing
    from node.story.views import View

_STYLES = {"removed": "red", "changed": "yellow", "added": "green", "kept": "dim"}
_EXAMPLE = "Without a secret: pseudonyms, UIDs and shifted dates are examples."


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@settings_options
@click.option("--against", metavar="RECIPE", multiple=True, help="Show only what these recipes would do otherwise.")
@click.option("--all", "everything", is_flag=True, help="Also elements that stay as they are.")
@click.option("--mask", is_flag=True, help="Show no values, neither before nor after.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def preview(file: Path, against: tuple[str, ...], everything: bool, mask: bool, as_json: bool, **asked: Any) -> int:
    """Show what recipes do to a FILE: before, after, and the line that did it. Nothing is written."""
    from node.log import setup_logging
    from node.story.views import masked

    setup_logging("human", "warning", "deid-node")
    chosen = Asked(**asked)
    with settled(chosen, example=True) as settings:
        view = look(settings, file)
        note = _EXAMPLE if chosen.example else ""
        if not against:
            rows = [row for row in view.rows if everything or row.what != "kept" or row.before != row.after]
            show(replace(view, rows=[masked(row) for row in rows] if mask else rows), note, as_json)
            return _code(settings, view)
    with settled(replace(chosen, recipes=against), example=True) as settings:
        other = look(settings, file)
    show_differences(view, other, mask=mask, note=note, as_json=as_json)
    return _code(settings, view) or _code(settings, other)


def look(settings: Settings, path: Path) -> View:
    """Return what becomes of a file. Raises NodeError where it cannot be read as DICOM at all."""
    from node.story import views

    return views.look(settings, path, _sealing)


def _sealing() -> Sealing | None:
    from node.config import load_config

    return load_config(config_path()).node.sealing


def _code(settings: Settings, view: View) -> int:
    return WRONG if view.held or (view.leaks and settings.gate != "report") else 0


def show(view: View, note: str, as_json: bool) -> None:
    """Print what becomes of a file."""
    if as_json:
        print_json(
            {"elements": [asdict(row) for row in view.rows], "pixels": view.pixels, **_state(view), "note": note}
        )
        return
    if note:
        click.echo(note)
    if _print_state(view, ""):
        return
    from rich.table import Table

    table = Table("element", "before", "after", "line", box=None)
    for row in view.rows:
        style = _STYLES[row.what]
        table.add_row(*map(_text, (_label(row), _value(row.before), _value(row.after), _line(row))), style=style)
    console().print(table)
    for region in view.pixels:
        click.echo(f"pixels {region}")
    _print_leaks(view, "")


def _state(view: View) -> dict[str, Any]:
    return {"held": view.held, "excluded": view.excluded, "leaks": view.leaks}


def _print_leaks(view: View, which: str) -> None:
    """Say where the result still shows whose it is, as `held list` does."""
    if view.leaks:
        click.echo(f"{which}leak: {view.leak}")


def _print_state(view: View, which: str) -> bool:
    """Say that a file would not be sent; tell whether that is so."""
    from node.log import clean_text

    if view.excluded is not None:
        click.echo(clean_text(f"{which}excluded: {view.excluded}", 2000))
    if view.held is not None:
        held = view.held
        click.echo(clean_text(f"{which}held: {held['reason']}: {held['detail']}", 2000))
        if held["where"]:
            click.echo(clean_text(f"{which}by {held['where']}: {held['text']}", 2000))
    return view.excluded is not None or view.held is not None


def show_differences(one: View, other: View, *, mask: bool, note: str, as_json: bool) -> None:
    """Print what two recipes make of a file, where that differs."""
    from node.story.views import differences, masked

    pairs = differences(one, other) if not (one.held or other.held) else []
    if mask:
        pairs = [(left and masked(left), right and masked(right)) for left, right in pairs]
    if as_json:
        rows = [{"recipe": left and asdict(left), "against": right and asdict(right)} for left, right in pairs]
        print_json({"differences": rows, "recipe": _state(one), "against": _state(other), "note": note})
        return
    if note:
        click.echo(note)
    if _print_state(one, "recipe: ") | _print_state(other, "against: "):
        return
    _print_leaks(one, "recipe: ")
    _print_leaks(other, "against: ")
    if not pairs:
        click.echo("No difference.")
        return
    from rich.table import Table

    table = Table("element", "before", "after", "line", "against: after", "against: line", box=None)
    for left, right in pairs:
        row = left or right
        assert row is not None
        cells = [_label(row), _value(row.before)]
        for side in (left, right):
            cells += [_value(side.after if side is not None else None), _line(side) if side is not None else ""]
        table.add_row(*map(_text, cells))
    console().print(table)


def _label(row: Row) -> str:
    depth = row.path.count("__") // 2
    tag = row.path.rpartition("__")[2] if not depth else row.path
    return f"{'  ' * depth}{tag} {row.name}".rstrip()


def _value(value: str | None) -> str:
    return "—" if value is None else value or "empty"


def _line(row: Row) -> str:
    return f"{row.lines[-1]['where']}: {row.lines[-1]['text']}" if row.lines else ""


def _text(cell: str) -> Any:
    from rich.text import Text

    from node.log import clean_text

    return Text(clean_text(cell, 120))
