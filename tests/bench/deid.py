"""The shipped recipes beside other de-identifiers, on the test set of tests/deidset: what is left, and what is lost.

    python -m tests.bench.deid [--json] [--places N]

Each is judged by what it sets out to do: those that move dates by the options of `research`, the others by the Basic
Profile. Ours holds by default what may show somebody; here all of it goes out, so that it is judged. A file that a tool
ends with an error on is not out, and it gives no reason that a person could act on. The others are installed from the
package index into .cache/others, once.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from node.recipe import shipped_recipe
from tests.deidset.build import build
from tests.deidset.check import COLUMNS, Check
from tests.deidset.cleaning import EVERYTHING, Done, clean, settings
from tests.deidset.expected import RESEARCH, Expectation

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".cache/others"
PACKAGES = ("dicognito==0.19.0", "dicom-anonymizer==2.1.0")
WORKER = Path(__file__).with_name("others.py")
RESEARCHERS = "research"
OURS = {
    RESEARCHERS: (("research",), RESEARCH),
    "ps3.15-basic": (("ps3.15-basic",), ()),
    "basic + options": (("ps3.15-basic", *RESEARCH), RESEARCH),
}
OTHERS: dict[str, tuple[str, ...]] = {"dicognito": RESEARCH, "dicom-anonymizer": (), "deid": ()}


def installed() -> Path:
    """The interpreter that the others run with, made at the first call."""
    python = CACHE / "bin/python"
    stamp = CACHE / "installed"
    if not stamp.exists() or stamp.read_text() != str(PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", str(CACHE)], check=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        subprocess.run(command, check=True)
        stamp.write_text(str(PACKAGES))
    return python


def by_other(tool: str, folder: Path, out: Path) -> dict[str, Done]:
    """Let another tool clean all files; one that kills it is not out, and it goes on with the next."""
    python = Path(sys.executable) if tool == "deid" else installed()
    out.mkdir()
    # -P: else this module would stand in front of the package of its name.
    command = [str(python), "-P", str(WORKER), tool, str(folder), str(out)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)  # it starts at all
    names, done = sorted(path.name for path in folder.iterdir()), dict[str, Done]()
    while len(done) < len(names):
        rest = [name for name in names if name not in done]
        ran = subprocess.run(
            command,
            input="\n".join(rest),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        for line in ran.stdout.splitlines():
            name, seconds, _ = json.loads(line)
            done[name] = Done("", seconds)
        crashed = next((name for name in rest if name not in done), None)
        if crashed is not None:
            (out / crashed).unlink(missing_ok=True)
            done[crashed] = Done("", 0.0)
    return done


def measure() -> dict[str, Any]:
    """All rows."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "in")
        made = build(folder)
        rows = []
        for name, (recipes, options) in OURS.items():
            if all(map(shipped_recipe, recipes)):
                out = Path(scratch, f"ours-{name}")
                done = clean(settings(recipes, policy=EVERYTHING), folder, out)
                rows.append(
                    _row(f"deid-node {name}", done, made, out, Expectation(options, measures_alone=name == RESEARCHERS))
                )
        for name, options in OTHERS.items():
            out = Path(scratch, name)
            rows.append(_row(name, by_other(name, folder, out), made, out, Expectation(options)))
    return {"files": len(made), "rows": rows}


def _row(
    name: str, done: dict[str, Done], made: dict[str, bool], out: Path, expectation: Expectation
) -> dict[str, Any]:
    check = Check(expectation)
    for file, held in made.items():
        check.file(file, out.parent / "in" / file, out / file, done[file].reason, may_be_held=held)
    found = check.finish()
    return {
        "name": name,
        "out": found.out,
        "held with a reason": sum(found.held.values()) - found.held["no reason"],
        **{column: found.counts[column] for column in COLUMNS},
        "milliseconds": statistics.mean(one.seconds for one in done.values()) * 1000,
        "places": {column: places[:100] for column, places in found.places.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--places", type=int, default=0, help="how many places of each column of ours are shown")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    found = measure()
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['files']} files")
    print(f"{'':<28}{'out':>6}{'held':>6}{''.join(f'{_head(column):>13}' for column in COLUMNS)}{'ms/file':>9}")
    for row in found["rows"]:
        cells = "".join(f"{row[column]:>13}" for column in COLUMNS)
        print(f"{row['name']:<28}{row['out']:>6}{row['held with a reason']:>6}{cells}{row['milliseconds']:>9.1f}")
        if row["name"].startswith("deid-node"):
            for column, places in row["places"].items():
                for place in places[: options.places]:
                    print(f"    {column}: {place}")
    for column, meaning in COLUMNS.items():
        print(f"{_head(column)}: {meaning}")


def _head(column: str) -> str:
    return {"lost": "not out", "held": "held amiss"}.get(column, column)


if __name__ == "__main__":
    main()
