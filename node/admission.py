"""Which line of the configuration would admit who was refused: advice for people, out of what the ledger counts.

Guarantees that it is only said, never done; that nothing is proposed which would admit more than the one who was
refused (a `*` in an AE title of a peer's is no wildcard); and that what peers say of themselves stands in quotes, on
one line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from node.config import Caller, Config, Route, Who, read_document
from node.config.limits import amount
from node.config.titles import matches
from node.config.yaml12 import KeyPath, dotted
from node.log import clean_text

NOTHING_TO_DO = "nothing: the configuration admits it now"
_BY_TLS = "no line: the log says why the handshake failed (tls-refused)"
_BY_UID = "no line: the sender has to give each instance a valid UID"
_BY_CONTEXT = "no line: the node takes instances by C-STORE, and C-ECHO"


@dataclass(frozen=True, slots=True)
class Refused:
    """What was refused, as the ledger counts it; `certificate` are the names in the peer's, separated by commas."""

    kind: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    certificate: str = ""

    @property
    def caller(self) -> Caller:
        """Who it was."""
        return Caller.of(self.calling_ae_title, self.address, filter(None, self.certificate.split(", ")))


class Advice:
    """Says what would admit whom, by file, line and key of `config`, whose file is read again for its lines."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._document = read_document(config.file)
        self._by_kind: dict[str, Callable[[Refused], str]] = {
            "association": self._for_association,
            "echo": self._for_echo,
            "listener": self._for_listener,
            "node-limit": lambda _: self._more(("node", "max_associations"), str(config.node.max_associations)),
            "peer-limit": lambda refused: self._for_limit(refused, "associations"),
            "instance-size": lambda refused: self._for_limit(refused, "instance_size"),
            "tls": lambda _: _BY_TLS,
            "presentation-context": lambda _: _BY_CONTEXT,
        }

    def of(self, refused: Refused) -> str:
        """Return what to change; several changes, which are needed together, are separated by semicolons."""
        find = self._by_kind.get(refused.kind)
        return _BY_UID if find is None else find(refused)

    def _place(self, path: KeyPath) -> str:
        return f"{dotted(path)} ({self._config.file}:{self._document.line_of(path)})"

    def _more(self, path: KeyPath, now: str) -> str:
        return f"{self._place(path)}: more than {now}"

    def _for_association(self, refused: Refused) -> str:
        return self._nearest([self._title(*one, refused) | self._parts(*one, refused) for one in self._routes()])

    def _for_echo(self, refused: Refused) -> str:
        """C-ECHO is a matter of address and certificate alone."""
        changes = [self._parts(*one, refused) for one in self._routes()]
        return self._nearest([{part: one[part] for part in one if part != "calling_ae"} for one in changes])

    def _routes(self) -> Iterator[tuple[int, Route]]:
        return enumerate(self._config.routes)

    def _nearest(self, routes: list[dict[str, str]]) -> str:
        """Return what the route needs that needs least; of several the first that is for the sender's address."""
        nearest = min(routes, key=lambda changes: (len(changes), "address" in changes))
        return "; ".join(nearest.values()) or NOTHING_TO_DO

    def _title(self, index: int, route: Route, refused: Refused) -> dict[str, str]:
        titles = route.from_.called_ae or (self._config.node.ae_title,)
        if any(matches(title, refused.called_ae_title) for title in titles):
            return {}
        return {"called_ae": self._add(("routes", index, "from", "called_ae"), titles, refused.called_ae_title)}

    def _parts(self, index: int, route: Route, refused: Refused) -> dict[str, str]:
        who: Who = route.from_
        caller, place = refused.caller, ("routes", index, "from")
        found = {}
        if not who.is_calling(caller):
            found["calling_ae"] = self._add((*place, "calling_ae"), who.calling_ae or (), refused.calling_ae_title)
        if not who.is_there(caller):
            address = refused.address if caller.address is None else str(caller.address)
            found["address"] = self._add((*place, "address"), tuple(map(str, who.address or ())), address)
        if not who.is_certified(caller):
            found["certificate"] = self._certificate((*place, "certificate"), who, caller)
        return found

    def _certificate(self, path: KeyPath, who: Who, caller: Caller) -> str:
        if not caller.names:
            return f"{self._place(path)}: it has shown no certificate"
        return self._add(path, who.certificate or (), caller.names[0])

    def _for_listener(self, refused: Refused) -> str:
        """Name the listeners without the title; which of them it was, the address in the sender's settings tells."""
        first = len(self._config.node.listening) - len(self._config.node.listeners)
        named = [
            self._add(("node", "listeners", number - first, "called_ae"), titles, refused.called_ae_title)
            for number, listener in enumerate(self._config.node.listening)
            if (titles := listener.called_ae) is not None
            and not any(matches(title, refused.called_ae_title) for title in titles)
        ]
        return ", or ".join(named) or NOTHING_TO_DO

    def _for_limit(self, refused: Refused, key: str) -> str:
        for index, limit in enumerate(self._config.limits):
            if limit.is_meant(refused.caller):
                now: int | None = getattr(limit, key)
                if now is None:
                    break
                return self._more(("limits", index, key), amount(now) if key == "instance_size" else str(now))
        return NOTHING_TO_DO

    def _add(self, path: KeyPath, now: tuple[str, ...], new: str) -> str:
        place = self._place(path)
        if "*" in new:
            return f"{place}: none for this sender, whose name has a *, which stands for any characters here"
        if not new:
            return f"{place}: none for a sender without a name"
        quoted = _quoted(new)
        if path in self._document.lines:
            return f"{place}: add {quoted}"
        return f"{place}: write [{', '.join([*map(_quoted, now), quoted])}]"


def _quoted(text: str) -> str:
    return json.dumps(clean_text(text), ensure_ascii=False)
