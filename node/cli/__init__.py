"""The command `deid-node`.

Exit codes: 0 done; 1 found or did something wrong; 2 usage; 3 `serve` cannot start; 4 no ledger or node reachable.
Errors are one sentence on stderr (faults in what a person wrote: one line each), never a traceback with values.
Whatever a command needs is imported when it runs, so that `--help` stays quick.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

import click

from node.cli import (
    audit,
    backup,
    check,
    clean,
    commissioning,
    commitment,
    completeness,
    crosswalk,
    destinations,
    drills,
    explain,
    held,
    lookup,
    plan,
    preview,
    project,
    prove,
    recipe,
    replay,
    review,
    revoke,
    selftest,
    serve,
    spool,
    status,
    support,
    tools,
    watching,
    web,
)
from node.cli.common import CANNOT_START, INTERRUPTED, NOT_REACHABLE, WRONG, config_option
from node.errors import FaultsError, LedgerError, NodeError, NotReachable, StartError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@config_option
def cli() -> None:
    """Receive DICOM instances, remove identity by a recipe, forward them."""


for _command in (
    serve.serve,
    serve.reload,
    check.check,
    status.status,
    status.pause,
    status.resume,
    drills.stop,
    drills.go,
    drills.impact,
    drills.recall,
    revoke.revoke,
    held.held,
    explain.explain,
    lookup.lookup,
    replay.replay,
    destinations.destinations,
    support.support_bundle,
    audit.audit,
    prove.prove,
    backup.backup,
    backup.backup_key,
    backup.restore,
    selftest.selftest,
    commissioning.commissioning,
    commitment.commitment,
    completeness.completeness,
    review.review,
    clean.clean,
    plan.plan,
    preview.preview,
    project.project,
    crosswalk.crosswalk,
    recipe.recipe,
    tools.echo,
    tools.rebuild,
    spool.spool,
    spool.encrypt,
    tools.sink,
    tools.version,
    web.web,
    *watching.COMMANDS,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: the boundary at which every error becomes a sentence."""
    # Whatever a command writes is its user's alone: results too show more than others need to see.
    os.umask(0o077)
    try:
        result = cli.main(arguments, prog_name="deid-node", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Python would try to write the rest at exit and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return WRONG
    except NodeError as error:
        return _explain(error)
    except Exception as error:  # noqa: BLE001 — the top of the process: nothing above could turn it into a sentence
        return _unexpected(error)
    return result if isinstance(result, int) else 0


def _explain(error: NodeError) -> int:
    from node.log import clean_text

    if isinstance(error, FaultsError):
        for fault in error.faults:
            click.echo(clean_text(fault, 2000), err=True)
        return WRONG
    click.echo(f"deid-node: {clean_text(error, 2000)}", err=True)
    if isinstance(error, StartError):
        return CANNOT_START
    return NOT_REACHABLE if isinstance(error, NotReachable | LedgerError) else WRONG


def _unexpected(error: Exception) -> int:
    from node.log import describe_exception, event, trace_of

    if logging.getLogger().handlers:
        event(logging.getLogger("node.cli"), "unexpected error", logging.ERROR, exc_info=error)
    else:
        click.echo(f"deid-node: unexpected error {describe_exception(error)} ({trace_of(error)})", err=True)
    return WRONG
