"""Rejection notes of the node's own: Key Object Selection documents that tell a destination what is not to be used.

Guarantees that a note names replaced UIDs only, belongs to the study that it is about, and is kept as a file beside the
lists of its recall, whether the destination took it or not. One note for each destination and study (IHE RAD, Imaging
Object Change Management; PS3.3 A.35.4, PS3.16 TID 2010).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, generate_uid
from sqlalchemy import select

from node import __version__
from node.config import Config, Destination, destination_security
from node.dicomnet import Timeouts, associate
from node.errors import DrillError, NetworkError
from node.ledger.database import Database
from node.ledger.impact import Item
from node.ledger.schema import instances, study_map
from node.objects.rejection import KEY_OBJECT_SELECTION
from node.syntaxes import EXPLICIT_LE, IMPLICIT_LE

CODES = {"113001": "Rejected for Quality Reasons", "113037": "Rejected for Patient Safety Reasons"}
"""The document titles that a recall may give, scheme DCM (PS3.16 CID 7010)."""


def send_notes(
    config: Config, database: Database, number: int, items: Sequence[Item], code: str, folder: Path
) -> list[dict[str, Any]]:
    """Send a note about instances to each destination that has them; return what became of each note.

    `status` is that of the answer (PS3.7 annex C), or what went wrong; 0000H is that it was taken.

    Raises
    ------
    DrillError
        A note cannot be written beside the lists.
    """
    by_study: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        by_study.setdefault((item.destination, item.study_instance_uid), []).append(item)
    told = []
    for place, ((name, study), some) in enumerate(sorted(by_study.items()), 1):
        note = make_note(some, code, _pseudonym(database, some[0]))
        _keep(note, folder / f"recall-{number}-{name}-note-{place}.dcm")
        destination = config.destinations.get(name)
        status = "the configuration has no such destination" if destination is None else _send(name, destination, note)
        told.append({"destination": name, "study_instance_uid": study, "instances": len(some), "status": status})
    return told


def make_note(items: Sequence[Item], code: str, pseudonym: str) -> pydicom.Dataset:
    """Return the note about instances of one study, which are not empty."""
    now = time.gmtime()
    note = pydicom.Dataset()
    note.file_meta = FileMetaDataset()
    note.SOPClassUID, note.SOPInstanceUID = UID(KEY_OBJECT_SELECTION), generate_uid(prefix=None)
    note.file_meta.MediaStorageSOPClassUID = note.SOPClassUID
    note.file_meta.MediaStorageSOPInstanceUID = note.SOPInstanceUID
    note.file_meta.TransferSyntaxUID = UID(EXPLICIT_LE.uid)
    note.PatientID, note.StudyInstanceUID = pseudonym, items[0].study_instance_uid
    for name in ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(note, name, "")
    note.AccessionNumber = note.ReferringPhysicianName = ""
    note.Modality, note.SeriesInstanceUID, note.SeriesNumber = "KO", generate_uid(prefix=None), 1
    note.ReferencedPerformedProcedureStepSequence = []
    note.Manufacturer, note.SoftwareVersions = "deid-node", __version__
    note.InstanceNumber = 1
    note.ContentDate, note.ContentTime = time.strftime("%Y%m%d", now), time.strftime("%H%M%S", now)
    note.TimezoneOffsetFromUTC = "+0000"
    note.ValueType, note.ContinuityOfContent = "CONTAINER", "SEPARATE"
    note.ConceptNameCodeSequence = [_dataset(CodeValue=code, CodingSchemeDesignator="DCM", CodeMeaning=CODES[code])]
    note.ContentTemplateSequence = [_dataset(MappingResource="DCMR", TemplateIdentifier="2010")]
    note.CurrentRequestedProcedureEvidenceSequence = [_evidence(items)]
    note.ContentSequence = [
        _dataset(RelationshipType="CONTAINS", ValueType=_value_type(item), ReferencedSOPSequence=[_reference(item)])
        for item in items
    ]
    return note


def _value_type(item: Item) -> str:
    """How a document refers to an instance (PS3.16 TID 2010): an image, or anything else."""
    return "IMAGE" if "Image Storage" in UID(item.sop_class_uid).name else "COMPOSITE"


def _evidence(items: Sequence[Item]) -> pydicom.Dataset:
    by_series: dict[str, list[Item]] = {}
    for item in items:
        by_series.setdefault(item.series_instance_uid, []).append(item)
    found = [
        _dataset(SeriesInstanceUID=uid, ReferencedSOPSequence=[_reference(item) for item in some])
        for uid, some in sorted(by_series.items())
    ]
    return _dataset(StudyInstanceUID=items[0].study_instance_uid, ReferencedSeriesSequence=found)


def _reference(item: Item) -> pydicom.Dataset:
    return _dataset(ReferencedSOPClassUID=item.sop_class_uid, ReferencedSOPInstanceUID=item.sop_instance_uid)


def _dataset(**values: Any) -> pydicom.Dataset:
    made = pydicom.Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _pseudonym(database: Database, item: Item) -> str:
    """The pseudonym that a study came under; empty where the maps were erased, or the recipe gives none."""
    query = (
        select(study_map.c.pseudonym)
        .join(instances, (instances.c.project == study_map.c.project) & (instances.c.study == study_map.c.study))
        .where(instances.c.seq == item.instance)
    )
    with database.read() as connection:
        return str(connection.execute(query).scalar() or "")


def _keep(note: pydicom.Dataset, path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            pydicom.dcmwrite(file, note, enforce_file_format=True)
    except OSError as error:
        raise DrillError(f"{path} cannot be written ({error.strerror})") from None


def _send(name: str, destination: Destination, note: pydicom.Dataset) -> str:
    timeout, address = destination.timeout, destination.address
    uids = str(note.SOPClassUID), str(note.SOPInstanceUID)
    try:
        association = associate(
            address.host,
            address.port,
            calling_ae_title=destination.calling_ae,
            called_ae_title=destination.ae_title,
            contexts=[(uids[0], (EXPLICIT_LE.uid,)), (uids[0], (IMPLICIT_LE.uid,))],
            timeouts=Timeouts(timeout.connect, timeout.associate, timeout.response),
            tls=destination_security(name, destination),
        )
        for syntax in (EXPLICIT_LE.uid, IMPLICIT_LE.uid):
            context = association.find(uids[0], syntax)
            if context is not None:
                result = association.store(context, *uids, -1, [_encoded(note, implicit=syntax == IMPLICIT_LE.uid)])
                association.release()
                return f"{result.status:04X}H"
        association.release()
    except NetworkError as error:
        return type(error).__name__
    return "it takes no Key Object Selection documents"


def _encoded(note: pydicom.Dataset, *, implicit: bool) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, True
    pydicom.filewriter.write_dataset(buffer, note)
    return bytes(buffer.getvalue())
