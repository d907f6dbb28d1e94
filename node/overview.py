"""The state of the node as a whole: what the ledger counts, beside what the configuration and the disk say.

Guarantees that nothing of a data set is in it. `deid-node status` prints it, the web page shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from node.errors import OUTCOMES

if TYPE_CHECKING:
    from node.config import Config
    from node.ledger import Ledger


def overview(ledger: Ledger, config: Config, *, advice: bool = True) -> dict[str, Any]:
    """Return all that `deid-node status --json` prints, on refusals without `advice` too. Raises LedgerError."""
    found = with_configured(ledger.status(), config) | with_certificates(config)
    found |= with_audit(ledger, config) | with_upkeep(ledger, config)
    if advice:
        found["refused"] = with_advice(found["refused"], config)
    return found


def with_certificates(config: Config) -> dict[str, Any]:
    """Return the certificates of the configuration and how long they are valid; nothing where there are none."""
    from node.config import expiries

    found = [
        {"used_by": one.used_by, "file": str(one.file), "days_left": one.days, "problem": one.problem or None}
        for one in expiries(config)
    ]
    return {"certificates": found} if found else {}


def with_audit(ledger: Ledger, config: Config) -> dict[str, Any]:
    """Return how far the audit trail is behind at its syslog receiver; nothing where there is none."""
    from node.ledger.audit import backlog

    if config.audit.syslog is None:
        return {}
    found = backlog(ledger.database)
    receiver = str(config.audit.syslog.address)
    return {
        "audit": {
            "entries": found.entries,
            "syslog": receiver,
            "waiting": found.waiting,
            "last_error": found.error if found.waiting else None,
        }
    }


def with_advice(refused: list[dict[str, Any]], config: Config) -> list[dict[str, Any]]:
    """Add to each refusal the line of the configuration that would admit it."""
    from node.admission import Advice, Refused

    if not refused:
        return []
    advice = Advice(config)
    keys = ("kind", "calling_ae_title", "called_ae_title", "address", "certificate")
    return [one | {"would_admit": advice.of(Refused(*(one[key] for key in keys)))} for one in refused]


def with_upkeep(ledger: Ledger, config: Config) -> dict[str, Any]:
    """Return the state of the spool's disk, what went by age, and what somebody has to look at."""
    from node.config.commitment import is_wanted
    from node.ledger.alerts import alerts, disk_of
    from node.ledger.canary import summary
    from node.ledger.commitments import counts
    from node.ledger.erasing import erased

    disk = disk_of(config)
    keys = ("free", "floor", "warn", "state", "seconds_to_full")
    requests = counts(ledger.database)
    asked = {"commitment": requests} if is_wanted(config) or any(requests.values()) else {}
    return (
        {
            "disk": None if disk is None else {key: getattr(disk, key) for key in keys},
            "erased": erased(ledger.database),
            "alerts": alerts(ledger.database, config),
        }
        | asked
        | ({} if config.canary is None else {"canary": summary(ledger.database)})
    )


def with_age(entries: Iterable[Mapping[str, Any]], age: float | None) -> list[dict[str, Any]]:
    """Say of each that is held whether it is for longer than `age` (seconds, `retention.held`); of none where None."""
    now = datetime.now(UTC)
    return [
        {
            **entry,
            "overdue": age is not None and (now - datetime.fromisoformat(entry["since"])).total_seconds() > age,
        }
        for entry in entries
    ]


def with_configured(found: dict[str, Any], config: Config) -> dict[str, Any]:
    """Add the routes and destinations of the configuration to which nothing has come yet."""
    no_instances: dict[str, Any] = dict.fromkeys(("received", "cleaned", *OUTCOMES), 0)
    no_deliveries = {"delivered": 0, "waiting": 0, "held": 0, "next_try": None, "last_error": None, "paused": False}
    routes = {route.name: dict(no_instances) for route in config.routes}
    destinations = {name: dict(no_deliveries) for name in config.destinations}
    return found | {"routes": routes | found["routes"], "destinations": destinations | found["destinations"]}
