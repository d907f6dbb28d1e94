"""What cleaning one instance needs, whoever asks: the cleaner's process, or a command for files.

source      a DICOM file, opened as the spans of its data set
content     what goes out of a cleaned data set, its pixels masked
output      a cleaned file, written from spans of the original
references  which instances it refers to, and how many its source counts
scratch     room for what has to be inflated
scope       for whom it is replaced: project, keys, rules
identities  replacements for one instance, by map and by key
"""

from node.instances.content import Content, masked
from node.instances.identities import InstanceIdentities, Maps, NoMaps, Place, name_beside
from node.instances.output import expected_bytes, pieces, write_cleaned, write_deflated, write_segments
from node.instances.references import Followed, followed
from node.instances.scope import Scope, make_scope
from node.instances.scratch import Scratch
from node.instances.source import Source, is_uid, opened, required_uids

__all__ = [
    "Content",
    "Followed",
    "InstanceIdentities",
    "Maps",
    "NoMaps",
    "Place",
    "Scope",
    "Scratch",
    "Source",
    "expected_bytes",
    "followed",
    "is_uid",
    "make_scope",
    "masked",
    "name_beside",
    "opened",
    "pieces",
    "required_uids",
    "write_cleaned",
    "write_deflated",
    "write_segments",
]
