"""For whom an instance is replaced: the project with its keys and rules, and what counts as the patient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from node.config import Config, Route
from node.identity import Patients, ProjectKeys, fingerprint, load_secret, with_project_key


@dataclass(frozen=True, slots=True)
class Scope:
    """The project of an instance.

    Parameters
    ----------
    project
        Its name.
    keys
        Its keyed functions.
    patients
        Who a patient is.
    without_patient_id
        `study` where the study stands for a patient without an id of one's own; else such an instance is held.
    invalid_dates
        Whether a date that is none holds the instance or is emptied.
    key
        The fingerprint of the project's own key; empty where it has none.
    needs_mapping
        Whether instances wait whose patient has no pair that somebody else has chosen.
    """

    project: str
    keys: ProjectKeys
    patients: Patients = field(default_factory=Patients)
    without_patient_id: Literal["hold", "study"] = "hold"
    invalid_dates: Literal["hold", "empty"] = "hold"
    key: str = ""
    needs_mapping: bool = False


def make_scope(config: Config, name: str, route: Route | None, secret: bytes) -> Scope:
    """Return the scope of a project by its name; of a route that belongs to it, with the route's own rules.

    Raises StartError where the project's own key cannot be read.
    """
    project = config.project(name)
    key = None if project.key_file is None else load_secret(project.key_file, f"key of project {name}")
    secret = secret if key is None else with_project_key(secret, key, name)
    return Scope(
        project=name,
        keys=ProjectKeys(secret, name, project.epoch, project.forms()),
        patients=Patients(route.issuer if route else "", project.aliases(), project.placeholder_ids),
        without_patient_id=route.missing_patient_id if route else "hold",
        invalid_dates=project.dates.invalid,
        key="" if key is None else fingerprint(key),
        needs_mapping=route is not None and route.mapping == "required",
    )
