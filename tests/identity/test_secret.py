"""The file of the secret."""

from __future__ import annotations

import os
import stat

import pytest

from node.errors import StartError
from node.identity import create_secret, fingerprint, load_secret


def test_a_new_secret_is_for_its_owner_alone_and_is_read_back(tmp_path):
    path = tmp_path / "secret.key"
    secret = create_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(secret) == 32
    assert load_secret(path) == secret
    assert secret.hex() not in fingerprint(secret)
    assert fingerprint(secret) != fingerprint(create_secret(tmp_path / "other.key"))


def test_a_secret_that_exists_is_never_overwritten(tmp_path):
    path = tmp_path / "secret.key"
    secret = create_secret(path)
    with pytest.raises(StartError):
        create_secret(path)
    assert load_secret(path) == secret


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o611])
def test_a_secret_open_to_others_is_refused_with_the_remedy(tmp_path, mode):
    path = tmp_path / "secret.key"
    create_secret(path)
    path.chmod(mode)
    with pytest.raises(StartError, match="chmod 600"):
        load_secret(path)


@pytest.mark.parametrize("content", [b"", b"ab" * 31, b"ab" * 33, b"zz" * 32, b"ab" * 32 + b"\n\n"])
def test_a_malformed_secret_is_refused_and_not_shown(tmp_path, content):
    path = tmp_path / "secret.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StartError, match="malformed") as refused:
        load_secret(path)
    assert "abab" not in str(refused.value)


def test_a_missing_secret_a_folder_and_a_folder_that_is_missing_are_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StartError):
            load_secret(path)
    with pytest.raises(StartError):
        create_secret(tmp_path / "none" / "secret.key")


def test_a_new_secret_is_private_whatever_the_umask_is(tmp_path):
    before = os.umask(0)
    try:
        create_secret(tmp_path / "secret.key")
    finally:
        os.umask(before)
    load_secret(tmp_path / "secret.key")
