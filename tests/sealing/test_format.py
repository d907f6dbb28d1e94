"""The format of sealed files and columns: what was sealed, or an error."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from node.errors import LedgerError, NoRoom, SealError, StartError
from node.sealing import CHUNK, PLAIN, Original, Sealer, Sealing, memory, open_original
from node.spool import new_id

KEY = "0123456789abcdef" * 4
SEALING = Sealing(text=KEY)
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17)
HEADER, SEALED_CHUNK = 64, CHUNK + 16


def sealed(path: Path, data: bytes, instance: str, pieces: int = 4099, sealing: Sealing = SEALING) -> Path:
    """Seal `data` into a file, as it might come from a network."""
    sealer = Sealer(sealing.key, instance)
    with path.open("wb") as file:
        file.write(sealer.header)
        for start in range(0, len(data), pieces):
            file.writelines(sealer.update(memoryview(data)[start : start + pieces]))
        file.write(sealer.finish())
    return path


def everything(path: Path, instance: str, sealing: Sealing | None = SEALING) -> bytes:
    original = open_original(path, instance, sealing)
    try:
        return original.read(0, original.size)
    finally:
        original.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pieces", [1021, CHUNK, 2 * CHUNK + 1])
def test_what_was_sealed_is_read_whole_and_at_any_place(tmp_path: Path, size: int, pieces: int) -> None:
    data, instance = random.Random(size).randbytes(size), new_id()
    path = sealed(tmp_path / "file", data, instance, pieces)
    assert path.stat().st_size == HEADER + size + 16 * max(1, -(-size // CHUNK))
    original = open_original(path, instance, SEALING)
    assert original.sealed
    assert original.size == size
    assert original.read(0, size) == data
    for start in (0, 1, CHUNK - 1, CHUNK, size - 1):
        for length in (0, 1, 5, CHUNK, CHUNK + 2):
            if start >= 0 and start + length <= size:
                assert original.read(start, length) == data[start : start + length]
    with pytest.raises(SealError):
        original.read(size, 1)
    file = original.mappable()
    assert os.pread(file, size + 1, 0) == data
    assert os.readlink(f"/proc/self/fd/{file}").startswith("/memfd:"), "it has no place on a disk"
    original.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(file)


def test_a_file_that_is_not_sealed_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\0" * 128 + b"DICM and more")
    for sealing in (SEALING, None):
        original = open_original(path, new_id(), sealing)
        assert type(original) is Original
        assert original.read(128, 4) == b"DICM"
        assert original.mappable() == original.descriptor
        with pytest.raises(SealError):
            original.read(139, 4)
        original.close()


def test_nothing_of_the_content_shows_and_no_two_files_are_alike(tmp_path: Path) -> None:
    data, instance = b"DOE^JOHN" * 30_000, new_id()
    one = sealed(tmp_path / "one", data, instance).read_bytes()
    other = sealed(tmp_path / "other", data, instance).read_bytes()
    assert b"DOE^JOHN" not in one, "of three bytes some would stand there by chance"
    same = sum(a == b for a, b in zip(one[HEADER:], other[HEADER:], strict=True))
    assert same < len(one) / 100, "each file has a key of its own"


def flipped(place: int) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return damage


def swapped(content: bytes) -> bytes:
    first, second = content[HEADER : HEADER + SEALED_CHUNK], content[HEADER + SEALED_CHUNK : HEADER + 2 * SEALED_CHUNK]
    return content[:HEADER] + second + first + content[HEADER + 2 * SEALED_CHUNK :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    **{f"a bit of byte {place}": flipped(place) for place in (0, 8, 9, 12, 16, 24, 55, 56, 64, 70_000, -1)},
    "cut within the header": lambda content: content[:40],
    "nothing but the header": lambda content: content[:HEADER],
    "cut within a chunk": lambda content: content[: HEADER + 1000],
    "cut behind a chunk": lambda content: content[: HEADER + SEALED_CHUNK],
    "without its last byte": lambda content: content[:-1],
    "without its last chunk": lambda content: content[: HEADER + 2 * SEALED_CHUNK],
    "one byte more": lambda content: content + b"\0",
    "a chunk twice": lambda content: content[: HEADER + SEALED_CHUNK] + content[HEADER:],
    "chunks in another order": swapped,
    "without its first chunk": lambda content: content[:HEADER] + content[HEADER + SEALED_CHUNK :],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_anywhere_is_found_and_nothing_of_it_is_mapped(tmp_path: Path, damage: str) -> None:
    data, instance = random.Random(1).randbytes(2 * CHUNK + 300), new_id()
    path = sealed(tmp_path / "file", data, instance)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(SealError):
        everything(path, instance)
    with pytest.raises(SealError):
        open_original(path, instance, SEALING).mappable()


def test_a_file_under_another_name_or_with_chunks_of_another_is_refused(tmp_path: Path) -> None:
    one, other = new_id(), new_id()
    first = sealed(tmp_path / "one", b"a" * 3 * CHUNK, one)
    second = sealed(tmp_path / "other", b"b" * 3 * CHUNK, one)
    with pytest.raises(SealError):
        everything(first, other)
    mixed = first.read_bytes()[: HEADER + SEALED_CHUNK] + second.read_bytes()[HEADER + SEALED_CHUNK :]
    first.write_bytes(mixed)
    with pytest.raises(SealError):
        everything(first, one)


def test_another_key_and_no_key_are_told_apart_from_damage(tmp_path: Path) -> None:
    instance = new_id()
    path = sealed(tmp_path / "file", b"data", instance)
    with pytest.raises(SealError, match="another key"):
        everything(path, instance, Sealing(text="f" * 64))
    with pytest.raises(SealError, match=r"no node\.encryption"):
        everything(path, instance, None)


def test_a_large_original_is_not_opened_into_memory_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / "group"
    group.mkdir()
    (group / "memory.max").write_text("100000000\n")
    (group / "memory.current").write_text("90000000\n")
    monkeypatch.setattr(memory, "_GROUP", group)
    assert memory.memory_left() == 10_000_000
    instance = new_id()
    large = open_original(sealed(tmp_path / "large", bytes(17 << 20), instance, 1 << 20), instance, SEALING)
    with pytest.raises(NoRoom):
        large.mappable()
    (group / "memory.max").write_text("max\n")
    assert large.mappable()
    large.close()


def test_a_column_is_sealed_alike_in_its_project_and_in_no_other_place() -> None:
    columns = SEALING.columns
    text = columns.seal("patient_map.patient_id", "p", "MRN-1")
    assert text == Sealing(text=KEY).columns.seal("patient_map.patient_id", "p", "MRN-1")
    others = {
        columns.seal("patient_map.patient_id", "q", "MRN-1"),
        columns.seal("patient_map.issuer", "p", "MRN-1"),
        columns.seal("patient_map.patient_id", "p", "MRN-2"),
        Sealing(text="f" * 64).columns.seal("patient_map.patient_id", "p", "MRN-1"),
    }
    assert text not in others
    assert len(others) == 4
    assert "MRN" not in text
    assert columns.open("patient_map.patient_id", "p", text) == "MRN-1"
    assert columns.seal("patient_map.issuer", "p", "") == columns.open("patient_map.issuer", "p", "") == ""
    assert PLAIN.open("c", "p", PLAIN.seal("c", "p", "MRN-1")) == PLAIN.seal("c", "p", "MRN-1") == "MRN-1"


@pytest.mark.parametrize("value", ["Ä\udcff\0", "1.2.840.1", "x" * 5000])
def test_every_text_comes_back_from_a_column(value: str) -> None:
    columns = SEALING.columns
    assert columns.open("c", "p", columns.seal("c", "p", value)) == value


def test_a_column_that_was_changed_or_moved_is_an_error() -> None:
    columns = SEALING.columns
    text = columns.seal("c", "p", "value")
    for wrong in ("value", text[:-4], text[:8] + ("A" if text[8] != "A" else "B") + text[9:], "siv1:%%%"):
        with pytest.raises(LedgerError):
            columns.open("c", "p", wrong)
    with pytest.raises(LedgerError):
        columns.open("c", "q", text)


def test_a_key_file_is_read_only_when_it_is_needed_and_must_be_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "key"
    late = Sealing(path)
    assert late.columns.active
    path.write_text(KEY + "\n")
    path.chmod(0o640)
    with pytest.raises(StartError, match="chmod 600"):
        _ = late.key
    path.chmod(0o600)
    assert late.key.fingerprint == SEALING.key.fingerprint
    assert KEY not in repr(late) + repr(SEALING)
