"""Search, and the story of what was found."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from node.web.api.models import Asked, subject
from node.web.pages.search import LONGEST, look
from node.web.site import Looking

router = subject("search")


class Search(Asked):
    """What to look for: an id of the node, UID or pseudonym; with `identity` also a Patient ID, an accession number."""

    term: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    identity: bool = False


class Found(BaseModel):
    """What was found, by study; and the story, where it is one instance, as `deid-node explain --json` tells it."""

    studies: list[dict[str, Any]]
    stories: list[dict[str, Any]]


@router.post("/search")
def search(desk: Looking, asked: Search) -> Found:
    """Find instances by what is known of them. What is searched for stands in the body, never in an address."""
    answer = look(desk, asked.term, identity=asked.identity and desk.may("re-identifier"))
    return Found(studies=list(answer.studies), stories=list(answer.stories))
