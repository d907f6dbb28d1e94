"""Cleaning files in folders: what `deid-node clean` does.

finding  the input files, in folders too
one      one file, from its input to a temporary file in the output folder
places   the output folder: names, temporary files, what is there already
pool     several processes
run      a whole run
"""

from node.files.finding import Found, find
from node.files.one import FileCleaner, Kind, Outcome, Settings
from node.files.places import Layout, OutputFolder
from node.files.run import Summary, run

__all__ = [
    "FileCleaner",
    "Found",
    "Kind",
    "Layout",
    "Outcome",
    "OutputFolder",
    "Settings",
    "Summary",
    "find",
    "run",
]
