"""`backup`, `restore` and `backup-key`: the ledger and the secret, encrypted to public keys, and back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.common import WRONG, config_option, config_path, print_json, quiet_config

if TYPE_CHECKING:
    from node.config import Config


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--to", "recipients", metavar="PUBLIC_KEY", multiple=True, help="A public key of age (age1…); repeatable."
)
@click.option("--scheduled", is_flag=True, help="As the node does by itself: into backup.folder, and old ones go.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def backup(file: Path | None, recipients: tuple[str, ...], scheduled: bool, as_json: bool) -> int:
    """Write ledger, secret and configuration to FILE, encrypted to public keys, while the node serves."""
    from node.audit.actor import this_person
    from node.backups import back_up

    if (file is None) != scheduled:
        raise click.UsageError("name a FILE to be written, or say --scheduled.")
    config = quiet_config()
    keys = recipients or config.backup.to
    if file is None:
        return _scheduled(config)
    made = back_up(config, file, keys, this_person("backup"))
    if as_json:
        print_json(made)
        return 0
    click.echo(f"{made['file']}: {made['size']} bytes, sha256 {made['sha256']}, for {made['keys']} keys")
    for one in made["left_out"]:
        click.echo(f"not in it: {one['path']} ({one['why']})")
    if made["environment"]:
        click.echo(f"not in it: the environment, of which the configuration needs {', '.join(made['environment'])}")
    return 0


def _scheduled(config: Config) -> int:
    """Make a backup as the keeper has it made; what goes wrong is noted for it."""
    from node.audit.actor import this_person
    from node.backups import back_up
    from node.backups.schedule import let_go, scheduled_name
    from node.errors import NodeError
    from node.ledger.last_backup import note_failed, note_made

    if config.backup.folder is None:
        raise click.UsageError("--scheduled needs backup.folder in the configuration.")
    try:
        made = back_up(config, scheduled_name(config, time.time()), config.backup.to, this_person("backup --scheduled"))
    except NodeError as error:
        note_failed(config, str(error))
        return WRONG
    note_made(config, int(made["size"]))
    let_go(config)
    return 0


@click.command("backup-key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
def backup_key(file: Path) -> None:
    """Make a private key for backups in FILE, as age-keygen does, and print the public one."""
    from node.age import create_identity

    click.echo(create_identity(file))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--identity", metavar="KEYFILE", type=click.Path(path_type=Path), required=True, help="A private key.")
@click.option("--into", metavar="FOLDER", type=click.Path(path_type=Path), help="All of it there, and nowhere else.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@config_option
def restore(file: Path, identity: Path, into: Path | None, as_json: bool) -> None:
    """Put the backup FILE back, with the node stopped; nothing is overwritten."""
    from node.audit.actor import this_person
    from node.log import setup_logging
    from node.restore import restore as run

    setup_logging("human", "warning", "deid-node")
    done = run(file, identity, this_person("restore"), config_path(), into)
    if as_json:
        print_json(done)
        return
    _print_restored(done)


def _print_restored(done: dict[str, Any]) -> None:
    click.echo(f"restored what was backed up {done['made_at']} by deid-node {done['program']}")
    for path in done["written"]:
        click.echo(f"  written: {path}")
    for path in done["kept"]:
        click.echo(f"  left as it is: {path}")
    if done.get("newer"):
        click.echo(f"lost with the old ledger: what it knew of at least {done['newer']} instances received since")
    for step in done["to_do"]:
        click.echo(f"- {step}")
