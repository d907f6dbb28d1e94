"""What cleaning one instance needs, whoever asks: the cleaner's process, or a command for files.

source      a DICOM file, opened as the spans of its data set
output      a cleaned file, written from spans of the original
scratch     room for what has to be inflated
identities  replacements for one instance, by map and by key
"""

from node.instances.identities import InstanceIdentities, Maps, Scope
from node.instances.output import expected_bytes, write_cleaned, write_segments
from node.instances.scratch import Scratch
from node.instances.source import Source, is_uid, opened, required_uids

__all__ = [
    "InstanceIdentities",
    "Maps",
    "Scope",
    "Scratch",
    "Source",
    "expected_bytes",
    "is_uid",
    "opened",
    "required_uids",
    "write_cleaned",
    "write_segments",
]
