"""`clean`: files in, cleaned files out, as the node would have sent them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, config_option, print_json
from node.cli.settings import Asked, settings_options, settled

if TYPE_CHECKING:
    from rich.progress import Progress

    from node.files import Found, Outcome, OutputFolder, Settings, Summary

_REFRESH_SECONDS = 0.2


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…", type=click.Path(path_type=Path))
@click.option("--out", required=True, metavar="FOLDER", type=click.Path(path_type=Path, file_okay=False))
@settings_options
@click.option(
    "--layout", type=click.Choice(["uid", "input"]), default="uid", show_default=True, help="Names of outputs."
)
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes; as many as there are cores by default.")
@click.option("-v", "--verbose", is_flag=True, help="Name every file, also those that are skipped.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def clean(
    inputs: tuple[Path, ...], out: Path, layout: str, jobs: int | None, verbose: bool, as_json: bool, **asked: Any
) -> int:
    """Clean files and everything in folders; run it again to go on with what an interrupted run left."""
    from node.files import Layout, OutputFolder
    from node.log import setup_logging

    setup_logging("human", "warning", "deid-node")
    for path in inputs:
        if path.is_dir() and path.resolve() == out.resolve():
            raise click.UsageError("--out is an input folder: name another, so that cleaned files stay apart.")
    if layout == Layout.INPUT:
        click.echo("deid-node: warning: names of files and folders stay as they are; they may identify.", err=True)
    with settled(Asked(**asked)) as settings:
        folder = OutputFolder(out, Layout(layout))
        try:
            summary = _run(settings, inputs, folder, jobs or len(os.sched_getaffinity(0)), verbose)
        finally:
            folder.close()
        if as_json:
            print_json(_plain(settings, summary))
        else:
            click.echo(_sentence(summary))
    return 0 if summary.complete else WRONG


def _run(settings: Settings, inputs: tuple[Path, ...], out: OutputFolder, jobs: int, verbose: bool) -> Summary:
    from node.files import find, run

    with _Bar(inputs, out.root) as bar:

        def tell(found: Found, outcome: Outcome) -> None:
            bar.advance()
            if outcome.kind in ("held", "failed") or (outcome.kind == "written" and outcome.reason) or verbose:
                bar.say(_line(found, outcome))

        return run(settings, find(inputs, out.root), out, jobs, tell)


class _Bar:
    """A progress bar on stderr, where that is a terminal; it has no thread, since processes are forked beside it."""

    def __init__(self, inputs: tuple[Path, ...], out: Path) -> None:
        self._inputs = inputs
        self._out = out
        self._progress: Progress | None = None
        self._shown = 0.0

    def __enter__(self) -> _Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

            from node.files import find

            columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
            self._progress.start()
            self._task = self._progress.add_task("cleaning", total=sum(1 for _ in find(self._inputs, self._out)))
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.refresh()
            self._progress.stop()

    def advance(self) -> None:
        """One file is done."""
        if self._progress is None:
            return
        self._progress.advance(self._task)
        if time.monotonic() - self._shown > _REFRESH_SECONDS:
            self._shown = time.monotonic()
            self._progress.refresh()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._progress is None:
            click.echo(line, err=True)
        else:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _line(found: Found, outcome: Outcome) -> str:
    from node.log import clean_text

    why = ": ".join(filter(None, (outcome.reason, outcome.detail)))
    return clean_text(f"{outcome.kind}: {found.path}{': ' if why else ''}{why}", 4000)


def _sentence(summary: Summary) -> str:
    from node.files import Kind

    words = {Kind.ALREADY: "there already", Kind.SKIPPED: "skipped (no DICOM file, or a DICOMDIR)"}
    shown = [kind for kind in Kind if summary.counts[kind] or kind in (Kind.WRITTEN, Kind.HELD, Kind.FAILED)]
    return ", ".join(f"{summary.counts[kind]} {words.get(kind, kind.value)}" for kind in shown)


def _text(path: object) -> str:
    """Return a path as text that can be written; names of files need not be UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(settings: Settings, summary: Summary) -> dict[str, Any]:
    from node.files import Kind

    return {
        **{str(kind): summary.counts[kind] for kind in Kind},
        "held": [
            {"input": _text(path), "reason": outcome.reason, "detail": outcome.detail} for path, outcome in summary.held
        ],
        "failed": [{"input": _text(path), "reason": _text(outcome.reason)} for path, outcome in summary.failed],
        "recipe": settings.recipe.hash,
    }
