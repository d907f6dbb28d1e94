"""What people do with the crosswalk: import, export, see who waits, merge. Plain arguments, plain data.

Guarantees
    An import is whole or not at all, and told to the audit trail in the same commit; whoever is shown identity is
    written down before it is shown. Ids that a spreadsheet has changed are refused. Nothing but the files and lists
    that are asked for holds a value.

Refuses
    (PairsRefused) a file with a fault in any line, each named by its line; (MergeRefused) ids that cannot be one
    person; (NodeError) a project that no route belongs to, and a secret that is not the ledger's.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from node.audit import kinds
from node.config import Config
from node.crosswalk.headings import Column
from node.crosswalk.lookup import is_lookup_table, read_lookup_table
from node.crosswalk.pairs import Pairs
from node.crosswalk.reading import Table, decode, read_table
from node.crosswalk.writing import csv_lines, write_new
from node.errors import DatasetError, Fault, HoldInstance, MergeRefused, NodeError, PairsRefused, StartError
from node.identity import PatientKey, Patients, fingerprint, load_secret
from node.instances import Scope, make_scope, opened
from node.ledger import Ledger
from node.ledger.crosswalk import check_pairs, import_pairs
from node.ledger.database import Database
from node.ledger.merging import merge
from node.ledger.pairs import ids, merged, patients, uids
from node.ledger.times import iso
from node.ledger.waiting import WaitingPatient, waiting, waiting_patients, who_waits
from node.opening import FINGERPRINT
from node.sealing import check_memory, new_memory
from node.spool import Spool

_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No look for garbage: the lines of a file are very many small objects, of which none is any."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_uncollected()
def import_file(  # noqa: PLR0913 - keywords of one request
    config: Config,
    ledger: Ledger,
    data: bytes,
    *,
    file: str,
    project: str,
    issuer: str | None = None,
    as_written: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Import the pairs of a file into the maps of a project.

    Parameters
    ----------
    data, file
        The file's content, and how messages call it.
    issuer
        The issuer of lines that name none; None takes the one that all routes of the project have.
    as_written
        Take ids as they stand, whatever a spreadsheet may have made of them.
    dry_run
        Only say what would happen.

    Returns
    -------
    dict
        `project`, `patients`, `uids`, `merged` in the file; `new`, `known` pairs, `released` instances, `open` lines of
        a list that was not filled in, `ignored` lines of a lookup table by their kind, `dry_run`.

    Raises
    ------
    PairsRefused
        With a fault for every line that cannot be; nothing was written.
    ProjectClosed, NodeError, LedgerError
        Nothing was written.
    """
    scope, needed = _scope(config, ledger.database, project, issuer)
    text = decode(data, file)
    pairs = Pairs(file, scope.patients.key, needed, as_written)
    ignored: dict[str, int] = {}
    if is_lookup_table(text):
        found = read_lookup_table(text, file)
        ignored = dict(found.others)
        pairs.read(Table(found.rows, frozenset({Column.PATIENT_ID, Column.PSEUDONYM, Column.SHIFT})))
    else:
        pairs.read(read_table(text, file))
    _check(ledger.database, scope, pairs)
    if dry_run:
        done = check_pairs(ledger.database, scope, pairs.found, file)
    else:
        done = import_pairs(ledger.database, scope, pairs.found, file, ledger.trail)
    kinds_of = [type(pair).__name__ for pair in pairs.found]
    return {
        "project": project,
        "patients": kinds_of.count("PatientPair"),
        "uids": kinds_of.count("UidPair"),
        "merged": kinds_of.count("SamePerson"),
        "new": done.new,
        "known": done.known,
        "released": done.released,
        "open": pairs.open,
        "ignored": ignored,
        "dry_run": dry_run,
    }


def _check(database: Database, scope: Scope, pairs: Pairs) -> None:
    """Raise PairsRefused with everything that is wrong, in the order of lines."""
    if pairs.numbers:
        with database.read() as connection:
            found = who_waits(connection, scope.project, 10 * pairs.numbers)
            waits = None if found is None else _waits(scope, found)
            pairs.check_zeros(ids(connection, scope.project, scope.keys.epoch), waits)
    faults = pairs.faults
    if faults:
        faults = [*faults, *_more(database, scope, pairs)]
        raise PairsRefused(sorted(faults, key=lambda fault: fault.line or 0))


def _more(database: Database, scope: Scope, pairs: Pairs) -> list[Fault]:
    """What the maps have against the lines that are right by themselves."""
    try:
        check_pairs(database, scope, pairs.found, pairs.file)
    except PairsRefused as error:
        return error.faults
    return []


def _waits(scope: Scope, found: Callable[[str], bool]) -> Callable[[str, str], bool]:
    return lambda issuer, patient_id: found(scope.keys.whose(PatientKey(issuer, patient_id), ""))


def _scope(config: Config, database: Database, project: str, issuer: str | None) -> tuple[Scope, bool]:
    """Return a project with its keys, and whether lines have to name their issuer. Raises NodeError."""
    issuers = {route.issuer for route in config.routes if route.project == project}
    if not issuers:
        raise NodeError(f"no route belongs to a project '{project}'")
    try:
        secret = load_secret(config.node.secret_file)
        if database.get(FINGERPRINT) not in (None, fingerprint(secret)):
            raise NodeError(f"the secret {config.node.secret_file} is not the one that the ledger was made with")
        scope = make_scope(config, project, None, secret)
    except StartError as error:
        # Nothing is started here: it is wrong, no more.
        raise NodeError(str(error)) from None
    default = next(iter(issuers)) if issuer is None and len(issuers) == 1 else issuer or ""
    rules = config.project(project)
    scope = replace(scope, patients=Patients(default, rules.aliases(), rules.placeholder_ids))
    return scope, issuer is None and len(issuers) > 1


def merge_ids(  # noqa: PLR0913 - keywords of one request
    config: Config,
    ledger: Ledger,
    project: str,
    old: str,
    new: str,
    *,
    issuer: str | None = None,
    new_issuer: str | None = None,
) -> dict[str, Any]:
    """Make two Patient IDs of a project one person: from now on `new` has pseudonym and shift of `old`.

    `issuer` is that of both, or of the old one where `new_issuer` is named; None is the routes' own.

    Returns
    -------
    dict
        `known` where they were one already, `dropped` where the second had a pair that nothing went out under and that
        is gone, `released` instances that waited.

    Raises
    ------
    MergeRefused
        With what was delivered; nothing was changed.
    ProjectClosed, NodeError, LedgerError
        Nothing was changed.
    """
    scope, needed = _scope(config, ledger.database, project, issuer)
    if needed:
        raise NodeError(f"the routes of project {project} have different issuers: name one with --issuer")
    keys = scope.patients.key(issuer, old), scope.patients.key(new_issuer or issuer, new)
    if keys[0] is None or keys[1] is None:
        raise MergeRefused("an id is empty or a placeholder, and no one's own; nothing was changed")
    done = merge(ledger.database, scope, keys[0], keys[1], ledger.trail)
    return {"project": project, "known": done.known, "dropped": done.dropped, "released": done.released}


def waiting_list(ledger: Ledger) -> list[dict[str, Any]]:
    """Return who waits for a pair, by project: `project`, `patients`, `instances`, `without_id`, `since`."""
    return [one.told() for one in waiting(ledger.database)]


def list_waiting(config: Config, ledger: Ledger, project: str, separator: str = ",") -> str:
    """Return who waits in a project as a CSV file to be filled in and imported; told to the audit trail before.

    Read from the originals in the spool. Raises NodeError where one of them cannot be read.
    """
    found = waiting_patients(ledger.database, project)
    if ledger.trail is not None:
        ledger.record(kinds.maps_read(ledger.trail.by, project, f"{len(found)} patients who wait were listed"))
    head = (Column.ISSUER, Column.PATIENT_ID, Column.PSEUDONYM, Column.SHIFT, Column.WAITING, Column.SINCE)
    rows: list[Sequence[str | int]] = [[str(column) for column in head]]
    for one in found:
        key = _who(config, one)
        rows.append([key.issuer, key.patient_id, "", "", one.instances, str(iso(one.since))])
    return "".join(csv_lines(rows, separator))


def _who(config: Config, one: WaitingPatient) -> PatientKey:
    spool = Spool(config.node.spool, sealing=config.node.sealing)
    route = next((route for route in config.routes if route.name == one.route), None)
    rules = config.project(route.project if route else "")
    by = Patients(route.issuer if route else "", rules.aliases(), rules.placeholder_ids)
    try:
        with (
            contextlib.closing(spool.open_original(one.first)) as original,
            opened(original.mappable(), new_memory, check_memory) as source,
        ):
            key = by.key(source.dataset.text(_ISSUER), source.dataset.text(_PATIENT_ID))
    except (OSError, DatasetError, HoldInstance):
        key = None
    if key is None:
        raise NodeError(f"the original of {one.first}, which waits, cannot be read: deid-node held show {one.first}")
    return key


def export_pairs(config: Config, ledger: Ledger, project: str, out: Path, *, separator: str = ",") -> dict[str, int]:
    """Write all pairs of a project, in its key epoch of now, to a new file that `import_file` takes elsewhere.

    Told to the audit trail before the file appears. Returns how many `patients`, `merged` ids and `uids` it has.

    Raises
    ------
    FileError
        The file exists already or cannot be written.
    NodeError, LedgerError
        Nothing was written.
    """
    epoch = config.project(project).epoch
    if not any(route.project == project for route in config.routes):
        raise NodeError(f"no route belongs to a project '{project}'")
    counts = {"patients": 0, "merged": 0, "uids": 0}

    def note() -> None:
        if ledger.trail is not None:
            text = "exported: " + ", ".join(f"{number} {name}" for name, number in counts.items())
            ledger.record(kinds.maps_read(ledger.trail.by, project, text))

    write_new(out, csv_lines(_rows(ledger.database, project, epoch, counts), separator), note)
    return counts


_EXPORTED = (
    Column.ISSUER,
    Column.PATIENT_ID,
    Column.PSEUDONYM,
    Column.SHIFT,
    Column.SAME_ISSUER,
    Column.SAME_ID,
    Column.ORIGINAL_UID,
    Column.REPLACEMENT_UID,
    Column.ORIGIN,
)


def _rows(database: Database, project: str, epoch: int, counts: dict[str, int]) -> Iterator[Sequence[str | int]]:
    yield [str(column) for column in _EXPORTED]
    with database.read() as connection:
        given = {}
        for patient in patients(connection, project, epoch):
            counts["patients"] += 1
            given[patient.issuer, patient.patient_id] = patient.pseudonym
            cells = (patient.issuer, patient.patient_id, patient.pseudonym, patient.shift_days)
            yield *cells, "", "", "", "", patient.origin
        for issuer, patient_id, *same in merged(connection, project, epoch):
            counts["merged"] += 1
            yield issuer, patient_id, given.get((same[0], same[1]), ""), "", *same, "", "", "merged"
        for uid in uids(connection, project, epoch):
            counts["uids"] += 1
            yield "", "", "", "", "", "", uid.original, uid.replacement, uid.origin
