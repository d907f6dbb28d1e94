"""Runs another de-identifier, as its documentation says, over files one by one: `python others.py TOOL IN OUT`.

Names of files come on standard input, a line of JSON goes out for each. Imports nothing of this project: it runs with
the interpreter of the environment that the tool is installed in.
"""

import json
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path

SECONDS = 60


def dicognito():
    """One Anonymizer for all files, so that identifiers stay consistent."""
    import pydicom
    from dicognito.anonymizer import Anonymizer

    anonymizer = Anonymizer(seed="bench")

    def clean(source, target):
        with pydicom.dcmread(source) as dataset:
            anonymizer.anonymize(dataset)
            dataset.save_as(target)

    return clean


def dicom_anonymizer():
    """Private attributes deleted, as by default; the newest table that comes with it."""
    from dicomanonymizer.simpledicomanonymizer import anonymize_dicom_file, initialize_actions

    def clean(source, target):
        anonymize_dicom_file(source, target, base_rules_gen=lambda: initialize_actions("dicomfields_2026c"))

    return clean


def deid():
    """The recipe that comes with it, private attributes removed."""
    os.environ.setdefault("MESSAGELEVEL", "QUIET")
    os.environ.setdefault("MPLCONFIGDIR", "/tmp/matplotlib")
    from deid.config import DeidRecipe
    from deid.dicom import replace_identifiers

    recipe = DeidRecipe()

    def clean(source, target):
        replace_identifiers(
            dicom_files=[source],
            deid=recipe,
            save=True,
            overwrite=True,
            output_folder=str(Path(target).parent),
            remove_private=True,
        )

    return clean


def main(tool, folder, out):
    clean = {"dicognito": dicognito, "dicom-anonymizer": dicom_anonymizer, "deid": deid}[tool]()
    said, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115 -- as long as the process
    signal.signal(signal.SIGALRM, _too_long)
    for line in sys.stdin:
        name = line.strip()
        start, reason = time.perf_counter(), ""
        signal.alarm(SECONDS)
        try:
            clean(f"{folder}/{name}", f"{out}/{name}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever it is, this file is not out
            reason = type(error).__name__
            Path(out, name).unlink(missing_ok=True)
        signal.alarm(0)
        print(json.dumps([name, time.perf_counter() - start, reason]), file=said, flush=True)


def _too_long(*_):
    raise TimeoutError


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])
