"""The embedded data: every file listed, licensed, unchanged and made by something that is here."""

import hashlib
import json

import pytest

from pixelwise import bench, recipe, results

LICENCES = {"Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "MIT"}


def manifest(book):
    text = (book.root / "data" / "MANIFEST.json").read_text(encoding="utf-8")
    return json.loads(text)["files"]


def test_every_file_is_listed_and_every_listed_file_is_there(book):
    data = book.root / "data"
    present = {
        path.relative_to(data).as_posix()
        for path in data.rglob("*")
        if path.is_file() and not path.name.startswith(".") and "__pycache__" not in path.parts
    }
    described = {name for name in present if name.startswith("build/") or name.endswith(".md")}
    assert present - described - {"MANIFEST.json"} == set(manifest(book))


def test_every_file_is_what_the_manifest_says(book):
    for name, entry in manifest(book).items():
        content = (book.root / "data" / name).read_bytes()
        assert len(content) == entry["bytes"], name
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], name


def test_every_file_has_a_licence_an_origin_and_a_maker(book):
    for name, entry in manifest(book).items():
        assert entry["licence"] in LICENCES, f"{name}: {entry['licence']}"
        assert entry["origin"].strip(), name
        maker = entry["made_by"]
        if maker.startswith("pixelwise train "):
            recipe.read(maker.split()[2])
        else:
            assert (book.root / maker.split()[0]).is_file(), f"{name}: {maker}"


def test_every_checkpoint_has_its_recipe_and_its_record(book):
    made = {}
    for recipe_name in recipe.names():
        entry = recipe.read(recipe_name)
        if entry.checkpoint:
            made[entry.checkpoint["file"]] = entry.result_name(entry.checkpoint_seed)
    for path in sorted((book.root / "data" / "checkpoints").glob("*.npz")):
        assert path.stem in made, f"no recipe makes {path.name}"
        assert made[path.stem] in results.names(), f"{path.name} has no record in results/"


@pytest.mark.parametrize("file", [name for name in results.names() if name != "chapters"])
def test_every_record_is_whole(file):
    record = results.read(file)
    missing = [field for field in results.FIELDS if field not in record]
    _, verb, what = record["command"].split()[:3]
    missing += [version for version in results.VERSIONS if version not in record["versions"]]
    assert not missing
    assert verb in ("train", "evaluate", "bench")
    assert what in (bench.SUITES if verb == "bench" else recipe.names())
    assert record["seconds"] > 0 and record["peak_memory_mib"] > 0
    assert record["test"], "no metric is on record"
