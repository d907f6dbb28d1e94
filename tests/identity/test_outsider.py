"""Who knows everything but the secret: the program, the project, its settings, originals and what became of them."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import uuid

from node.identity import PatientKey, ProjectKeys, fingerprint

SECRET = bytes.fromhex("8f1d" * 16)
KEYS = ProjectKeys(SECRET, "demo")
ORIGINALS = [f"1.2.840.113619.2.55.3.{number}" for number in range(200)]


def number(uid: str) -> int:
    return int(uid.removeprefix("2.25."))


def test_every_bit_of_the_secret_counts():
    patient = PatientKey("HOSPITAL", "PAT001")
    flipped = [bytes(b ^ (1 << bit % 8 if n == bit // 8 else 0) for n, b in enumerate(SECRET)) for bit in range(256)]
    all_keys = [KEYS, *(ProjectKeys(secret, "demo") for secret in flipped)]
    assert len({keys.uid(ORIGINALS[0]) for keys in all_keys}) == 257
    assert len({keys.pseudonym(patient) for keys in all_keys}) == 257
    assert len({keys.text("ACC1") for keys in all_keys}) == 257


def test_what_the_ledger_and_the_files_say_is_no_key():
    known = [bytes(32), b"demo".ljust(32, b"\0"), hashlib.sha256(b"demo").digest(), fingerprint(SECRET).encode()]
    known += [hashlib.sha256(text.encode()).digest() for text in (fingerprint(SECRET), KEYS.uid(ORIGINALS[0]))]
    for secret in known:
        guessed = ProjectKeys(secret, "demo")
        assert not {guessed.uid(one) for one in ORIGINALS} & {KEYS.uid(one) for one in ORIGINALS}


def test_no_digest_of_an_original_gives_its_replacement():
    made = {number(KEYS.uid(one)) for one in ORIGINALS}
    for name in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        for one in ORIGINALS:
            for message in (one, f"demo{one}", f"{one}demo"):
                digest = hashlib.new(name, message.encode()).digest()
                guesses = {int(uuid.UUID(bytes=digest[:16], version=version)) for version in (3, 4, 5)}
                guesses |= {_version_8(digest), int.from_bytes(digest[:16], "big")}
                assert not guesses & made
    for one in ORIGINALS:
        keyed = hmac.digest(b"demo", one.encode(), "sha256")
        names = {int(uuid.uuid5(uuid.NAMESPACE_OID, one)), int(uuid.uuid3(uuid.NAMESPACE_OID, one))}
        assert not (names | {_version_8(keyed)}) & made


def _version_8(digest: bytes) -> int:
    raw = bytearray(digest[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    return int.from_bytes(raw, "big")


def test_neighbors_have_nothing_in_common():
    made = [number(KEYS.uid(one)) for one in ORIGINALS]
    differing = [(one ^ other).bit_count() for one, other in itertools.pairwise(made)]
    # Of 122 free bits half, as chance has it.
    assert 56 < sum(differing) / len(differing) < 66
    assert min(differing) > 30
