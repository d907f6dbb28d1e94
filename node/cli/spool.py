"""`spool read` and `encrypt`: an operator's way to what is sealed, and to sealing what is not."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from node.cli.common import WRONG, config_option, quiet_config, refuse_root
from node.errors import NodeError, SealError

if TYPE_CHECKING:
    from node.sealing import Original

_PIECE = 1 << 20


@click.group()
@config_option
def spool() -> None:
    """Look into the spool."""


@spool.command()
@click.argument("instance")
@config_option
def read(instance: str) -> int:
    """Write the original of INSTANCE (an id, as `held list` shows them) to the standard output: it is identified!"""
    from node.log import clean_text
    from node.spool import Spool, is_id

    if sys.stdout.isatty():
        raise click.UsageError("an original is a file: say where, `deid-node spool read ID > FILE`.")
    config = quiet_config()
    if not is_id(instance):
        raise NodeError(f"'{clean_text(instance, 64)}' is no id of this node.")
    try:
        files = Spool(config.node.spool, sealing=config.node.sealing)
        with contextlib.closing(files.open_original(instance)) as original:
            _write(original)
    except FileNotFoundError:
        raise NodeError(f"no original lies in the spool under the id {instance}.") from None
    except SealError as error:
        click.echo(f"deid-node: {error}; nothing was written.", err=True)
        return WRONG
    except OSError as error:
        raise NodeError(f"the original {instance} cannot be read: {error.strerror}.") from None
    return 0


def _write(original: Original) -> None:
    """Write the whole, once all of it was checked: never half of it."""
    if original.sealed:
        for piece in _ranges(original.size):
            original.read(*piece)
    for piece in _ranges(original.size):
        sys.stdout.buffer.write(original.read(*piece))
    sys.stdout.buffer.flush()


def _ranges(size: int) -> list[tuple[int, int]]:
    return [(place, min(_PIECE, size - place)) for place in range(0, size, _PIECE)]


@click.command()
@config_option
def encrypt() -> None:
    """Seal what the spool and the ledger hold in plain, once node.encryption is new; the node must be stopped."""
    from node.encrypting import encrypt as run

    config = quiet_config()
    refuse_root(config)
    done = run(config)
    ledger = "the ledger was sealed" if done["ledger"] else "the ledger was sealed before"
    click.echo(f"{done['originals']} originals were sealed; {ledger}")
