"""Logs are tried in a process of their own, since they take over the whole process."""

import json
import re
import subprocess
import sys
from datetime import datetime

import pytest

SECRET = "Mustermann^Erika"


def run(code: str, style: str = "json", level: str = "info", status: int = 0) -> list[str]:
    head = (
        f"import logging, threading, warnings\nfrom node.log import setup_logging, event\n"
        f"setup_logging({style!r}, {level!r}, 'receiver')\nlog = logging.getLogger('node.receiver')\n"
        f"SECRET = {SECRET!r}\n"
    )
    done = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_an_event_is_one_json_line_with_time_and_fields():
    (line,) = run("event(log, 'received', instance='ab', bytes=3, ms=1.5, route=None)")
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    assert datetime.fromisoformat(entry["time"])
    assert (entry["event"], entry["level"], entry["process"]) == ("received", "info", "receiver")
    assert (entry["instance"], entry["bytes"], entry["ms"], entry["route"]) == ("ab", 3, 1.5, None)


def test_an_event_is_one_human_line():
    (line,) = run("event(log, 'received', instance='ab', text='a \"b', ms=1.23456789)", "human")
    assert line.endswith('INFO    receiver: received instance=ab text="a \\"b" ms=1.23457')


@pytest.mark.parametrize("style", ["human", "json"])
def test_a_peer_cannot_write_lines_of_its_own(style):
    lines = run(r"event(log, 'rejected', calling='A\nB\r\x1b[31m\u2028\u202e' + 'x' * 5000)", style)
    assert len(lines) == 1
    assert len(lines[0]) < 700
    assert "\x1b" not in lines[0]
    assert "\u202e" not in lines[0]


def test_a_field_cannot_replace_the_event_or_the_role():
    (line,) = run("event(log, 'received', process='x', time='y', pid=1)")
    entry = json.loads(line)
    assert (entry["process"], entry["process_"], entry["pid"]) == ("receiver", "x", 1)


def test_an_exception_leaves_types_and_places_but_no_text():
    code = (
        "def inner(): int(SECRET)\n"
        "try:\n try: inner()\n except ValueError as error: raise KeyError(SECRET) from error\n"
        "except KeyError as error: event(log, 'failed', exc_info=error)\n"
    )
    (line,) = run(code)
    assert SECRET not in line
    assert json.loads(line)["error"] == "KeyError < ValueError"
    assert json.loads(line)["trace"].count(":") == 3


def test_the_text_of_an_error_of_the_node_is_kept():
    code = "from node.errors import StartError\ntry: raise StartError('no port')\nexcept StartError: log.exception('x')"
    (line,) = run(code)
    assert json.loads(line)["error"] == "StartError: no port"


@pytest.mark.parametrize("name", ["pynetdicom.assoc", "pydicom", "py.warnings", "sqlalchemy.engine", "nodes", "root"])
def test_what_other_libraries_say_is_replaced_by_where(name):
    lines = run(f"other = logging.getLogger({name!r})\nother.setLevel(1)\nother.info(SECRET)\nother.error(SECRET)")
    assert len(lines) == 1
    assert SECRET not in lines[0]
    assert "ERROR in <string>" in lines[0] or "ERROR in" in lines[0]


def test_a_traceback_of_another_library_keeps_no_text():
    (line,) = run("try: int(SECRET)\nexcept ValueError: logging.getLogger('pynetdicom').exception(SECRET)")
    assert SECRET not in line
    assert json.loads(line)["error"] == "ValueError"


def test_a_warning_keeps_its_place_and_appears_once():
    lines = run("for n in range(3):\n warnings.warn(SECRET + str(n))")
    assert len(lines) == 1
    assert SECRET not in lines[0]
    assert json.loads(lines[0])["category"] == "UserWarning"


def test_an_uncaught_exception_keeps_no_text():
    lines = run("raise ValueError(SECRET)", status=1)
    assert len(lines) == 1
    assert SECRET not in lines[0]
    assert json.loads(lines[0])["error"] == "ValueError"


def test_an_uncaught_exception_in_a_thread_keeps_no_text():
    code = "def work(): raise ValueError(SECRET)\nt = threading.Thread(target=work)\nt.start()\nt.join()"
    lines = run(code)
    assert len(lines) == 1
    assert SECRET not in lines[0]


def test_an_exception_that_cannot_be_raised_keeps_no_text():
    code = "class A:\n def __del__(self): raise ValueError(SECRET)\nA()"
    lines = run(code)
    assert len(lines) == 1
    assert SECRET not in lines[0]


def test_a_record_that_cannot_be_written_is_not_shown_with_its_arguments():
    lines = run("log.info('%d', SECRET)\nlogging.getLogger('pydicom').error('%d %d', SECRET)")
    assert SECRET not in "".join(lines)


def test_the_level_decides_and_a_closed_stderr_stops_nothing():
    assert run("event(log, 'x')", level="warning") == []
    assert run("import os\nos.close(2)\nevent(log, 'x')") == []
