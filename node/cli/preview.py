"""`preview`: what a recipe would do to one file, element by element, and which line does it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, config_option, config_path, console, print_json
from node.cli.settings import Asked, settings_options, settled
from node.errors import DatasetError, HoldInstance, HoldReason, NodeError, SealError

if TYPE_CHECKING:
    from node.files import Settings
    from node.instances import Source
    from node.objects import Verdict
    from node.recipe import Recipe, Region
    from node.recipe.amend import Change
    from node.recipe.trace import Trace, Traced
    from node.sealing import Original, Sealing

MASKED = "***"
_NODE = {"where": "the node", "text": "for the kind of object (docs/pixels.md)"}
_STYLES = {"removed": "red", "changed": "yellow", "added": "green", "kept": "dim"}
_EXAMPLE = "Without a secret: pseudonyms, UIDs and shifted dates are examples."


@dataclass(frozen=True, slots=True)
class Row:
    """One element as it is shown; `before` and `after` are None where it is absent."""

    path: str
    name: str
    vr: str
    what: str
    before: str | None
    after: str | None
    lines: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class View:
    """What becomes of a file: its elements, or why it is held and by which line; or the rule that excludes it.

    `pixels` says what of the image is masked, in order; `leaks`, where the result still shows whose it is, `leak`
    the same in short.
    """

    rows: list[Row]
    held: dict[str, str] | None = None
    excluded: str | None = None
    pixels: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    leak: str = ""


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

    setup_logging("human", "warning", "deid-node")
    chosen = Asked(**asked)
    with settled(chosen, example=True) as settings:
        view = look(settings, file)
        note = _EXAMPLE if chosen.example else ""
        if not against:
            rows = [row for row in view.rows if everything or row.what != "kept" or row.before != row.after]
            _show(replace(view, rows=[masked(row) for row in rows] if mask else rows), note, as_json)
            return _code(settings, view)
    with settled(replace(chosen, recipes=against), example=True) as settings:
        other = look(settings, file)
    _show_differences(view, other, mask=mask, note=note, as_json=as_json)
    return _code(settings, view) or _code(settings, other)


def _code(settings: Settings, view: View) -> int:
    return WRONG if view.held or (view.leaks and settings.gate != "report") else 0


def look(settings: Settings, path: Path) -> View:
    """Return what becomes of a file. Raises NodeError where it cannot be read as DICOM at all."""
    from node.files.one import identities
    from node.instances import InstanceIdentities
    from node.recipe.trace import trace

    try:
        with _opened(path) as source:
            rule = settings.exclude.matches(source.dataset) if settings.exclude is not None else None
            if rule is not None:
                return View([], excluded=rule)
            verdict, hold = _judged(settings, source)
            if verdict is None:
                return View([], hold)
            if verdict.excluded:
                return View([], excluded=verdict.excluded)
            known = identities(settings, settings.make_maps(), source.dataset)
            if isinstance(known, InstanceIdentities):
                known.require_mapping()
            traced = trace(settings.recipe, source.dataset, known, settings.variables, verdict.judgement)
            return _view(traced, settings, verdict)
    except HoldInstance as hold:
        return View([], _held(hold))
    except DatasetError as error:
        return View([], _held(HoldInstance(HoldReason.UNPARSABLE, str(error))))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Source]:
    from node.instances import Scratch, opened
    from node.sealing import check_memory, new_memory

    scratch = Scratch(Path(tempfile.gettempdir()))
    with contextlib.closing(_original(path)) as original:
        file = original.mappable()
        if os.pread(file, 4, 128) != b"DICM":
            raise NodeError(f"{path} is no DICOM file: it has no DICM prefix.")
        make, check_room = scratch.create, scratch.check_room
        if original.sealed:
            make, check_room = new_memory, check_memory
        with opened(file, make, check_room) as source:
            yield source


def _original(path: Path) -> Original:
    """Open a file, which may be a sealed original of the spool, named by its id."""
    from node.sealing import is_sealed, open_original

    try:
        with path.open("rb") as file:
            sealed = is_sealed(file.fileno())
        return open_original(path, path.stem, _sealing() if sealed else None)
    except OSError as error:
        raise NodeError(f"{path} cannot be read: {error.strerror}.") from None
    except SealError as error:
        raise NodeError(f"{path} cannot be opened: {error}.") from None


def _sealing() -> Sealing | None:
    from node.config import load_config

    return load_config(config_path()).node.sealing


def _judged(settings: Settings, source: Source) -> tuple[Verdict | None, dict[str, str]]:
    """Return what is decided about a file before it is cleaned, or why it is held and by which line."""
    from node.recipe.trace import held_by_filter

    try:
        return settings.policy.judge(settings.recipe, source.dataset), {}
    except HoldInstance as hold:
        where = held_by_filter(settings.recipe, source.dataset, hold)
        return None, _held(hold, where, settings.recipe.line(where))


def _view(traced: Trace, settings: Settings, verdict: Verdict) -> View:
    recipe = settings.recipe
    if traced.held is not None:
        return View([], _held(traced.held, traced.where, recipe.line(traced.where)))
    from node.gate import described, through

    assert traced.cleaned is not None
    cleaned = verdict.finished(traced.cleaned)
    pixels = [_region(region) for region in cleaned.regions]
    passed = through(cleaned, recipe, settings.gate)
    found = passed.left or passed.reported
    changes, _ = verdict.changes(traced.cleaned)
    rows = _with([_row(element, recipe) for element in traced.elements], changes)
    return View(
        [_scrubbed(row, passed.texts[row.path]) if row.path in passed.texts else row for row in rows],
        pixels=pixels,
        leaks=list(map(str, found)),
        leak=described(found),
    )


def _with(rows: list[Row], changes: Mapping[int, Change]) -> list[Row]:
    """Return the rows with what the node itself says of the instance, or puts in its place."""
    from node.recipe.dictionary import entry, show

    for tag, change in sorted(changes.items()):
        path, known = show(tag), entry(tag)
        there = next((row for row in rows if row.path == path), None)
        before, after = there.before if there else None, _changed(change)
        what = "removed" if after is None else "added" if before is None else "kept" if after == before else "changed"
        if before is None and after is None:
            continue
        new = Row(path, known.keyword if known else "", known.vr if known else "", what, before, after, [dict(_NODE)])
        rows = sorted([*(row for row in rows if row is not there), new], key=lambda row: row.path)
    return rows


def _changed(change: Change) -> str | None:
    if change is None:
        return None
    vr, value = change
    return (
        f"{len(value)} bytes" if vr == "OB" else str(int.from_bytes(value, "little")) if vr == "UL" else value.decode()
    )


def _scrubbed(row: Row, after: str) -> Row:
    line = {"where": "gate", "text": "scrub"}
    return replace(row, what="changed", after=after, lines=[*row.lines, line])


def _region(region: Region) -> str:
    where = "all" if region.box is None else ",".join(map(str, region.box))
    return f"{'kept' if region.keep else 'masked'}: {where}"


def _held(hold: HoldInstance, where: str = "", text: str = "") -> dict[str, str]:
    return {"reason": str(hold.reason), "detail": hold.detail, "where": where, "text": text}


def _row(element: Traced, recipe: Recipe) -> Row:
    lines = [{"where": rule.where, "text": recipe.line(rule.where)} for rule in element.rules]
    return Row(element.path, element.name, element.vr, str(element.what), element.before, element.after, lines)


def masked(row: Row) -> Row:
    """Return a row without values, a private creator among them; what is empty or absent still shows as that."""
    return replace(
        row, name="" if row.name.startswith("(") else row.name, before=row.before and MASKED, after=row.after and MASKED
    )


def differences(one: View, other: View) -> list[tuple[Row | None, Row | None]]:
    """Return what becomes of elements in two ways, where these differ: pairs in the order of tag paths."""
    left, right = ({row.path: row for row in view.rows} for view in (one, other))
    paths = sorted({*left, *right})
    pairs = ((left.get(path), right.get(path)) for path in paths)
    return [pair for pair in pairs if _result(pair[0]) != _result(pair[1])]


def _result(row: Row | None) -> str | None:
    return row.after if row is not None else None


def _show(view: View, note: str, as_json: bool) -> None:
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


def _show_differences(one: View, other: View, *, mask: bool, note: str, as_json: bool) -> None:
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
            cells += [_value(_result(side)), _line(side) if side is not None else ""]
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
