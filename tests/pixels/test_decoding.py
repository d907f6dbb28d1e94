"""A decoder that dies, hangs or is not there costs the instance, never the process that asks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pydicom
import pytest

from node.errors import HoldInstance
from node.pixels.decoding import HELPER, Helper
from tests.pixels.support import file_of, make, masked_file, samples_of
from tests.support import wait_for

FILES = Path(pydicom.__file__).parent / "data/test_files"
BROKEN = "SC_rgb_jpeg_gdcm.dcm"


def killer(data: bytes) -> bytes:
    """A lossless JPEG with a colour transformation that nobody knows: its decoder ends its process."""
    marker = data.rindex(b"Adobe\0")
    return data[: marker + 11] + b"\xa7" + data[marker + 12 :]


def helper_pid() -> int:
    assert HELPER._process is not None
    return HELPER._process.pid


def test_a_codestream_that_ends_its_decoder_is_refused_and_the_next_one_is_decoded():
    whole = (FILES / BROKEN).read_bytes()
    before = samples_of(masked_file(whole))
    first = helper_pid()
    with pytest.raises(HoldInstance, match="cannot be decoded"):
        masked_file(killer(whole))
    assert (samples_of(masked_file(whole)) == before).all()
    assert helper_pid() != first


def test_a_decoder_that_was_ended_from_outside_is_started_again_and_signals_to_the_node_do_not_end_it():
    whole = (FILES / BROKEN).read_bytes()
    before = samples_of(masked_file(whole))
    first = helper_pid()
    os.kill(first, signal.SIGTERM)
    os.kill(first, signal.SIGINT)
    assert (samples_of(masked_file(whole)) == before).all()
    assert helper_pid() == first
    os.kill(first, signal.SIGKILL)
    assert (samples_of(masked_file(whole)) == before).all()
    assert helper_pid() != first


def test_a_decoder_that_hangs_is_ended_in_time():
    helper = Helper([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.2)
    start = time.monotonic()
    assert helper.decode(b"frame", {}) is None
    assert time.monotonic() - start < 10
    assert helper._process is None


def test_a_decoder_that_cannot_be_started_decodes_nothing():
    assert Helper(["/nonexistent/program"]).decode(b"frame", {}) is None


def test_what_is_no_frame_is_not_decoded():
    options = {"uid": "1.2.840.10008.1.2.5", "plugin": "pydicom"}
    helper = Helper()
    assert helper.decode(b"frame", options) is None
    helper.close()


def decode_there(data: bytes, queue: multiprocessing.Queue) -> None:
    samples_of(masked_file(data))
    queue.put((os.getpid(), helper_pid()))


def test_a_forked_process_has_a_decoder_of_its_own():
    data = (FILES / BROKEN).read_bytes()
    masked_file(data)
    ours = helper_pid()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=decode_there, args=(data, queue))
    child.start()
    _, theirs = queue.get(timeout=60)
    child.join()
    assert theirs != ours
    masked_file(data)
    assert helper_pid() == ours
    wait_for(lambda: not psutil.pid_exists(theirs) or psutil.Process(theirs).status() == "zombie", "it has ended")


def test_native_pixels_need_no_decoder():
    HELPER.close()
    masked_file(file_of(make()))
    assert HELPER._process is None
