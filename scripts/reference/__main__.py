"""Writes the pages, or with `--check` compares them: exit code 1 where one is not what the program says."""

from __future__ import annotations

import sys

from scripts.reference import ROOT, pages


def main(arguments: list[str]) -> int:
    """Write or compare all pages; the exit code."""
    checking, code = arguments == ["--check"], 0
    if arguments and not checking:
        print("usage: python -m scripts.reference [--check]", file=sys.stderr)
        return 2
    for path, text in pages():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before == text:
            continue
        name = path.relative_to(ROOT)
        if checking:
            print(f"{name}: not what the program says; scripts/docs --generate writes it", file=sys.stderr)
            code = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{name}: written")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
