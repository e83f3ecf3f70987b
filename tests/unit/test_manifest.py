"""The manifest: right files pass, damaged, missing and unlisted ones are told apart."""

import hashlib
import json
import os

import pytest

from pixelwise.data import manifest
from pixelwise.data.manifest import DamagedFile

ABOUT = {"licence": "MIT", "origin": "drawn by hand", "made_by": "data/build/a.py"}


@pytest.fixture
def data(tmp_path):
    """A data folder with one listed file."""
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "a.npz").write_bytes(b"content of a")
    manifest.add("toys/a.npz", folder=tmp_path, **ABOUT)
    return tmp_path


def test_entry_has_hash_size_and_origin(data):
    written = json.loads((data / "MANIFEST.json").read_text(encoding="utf-8"))
    assert written == {
        "files": {
            "toys/a.npz": {
                "sha256": hashlib.sha256(b"content of a").hexdigest(),
                "bytes": 12,
                **ABOUT,
            }
        }
    }
    assert manifest.entries(data) == written["files"]


def test_right_file(data):
    assert manifest.path("toys/a.npz", data).read_bytes() == b"content of a"


def test_hash_is_computed_once(data, monkeypatch):
    manifest.path("toys/a.npz", data)
    monkeypatch.setattr(manifest, "_sha256", lambda file: pytest.fail("hashed twice"))
    manifest.path("toys/a.npz", data)


@pytest.mark.parametrize("content", [b"content of b", b"content", b""])
def test_damaged_data_file(data, sentence, content):
    manifest.path("toys/a.npz", data)  # it was right before, in this very process
    file = data / "toys" / "a.npz"
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))  # the clock of a file system may be coarse
    with pytest.raises(DamagedFile) as caught:
        manifest.path("toys/a.npz", data)
    text = sentence(caught)
    assert "data/toys/a.npz is damaged" in text and "git checkout -- data/toys/a.npz" in text
    if len(content) == 12:
        assert hashlib.sha256(content).hexdigest()[:8] in text
        assert hashlib.sha256(b"content of a").hexdigest()[:8] in text
    else:
        assert f"{len(content)} bytes where MANIFEST.json says 12" in text


def test_missing_data_file(data, sentence):
    (data / "toys" / "a.npz").unlink()
    with pytest.raises(DamagedFile) as caught:
        manifest.path("toys/a.npz", data)
    text = sentence(caught)
    assert "data/toys/a.npz is missing" in text and "git checkout" in text


def test_unknown_name(data, sentence):
    with pytest.raises(ValueError) as caught:
        manifest.path("toys/b.npz", data)
    text = sentence(caught)
    assert "'toys/b.npz'" in text and "toys/a.npz" in text


@pytest.mark.parametrize(
    "content",
    [None, "{", "[]", "{}", '{"files": null}', '{"files": []}', '{"files": {"toys/a.npz": {}}}'],
)
def test_damaged_manifest(data, sentence, content):
    (data / "MANIFEST.json").unlink()
    if content is not None:
        (data / "MANIFEST.json").write_text(content)
    with pytest.raises(DamagedFile) as caught:
        manifest.path("toys/a.npz", data)
    assert "MANIFEST.json" in sentence(caught)


def test_entry_is_renewed_and_sorted(data):
    (data / "toys" / "a.npz").write_bytes(b"new")
    (data / "b.npz").write_bytes(b"b")
    manifest.add("toys/a.npz", folder=data, **ABOUT)
    manifest.add("b.npz", folder=data, **ABOUT)
    assert list(manifest.entries(data)) == ["b.npz", "toys/a.npz"]
    assert manifest.path("toys/a.npz", data).read_bytes() == b"new"


def test_write_that_fails_leaves_the_old_manifest(data, tree, monkeypatch):
    before = (data / "MANIFEST.json").read_bytes()

    def full(descriptor):
        raise OSError("no space")

    monkeypatch.setattr(manifest.os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        manifest.add("toys/a.npz", folder=data, **{**ABOUT, "licence": "CC0-1.0"})
    assert (data / "MANIFEST.json").read_bytes() == before
    assert tree(data) == ["MANIFEST.json", "toys", "toys/a.npz"]


@pytest.mark.parametrize("name", ["../a.npz", "/a.npz", "toys/none.npz"])
def test_names_that_cannot_be_listed(data, sentence, name):
    with pytest.raises(ValueError) as caught:
        manifest.add(name, folder=data, **ABOUT)
    sentence(caught)


@pytest.mark.parametrize("key", ABOUT)
def test_texts_must_be_given(data, sentence, key):
    with pytest.raises(ValueError, match=f"The {key} of") as caught:
        manifest.add("toys/a.npz", folder=data, **{**ABOUT, key: ""})
    sentence(caught)


def test_unlisted_files_are_found(data):
    (data / "build").mkdir()
    for name in ("build/a.py", "README.md", "toys/b.npz"):
        (data / name).write_text("x")
    assert manifest.unlisted(data) == ["toys/b.npz"]
