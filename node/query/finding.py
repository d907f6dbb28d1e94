"""C-FIND at the series and image level of the Study Root information model (PS3.4 C.6.2), by UIDs alone.

One question for each series, since not every SCP knows lists of UIDs; a single instance is asked for by its own UID.
An SCP that ignores a key answers with more than was asked for: that is counted where it may be of interest, and never
taken for an answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from node.dicomnet import RequestedAssociation, associate
from node.dicomnet.dimse import PENDING, SUCCESS
from node.errors import DatasetError, QueryFailed, QueryNotSupported
from node.query.identifiers import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, encode, uid_of
from node.query.peer import QueryPeer
from node.recipe import EncodedDataset
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE, Syntax, lookup

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOST_MATCHES = 100_000  # of one question: who answers with more does not look at its keys


@dataclass(slots=True)
class Found:
    """What a peer says that it has of a study.

    Attributes
    ----------
    instances
        SOP Instance UIDs by Series Instance UID, of each series that the peer answered for, none left out.
    other_series
        How many series of the study it has beside those that were asked for; None where it did not say.
    problem
        Why series are missing in `instances`; empty where it has all that were asked for.
    """

    instances: dict[str, set[str]] = field(default_factory=dict)
    other_series: int | None = None
    problem: str = ""

    @property
    def complete(self) -> bool:
        """Whether the peer answered for each series that was asked for."""
        return not self.problem


def find_instances(peer: QueryPeer, study_uid: str, series_uids: Collection[str]) -> Found:
    """Ask which instances of some series of a study the peer has.

    Raises
    ------
    QueryNotSupported
        The peer takes no C-FIND of the Study Root information model.
    NetworkError
        It cannot be reached, refused the association or broke it; nothing is known.
    """
    found = Found()
    with _Questions(peer) as questions:
        try:
            for series_uid in series_uids:
                found.instances[series_uid] = questions.instances(study_uid, series_uid)
        except QueryFailed as error:
            found.problem = str(error)
            return found
        with contextlib.suppress(QueryFailed):
            found.other_series = len(questions.series(study_uid) - set(series_uids))
    return found


def has_instances(peer: QueryPeer, wanted: Sequence[tuple[str, str, str]]) -> set[str]:
    """Ask for instances by Study, Series and SOP Instance UID; return the SOP Instance UIDs that the peer lists.

    Raises
    ------
    QueryNotSupported, QueryFailed
        The peer does not answer this question.
    NetworkError
        It cannot be reached, refused the association or broke it.
    """
    series: dict[tuple[str, str], set[str]] = {}
    for study_uid, series_uid, sop_uid in wanted:
        series.setdefault((study_uid, series_uid), set()).add(sop_uid)
    found: set[str] = set()
    with _Questions(peer) as questions:
        for (study_uid, series_uid), uids in series.items():
            only = next(iter(uids)) if len(uids) == 1 else ""
            found |= uids & questions.instances(study_uid, series_uid, only)
    return found


class _Questions:
    """An association for questions; released in the end, aborted on any failure."""

    def __init__(self, peer: QueryPeer) -> None:
        self._association: RequestedAssociation = associate(
            peer.host,
            peer.port,
            calling_ae_title=peer.calling_ae_title,
            called_ae_title=peer.called_ae_title,
            contexts=[(STUDY_ROOT_FIND, (EXPLICIT_LE.uid, IMPLICIT_LE.uid))],
            timeouts=peer.timeouts,
            tls=peer.tls,
        )

    def __enter__(self) -> _Questions:
        if not self._association.accepted:
            self._association.release()
            raise QueryNotSupported("it does not answer C-FIND (Study Root Query/Retrieve Information Model)")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._association.release()
        else:
            self._association.abort()

    def series(self, study_uid: str) -> set[str]:
        """Return the Series Instance UIDs of a study."""
        return set(self.ask("SERIES", {STUDY_INSTANCE_UID: study_uid, SERIES_INSTANCE_UID: ""}))

    def instances(self, study_uid: str, series_uid: str, sop_uid: str = "") -> set[str]:
        """Return the SOP Instance UIDs of a series, or the one that is asked for where it is there."""
        keys = {STUDY_INSTANCE_UID: study_uid, SERIES_INSTANCE_UID: series_uid, SOP_INSTANCE_UID: sop_uid}
        return set(self.ask("IMAGE", keys))

    def ask(self, level: str, keys: Mapping[int, str]) -> Iterator[str]:
        """Ask once; yield the UID of the level of each match that has the UIDs which were asked for.

        Raises QueryFailed, and NetworkError where the association is over.
        """
        ((number, (_, syntax_uid)),) = self._association.accepted.items()
        syntax = lookup(syntax_uid) or IMPLICIT_LE
        answers = self._association.query(number, STUDY_ROOT_FIND, encode(level, keys, syntax))
        last = SERIES_INSTANCE_UID if level == "SERIES" else SOP_INSTANCE_UID
        with contextlib.closing(answers):
            for count, (status, identifier) in enumerate(answers):
                if status not in PENDING:
                    _judge(status)
                elif count >= MOST_MATCHES:
                    raise QueryFailed(f"it answered with more than {MOST_MATCHES} matches")
                elif (uids := _uids(identifier, syntax, keys))[last] and _fits(uids, keys):
                    yield uids[last]


def _uids(identifier: bytes, syntax: Syntax, tags: Collection[int]) -> dict[int, str]:
    """Return the UIDs of a match, empty ones where it has none."""
    try:
        match = EncodedDataset.scan(identifier, 0, syntax)
        return {tag: uid_of(match, tag) for tag in tags}
    except DatasetError:
        raise QueryFailed("it answered with an identifier that cannot be parsed") from None


def _fits(uids: Mapping[int, str], keys: Mapping[int, str]) -> bool:
    """Say whether a match has each UID that was asked for; it need not repeat those of the levels above."""
    return all(uid == keys[tag] or not keys[tag] for tag, uid in uids.items() if uid)


def _judge(status: int) -> None:
    if status != SUCCESS:
        raise QueryFailed(f"it answered C-FIND with {status:04X}H")
