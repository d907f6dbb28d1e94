"""Encryption turned on over a node that has worked without: what it holds is sealed, while it is stopped.

Guarantees that an original is either as it was or sealed, at every moment, and that the ledger is sealed last, in one
transaction: killed anywhere, the next run ends the work. Refuses (StartError) while the node runs, without a key, and
where the ledger was sealed with another.
"""

from __future__ import annotations

import contextlib
import os
import stat

from node.config import Config, columns_of
from node.errors import SpoolError, StartError
from node.ledger.database import Database
from node.ledger.sealed import KEY_FINGERPRINT, seal_ledger
from node.opening import lock_spool, make_spool
from node.sealing import Original
from node.spool import Spool

_PIECE = 1 << 20


def encrypt(config: Config) -> dict[str, int]:
    """Seal originals and ledger of a configuration.

    Returns
    -------
    dict
        How many `originals` were sealed, and whether the `ledger` was (1, or 0 where it was before).

    Raises
    ------
    StartError
        As said above.
    NotReachable, LedgerError, SpoolError
        There is no ledger of this version, or the disk refused; run again.
    """
    sealing = config.node.sealing
    if sealing is None:
        raise StartError("the configuration has no node.encryption: name a key there first (openssl rand -hex 32)")
    fingerprint = sealing.key.fingerprint
    database = Database(config.node.ledger, columns_of(config))
    spool = make_spool(config)
    with contextlib.ExitStack() as open_ones:
        open_ones.callback(database.close)
        open_ones.callback(os.close, lock_spool(spool))
        database.require()
        known = database.get(KEY_FINGERPRINT)
        if known not in (None, fingerprint):
            raise StartError(f"the ledger {database.path} was sealed with another key: put that one back")
        done = sum(_seal(spool, name) for name, _ in spool.list_originals())
        if known is None:
            seal_ledger(database, database.columns, fingerprint)
        return {"originals": done, "ledger": int(known is None)}


def _seal(spool: Spool, name: str) -> bool:
    """Seal an original in its place; False where it is sealed already."""
    try:
        with contextlib.closing(spool.open_original(name)) as original:
            if original.sealed:
                return False
            spool.check_room(original.size)
            target = spool.create(name, "part")
            try:
                _copy(spool, name, original, target)
                spool.publish_original(target, name)
            finally:
                os.close(target)
    except OSError as error:
        raise SpoolError(f"an original cannot be sealed ({error.strerror})") from None
    return True


def _copy(spool: Spool, name: str, original: Original, target: int) -> None:
    sealer = spool.sealer(name)
    assert sealer is not None
    with open(target, "wb", closefd=False) as file:
        file.write(sealer.header)
        for place in range(0, original.size, _PIECE):
            file.writelines(sealer.update(original.read(place, min(_PIECE, original.size - place))))
        file.write(sealer.finish())
    # Its mode says whether it was cleaned already (`Spool.mark_cleaned`).
    os.fchmod(target, stat.S_IMODE(os.fstat(original.descriptor).st_mode))
