"""Studies, their completeness, and receipts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from node.ledger.completeness import listed
from node.ledger.following import look_again
from node.ledger.receipts import receipt
from node.web.api.models import problems, subject
from node.web.pages.studies import MOST, Number, known, take_as_is, told
from node.web.site import Acting, Looking

router = subject("studies")

ReceiptNumber = Annotated[int, Path(ge=1, le=2**53, description="Of a receipt")]


class Study(BaseModel):
    """One study that is followed, as `completeness list --json` prints it (docs/completeness.md)."""

    model_config = ConfigDict(extra="allow")

    number: int
    project: str
    study_instance_uid: str
    state: str
    changed_since: bool


class Report(BaseModel):
    """All of one study, as `completeness show --json` prints it."""

    model_config = ConfigDict(extra="allow")

    project: str
    study_instance_uid: str
    state: str
    received: int
    destinations: dict[str, dict[str, Any]]
    differences: list[dict[str, Any]]
    by_series: list[dict[str, Any]]
    references: dict[str, Any]
    receipts: list[dict[str, Any]]


class Accepted(BaseModel):
    """How many instances the differences are about that were accepted."""

    instances: int


class Asked(BaseModel):
    """That a study is to be looked at."""

    number: int


class Signed(BaseModel):
    """A receipt, its signature (base64), and the public key (hexadecimal)."""

    receipt: dict[str, Any]
    signature: str
    public_key: str


@router.get("/studies")
def every(
    desk: Looking,
    with_problems: Annotated[bool, Query(alias="problems", description="Only those to be looked at")] = False,
    limit: Annotated[int, Query(ge=1, le=10_000)] = MOST,
) -> list[Study]:
    """List the studies that are followed."""
    found = listed(desk.site.database, problems=with_problems, limit=limit)
    return [Study.model_validate(one) for one in found]


@router.get("/studies/{number}", responses=problems(404))
def one(desk: Looking, number: Number) -> Report:
    """Tell all of one study."""
    found = told(desk, number)
    return Report.model_validate({**found["study"], "receipts": found["receipts"]})


@router.post("/studies/{number}/accept", responses=problems(404))
def accepted(desk: Acting, number: Number) -> Accepted:
    """Take what differs as it is, until it is something else."""
    return Accepted(instances=take_as_is(desk, number))


@router.post("/studies/{number}/check", responses=problems(404))
def checked(desk: Acting, number: Number) -> Asked:
    """Let the node look at a study now, and ask its destinations again."""
    known(desk, number)
    look_again(desk.site.database, number)
    return Asked(number=number)


@router.get("/receipts/{number}", responses=problems(404))
def receipted(desk: Looking, number: ReceiptNumber) -> Signed:
    """Return a receipt."""
    found = receipt(desk.site.database, number)
    if found is None:
        raise HTTPException(404, "there is no such receipt")
    return Signed.model_validate(found)
