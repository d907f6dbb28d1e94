"""What must hold between the sections of a configuration.

`of_values` needs no valid models, so that a wrong name is reported along with a wrong value elsewhere; `of_config`
needs the whole configuration. Nothing here reads more than whether a file exists.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from node.config import canary, commitment, limits, notify, web
from node.config.model import Config, Listener, Route, is_recipe_path
from node.config.senders import Who
from node.config.shipped import shipped_recipe_names
from node.config.titles import covers, overlap
from node.config.units import Endpoint
from node.config.yaml12 import Document, KeyPath, Value, dotted
from node.errors import Fault


def of_values(document: Document, file: str, base: Path) -> Iterator[Fault]:
    """Find names that nothing defines: destinations, recipes; and names that two routes share."""
    data = document.data if isinstance(document.data, dict) else {}
    routes, destinations = data.get("routes"), data.get("destinations")
    names: dict[str, KeyPath] = {}
    for index, route in enumerate(_list(routes)):
        if not isinstance(route, dict):
            continue
        place: KeyPath = ("routes", index)
        found = [
            *_unknown_destinations(route.get("to"), destinations, (*place, "to")),
            *_unknown_recipes(route.get("recipe"), (*place, "recipe"), base),
            *_name_taken(route.get("name"), (*place, "name"), names, document),
        ]
        for path, problem, hint in found:
            yield Fault(file, document.line_of(path), problem, hint, dotted(path))
    if _nowhere(data.get("node")):
        hint = "Say where senders reach the node: `listen: host:port`, or `listeners`."
        yield Fault(file, document.line_of(("node",)), "is missing.", hint, "node.listen")
    for path, problem, hint in _unknown_projects(data.get("projects"), routes):
        yield Fault(file, document.line_of(path), problem, hint, dotted(path))


def _nowhere(node: Value) -> bool:
    return isinstance(node, dict) and node.get("listen") is None and node.get("listeners") in (None, ())


def existing_recipes(document: Document, base: Path) -> list[tuple[str, ...]]:
    """Return the recipes that each route names, without those that `of_values` reports; paths are absolute."""
    data = document.data if isinstance(document.data, dict) else {}
    lists = [route.get("recipe") for route in _list(data.get("routes")) if isinstance(route, dict)]
    found = []
    for recipes in lists:
        missing = {path[-1] for path, _, _ in _unknown_recipes(recipes, (), base)}
        entries = [entry for index, entry in _texts(recipes) if entry and index not in missing]
        found.append(tuple(str(base / entry) if is_recipe_path(entry) else entry for entry in entries))
    return [entries for entries in found if entries]


def _texts(value: Value) -> list[tuple[int, str]]:
    return [(index, entry) for index, entry in enumerate(_list(value)) if isinstance(entry, str)]


def _list(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else ()


def _unknown_destinations(to: Value, destinations: Value, path: KeyPath) -> Iterator[tuple[KeyPath, str, str]]:
    known = list(destinations) if isinstance(destinations, dict) else []
    seen = set()
    for index, name in _texts(to):
        if name not in known:
            yield (*path, index), f"there is no destination '{name}'.", _nearest(name, known)
        elif name in seen:
            yield (*path, index), f"the destination '{name}' stands here twice.", "Remove one of the two."
        seen.add(name)


def _unknown_recipes(recipes: Value, path: KeyPath, base: Path) -> Iterator[tuple[KeyPath, str, str]]:
    for index, entry in _texts(recipes):
        if not entry or entry.startswith("~") or "\0" in entry:
            continue  # the model says so
        if is_recipe_path(entry):
            if not (base / entry).is_file():
                yield (*path, index), f"there is no recipe file '{entry}'.", "Paths count from this file's folder."
        elif entry not in (known := shipped_recipe_names()):
            hint = f"{_nearest(entry, known)} A path has a `/` or ends in `.dicom`.".lstrip()
            yield (*path, index), f"there is no shipped recipe '{entry}'.", hint


def _unknown_projects(projects: Value, routes: Value) -> Iterator[tuple[KeyPath, str, str]]:
    """Find rules that no route follows: with a mistyped name, another project would go by the defaults."""
    entries = [route for route in _list(routes) if isinstance(route, dict)]
    known = [name for route in entries if isinstance(name := route.get("project", route.get("name")), str)]
    for name in projects if isinstance(projects, dict) else ():
        if name not in known:
            yield ("projects", name), f"no route belongs to a project '{name}'.", _nearest(name, known)


def _name_taken(
    name: Value, path: KeyPath, names: dict[str, KeyPath], document: Document
) -> Iterator[tuple[KeyPath, str, str]]:
    if not isinstance(name, str):
        return
    if name in names:
        line = document.line_of(names[name])
        yield path, f"the route in line {line} is called '{name}' too.", "Name one of them differently."
    names.setdefault(name, path)


def _nearest(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, 1, 0.5)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Known: {', '.join(known)}." if known else ""


def of_config(config: Config, document: Document) -> Iterator[Fault]:
    """Find routes that nothing reaches or that are open to anyone, and addresses and folders that collide."""
    found = (
        *_routes(config),
        *_certified(config),
        *limits.faults(config),
        *web.faults(config),
        *notify.faults(config),
        *canary.faults(config),
        *commitment.faults(config),
        *_listeners(config),
        *_addresses(config),
        *_folders(config),
        *_kept(config),
    )
    for path, problem, hint in found:
        yield Fault(str(config.file), document.line_of(path), problem, hint, dotted(path))


def _routes(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    open_listener = _beyond_this_machine(config)
    for index, route in enumerate(config.routes):
        for earlier in config.routes[:index]:
            if _covers(earlier, route, config.node.ae_title):
                problem = f"never reached: the route '{earlier.name}' before it takes all that this one would."
                yield ("routes", index), problem, "The first that matches decides; put this one before it."
                break
        if open_listener and route.from_.called_ae is None and _is_anybody(route.from_):
            problem = "this route takes instances from anyone, and the node listens beyond this machine."
            yield ("routes", index), problem, "Say under `from` who may send."
        if route.mapping == "required" and route.missing_patient_id == "study":
            problem = "no crosswalk can name a patient who is known by a study alone."
            yield ("routes", index, "missing_patient_id"), problem, "Remove it, or `mapping: required`."


def _covers(earlier: Route, later: Route, own_title: str) -> bool:
    one, other = earlier.from_, later.from_
    return covers(one.called_ae or (own_title,), other.called_ae or (own_title,)) and one.covers(other)


def _is_anybody(who: Who) -> bool:
    return who.calling_ae is None and who.address is None and who.certificate is None


def _certified(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find what is for clients with a certificate, where no listener that it could come by asks for one."""
    places: list[tuple[KeyPath, tuple[str, ...] | None]] = [
        (("routes", index, "from", "certificate"), route.from_.called_ae or (config.node.ae_title,))
        for index, route in enumerate(config.routes)
        if route.from_.certificate is not None
    ]
    places += [
        (("limits", index, "certificate"), None)
        for index, limit in enumerate(config.limits)
        if limit.certificate is not None
    ]
    for path, called in places:
        if not any(_asks(listener, called) for listener in config.node.listening):
            problem = "never reached: no listener that it could come by asks for a certificate."
            hint = "Add a listener with `tls` and `ca` (`client_certificate: required`), or remove this."
            yield path, problem, hint


def _asks(listener: Listener, called: tuple[str, ...] | None) -> bool:
    """Say whether a listener asks for certificates, and has an AE title of `called` (None: any)."""
    return (
        listener.tls is not None and listener.tls.client_certificate != "none" and overlap(listener.called_ae, called)
    )


def _beyond_this_machine(config: Config) -> bool:
    return any(not is_loopback(listener.listen.host) for listener in config.node.listening)


def _listeners(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find two that could not listen at once; hosts that overlap without being the same show when they are bound."""
    listening = [listener.listen for listener in config.node.listening]
    first = len(listening) - len(config.node.listeners)
    for number, listen in enumerate(listening):
        if number >= first and any(_overlap(listen, earlier) for earlier in listening[:number]):
            place: KeyPath = ("node", "listeners", number - first, "listen")
            yield place, "another listener has this port.", "Give it a port of its own."


def _overlap(one: Endpoint, other: Endpoint) -> bool:
    return one.port == other.port and (one.host == other.host or _is_any(one.host) or _is_any(other.host))


def _addresses(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    trial, listening = config.trial_destination, [listener.listen for listener in config.node.listening]
    if trial is not None and any(trial.listen.port == listen.port for listen in listening):
        problem = "the trial destination would listen at the port of the node itself."
        yield ("trial_destination", "listen"), problem, "Give it another port."
    for name, destination in config.destinations.items():
        if destination.tls is not None and config.is_trial(name):
            problem = "the trial destination does not speak TLS."
            yield ("destinations", name, "tls"), problem, "Remove it."
        if destination.query is not None and config.is_trial(name):
            problem = "the trial destination answers no queries."
            yield ("destinations", name, "query"), problem, "Remove it."
        if any(_same_place(destination.address, listen) for listen in listening):
            problem = "this is the node itself: what it sends would come back to it."
            yield ("destinations", name, "address"), problem, "Name the archive's address."


def _same_place(address: Endpoint, listen: Endpoint) -> bool:
    if address.port != listen.port:
        return False
    return address.host == listen.host or (
        is_loopback(address.host) and (is_loopback(listen.host) or _is_any(listen.host))
    )


def is_loopback(host: str) -> bool:
    """Say whether a host can only be reached from this machine; a name other than `localhost` cannot be known."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _folders(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    trial, spool = config.trial_destination, config.node.spool
    if trial is not None and (trial.folder.is_relative_to(spool) or spool.is_relative_to(trial.folder)):
        problem = "the trial destination's folder and the spool must not contain one another."
        yield ("trial_destination", "folder"), problem, "Give it a folder of its own."
    for key, path in (("secret_file", config.node.secret_file), ("ledger", Path(config.node.ledger[10:]))):
        if path.is_relative_to(spool):
            yield ("node", key), "must not lie in the spool.", "Only the node's own instance files lie there."
    key_file = config.node.encryption.key_file if config.node.encryption is not None else None
    if key_file is not None and any(key_file.is_relative_to(one) for one in (config.node.data, spool)):
        problem = "must not lie beside what it protects."
        yield ("node", "encryption", "key_file"), problem, "Put it outside of node.data and node.spool."


def _kept(config: Config) -> Iterator[tuple[KeyPath, str, str]]:
    """Find two answers to how long originals stay, and keys that two projects would share."""
    if config.retention.originals and config.node.originals == "until-cleaned":
        problem = "originals cannot stay after their delivery where `node.originals` lets them go before it."
        yield ("retention", "originals"), problem, "Remove one of the two."
    folder = config.backup.folder
    if folder is not None and any(folder.is_relative_to(one) for one in (config.node.data, config.node.spool)):
        problem = "must not lie in the data folder: what takes that away would take the backups along."
        yield ("backup", "folder"), problem, "Put it on another disk."
    owners: dict[Path, str] = {config.node.secret_file: "the node's secret"}
    for name, project in config.projects.items():
        if project.key_file is None:
            continue
        path: KeyPath = ("projects", name, "key_file")
        if project.key_file in owners:
            yield path, f"this file is {owners[project.key_file]}.", "Each project has a key of its own."
        if project.key_file.is_relative_to(config.node.spool):
            yield path, "must not lie in the spool.", "Only the node's own instance files lie there."
        owners[project.key_file] = f"the key of project '{name}'"


def warnings(config: Config) -> tuple[str, ...]:
    """Say what is no fault, but hardly meant."""
    used = {name for route in config.routes for name in route.to}
    found = [f"destination '{name}': no route sends to it." for name in config.destinations if name not in used]
    if _beyond_this_machine(config):
        found += [
            f"route '{route.name}': takes instances from any address and any calling AE title."
            for route in config.routes
            if _is_anybody(route.from_)
        ]
    if config.web.enabled and not is_loopback(config.web.listen.host):
        found.append("web.listen: reached from beyond this machine without TLS; only a reverse proxy may come there.")
    if config.trial_destination is not None and not any(map(config.is_trial, used)):
        found.append("trial_destination: no route sends to it.")
    if config.peers and not commitment.is_wanted(config):
        found.append("peers: no route has `commitment`, so that nobody is reported to.")
    return tuple(found)
