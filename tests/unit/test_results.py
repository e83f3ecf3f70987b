"""``pixelwise.results``: records are read, written whole, and gathered over seeds."""

import json
import math
import statistics

import numpy as np
import pytest

from pixelwise import machine, paths, results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "results_dir", lambda: tmp_path)
    return tmp_path


def record(seed=0, **fields):
    return {
        "recipe": "net",
        "test": {"mean_iou": 0.5 + seed / 10, "iou": [0.1 * seed, 0.2], "split": "test"},
        "seed": seed,
        "budget": "full",
        "versions": machine.versions(),
        "device": "CPU, 2 cores, a processor",
        "seconds": 10.0 + seed,
        "peak_memory_mib": 100 + seed,
        "commit": "abc1234",
        "command": f"pixelwise train net --seed {seed}",
        "date": "2026-11-23",
        **fields,
    }


def test_what_is_written_is_read(folder):
    path = results.write("net", record())
    assert path == folder / "net.json"
    assert results.names() == ["net"]
    assert results.read("net") == record()
    assert results.get("net", "test.mean_iou") == 0.5
    assert results.get("net", "test.iou.1") == 0.2
    assert results.get("net", "versions.backend") == machine.versions()["backend"]


def test_arrays_become_lists_and_nan_becomes_null(folder):
    test = {
        "mean_iou": np.float32(0.5),
        "iou": np.array([0.25, np.nan]),
        "matrix": np.eye(2, dtype=int),
    }
    results.write("net", record(test=test))
    stored = json.loads((folder / "net.json").read_text(), parse_constant=pytest.fail)
    assert stored["test"] == {"mean_iou": 0.5, "iou": [0.25, None], "matrix": [[1, 0], [0, 1]]}


@pytest.mark.parametrize("missing", [*results.FIELDS, *(f"versions.{v}" for v in results.VERSIONS)])
def test_a_record_without_a_field_is_refused(folder, sentence, missing):
    whole = record()
    table, _, key = missing.rpartition(".")
    del (whole[table] if table else whole)[key]
    with pytest.raises(ValueError) as caught:
        results.write("net", whole)
    assert missing in sentence(caught)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["../net", "a/b", "", "net.json", "-x"])
def test_odd_names_are_refused(folder, sentence, name):
    with pytest.raises(ValueError) as caught:
        results.write(name, record())
    assert repr(name) in sentence(caught)


def test_a_failed_write_leaves_the_record_before(folder, monkeypatch):
    results.write("net", record())

    def refuse(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(results.os, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        results.write("net", record(seconds=99.0))
    assert [path.name for path in folder.iterdir()] == ["net.json"]
    assert results.get("net", "seconds") == 10.0


def test_unknown_names_and_keys_name_the_nearest(folder, sentence):
    with pytest.raises(ValueError) as caught:
        results.read("net")
    assert "there is none yet" in sentence(caught)
    results.write("fcn8s_wardrobe", record())
    with pytest.raises(ValueError) as caught:
        results.get("fcn8_wardrobe", "test.mean_iou")
    assert "the nearest is fcn8s_wardrobe" in sentence(caught)
    for key in ("test.mean_iuo", "test.mean_iou.x", "test.iou.7"):
        with pytest.raises(ValueError) as caught:
            results.get("fcn8s_wardrobe", key)
        assert repr(key) in sentence(caught) and "test.mean_iou" in sentence(caught)


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b"5", b"\xff\xfe"])
def test_a_damaged_record_says_so(folder, sentence, content):
    (folder / "net.json").write_bytes(content)
    for read in (lambda: results.read("net"), results.summary):
        with pytest.raises(ValueError) as caught:
            read()
        assert "results/net.json" in sentence(caught)


@pytest.mark.parametrize(
    ("change", "said"), [({"test": [1]}, "a table of metrics"), ({"seconds": None}, "seconds")]
)
def test_a_record_that_is_not_whole_does_not_enter_the_table(folder, sentence, change, said):
    content = {key: value for key, value in record(**change).items() if value is not None}
    (folder / "net.json").write_text(json.dumps(content))
    with pytest.raises(ValueError) as caught:
        results.summary()
    assert f"results/net.json lacks {said}" in sentence(caught)


def test_seeds_are_gathered(folder):
    for seed in (0, 2, 10):
        results.write(f"net-seed{seed}", record(seed))
    values = [0.5, 0.7, 1.5]
    found = results.aggregate("net")
    assert (found["seeds"], found["n"]) == ([0, 2, 10], 3)
    assert found["test"]["mean_iou"] == {
        "mean": pytest.approx(0.9),
        "std": pytest.approx(statistics.stdev(values)),
        "n": 3,
    }
    assert found["test"]["iou"][0]["mean"] == pytest.approx(0.4)
    assert found["test"]["split"] == "test"
    assert results.get("net", "test.mean_iou.mean") == pytest.approx(0.9)
    assert results.get("net-seed2", "test.mean_iou") == 0.7


def test_one_seed_has_no_spread_and_nan_does_not_count(folder):
    results.write("net-seed0", record(0))
    assert results.get("net", "test.mean_iou.std") is None
    results.write("net-seed1", record(1, test={"mean_iou": math.nan}))
    assert results.get("net", "test.mean_iou.n") == 1


def test_aggregate_needs_seeds(folder, sentence):
    results.write("net-seed0", record())
    with pytest.raises(ValueError) as caught:
        results.aggregate("nett")
    assert "the nearest is net" in sentence(caught)


def test_the_summary_has_a_row_for_each_recipe(folder):
    (folder / "chapters.json").write_text('{"02_fcn": {"quick": {}}}')
    results.write("other", record(recipe="other", test={"label": "x", "loss": 2.0}))
    for seed in (0, 1):
        results.write(f"net-seed{seed}", record(seed))
    net, other = results.summary()
    assert (net["recipe"], net["metric"], net["n"]) == ("net", "mean_iou", 2)
    assert net["value"] == pytest.approx(0.55)
    assert net["std"] == pytest.approx(statistics.stdev([0.5, 0.6]))
    assert (net["seconds"], net["peak_memory_mib"]) == (11.0, 101)
    assert (other["recipe"], other["metric"], other["value"]) == ("other", "loss", 2.0)
    assert other["std"] is None


def test_the_machine_describes_itself():
    assert set(results.VERSIONS) == set(machine.versions())
    assert machine.versions()["backend_version"][0].isdigit()
    assert machine.device().startswith(("CPU, ", "GPU", "cuda", "TFRT", "Cuda"))
    assert 20 < machine.peak_memory() < 200_000
    assert machine.cores() >= 1
    assert machine.commit()
