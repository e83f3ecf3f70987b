"""The benchmark: each case in a process of its own, measured, compared, and never left out."""

import importlib
import importlib.util
import json
import os
import sys

import keras
import numpy as np
import pytest

from pixelwise import cli, paths, results
from pixelwise.bench import SUITES, case, record, runner, segmentation, table, worker

# A suite of toys in which everything happens that can happen to a case.
TOYS = """
import functools
import os
import signal
import time

import numpy as np

from pixelwise.bench.case import OTHERS, YARDSTICK, Case

TITLE, SIZE, SMALLEST, TOLERANCE, RUNS = "toys", 8, 4, 1e-3, 5


def case(engine, role="ours", network="net", backend="jax", **more):
    arguments = {"what": engine, **more.pop("arguments", {})}
    return Case(network, engine, backend, "toys:build", arguments, ("numpy",), role=role, **more)


def cases():
    own = {"title": "four small ones", "size": 6, "pictures": 4}
    return [
        case("torchvision", YARDSTICK, backend="torch"),
        case("slow", note="sleeps", arguments={"seconds": 0.05}),
        case("close"),
        case("wrong"),
        case("nan"),
        case("shape"),
        case("raises"),
        case("exits"),
        case("dies"),
        case("absent", needs=("no_such_module",)),
        case("environment", backend="tensorflow", compared=False),
        case("alone", network="other"),
        case("theirs", YARDSTICK, network="parted", backend="torch", **own),
        case("parted", network="parted", **own),
    ]


def build(size, threads, what, seconds=0):
    answer = np.ones((1, size, size, 2), "float32")
    if what == "raises":
        raise RuntimeError("no such\\nkernel")
    if what == "exits":
        print("the last words", flush=True)
        os._exit(3)
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "environment":
        assert os.environ["KERAS_BACKEND"] == "tensorflow"
        assert os.environ["OMP_NUM_THREADS"] == os.environ["TF_NUM_INTRAOP_THREADS"] == str(threads)
        assert not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) == threads
    if what == "shape":
        return lambda: answer[..., 0]
    if what == "theirs":
        return lambda: answer, lambda: {"first": lambda: time.sleep(0.01)}
    if what == "parted":
        seconds = {"first": 0.02, "second": 0}

        def parts():
            np.ones(2**25)  # 256 MiB
            return {name: functools.partial(time.sleep, s) for name, s in seconds.items()}

        return lambda: answer, parts
    answer = answer * {"close": 1 + 5e-4, "wrong": 1.01, "nan": np.nan}.get(what, 1)

    def call():
        time.sleep(seconds)
        return answer

    return call
"""


def installed(folder, monkeypatch):
    """The suite of toys as a module that the benchmark finds."""
    (folder / "toys.py").write_text(TOYS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setitem(SUITES, "toys", "toys")
    monkeypatch.delitem(sys.modules, "toys", raising=False)
    return importlib.import_module("toys")


@pytest.fixture
def toys(tmp_path, monkeypatch):
    return installed(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    said = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        installed(tmp_path_factory.mktemp("toys"), monkeypatch)
        found = runner.run("toys", runs=3, threads=1, say=said.append)
    return {**found, "said": "\n".join(said)}


def test_every_case_is_measured_or_says_why_not(found, toys):
    rows = {row["engine"]: row for row in found["rows"]}
    assert list(rows) == [one.engine for one in toys.cases()]
    assert {name: row.get("error") for name, row in rows.items()} == {
        "torchvision": None,
        "slow": None,
        "close": None,
        "wrong": "its answer is 1.0e-02 away from the first one, more than 0.001",
        "nan": "its answer is nan away from the first one, more than 0.001",
        "shape": "its answer has the shape (1, 8, 8), the first one (1, 8, 8, 2)",
        "raises": "RuntimeError: no such kernel",
        "exits": "its process ended with status 3: the last words",
        "dies": "its process was ended by signal 9, for want of memory as it seems",
        "absent": "no_such_module is not installed (pip install no_such_module)",
        "environment": None,
        "alone": None,
        "theirs": None,
        "parted": None,
    }
    assert [name for name, row in rows.items() if row.get("wrong")] == ["wrong", "nan", "shape"]
    lines = found["said"].splitlines()
    for name, row in rows.items():
        line = next(line for line in lines if line.strip().startswith(f"{name} "))
        assert row.get("error", f"{row.get('median_ms', 0):.1f}") in line
    assert "  sleeps" in next(line for line in lines if "slow " in line)


def test_what_is_measured(found):
    rows = {row["engine"]: row for row in found["rows"]}
    slow = rows["slow"]
    assert len(slow["runs_ms"]) == 3
    assert slow["median_ms"] == pytest.approx(sorted(slow["runs_ms"])[1], abs=0.01)
    assert 50 <= slow["best_ms"] <= slow["median_ms"]
    assert slow["cpu_ms"] < 25  # it sleeps
    # Not what the process of these tests holds, which has loaded a backend.
    assert 10 < slow["before_mib"] <= slow["built_mib"] <= slow["peak_mib"] < 150
    assert rows["torchvision"]["gap"] is None and rows["environment"]["gap"] is None
    assert slow["gap"] == 0 and rows["close"]["gap"] == pytest.approx(5e-4, rel=1e-2)


def test_the_ratios_are_to_the_yardstick_of_the_network(found):
    rows = {row["engine"]: row for row in found["rows"]}
    time, memory = table.ratios(rows["slow"], found["rows"])
    assert time == rows["slow"]["median_ms"] / rows["torchvision"]["median_ms"] > 1
    assert memory == rows["slow"]["peak_mib"] / rows["torchvision"]["peak_mib"]
    assert table.ratios(rows["alone"], found["rows"]) == (None, None)
    assert {name: row["engine"] for name, row in table.fastest(found["rows"]).items()} == {
        "net": min(("close", "environment"), key=lambda name: rows[name]["median_ms"]),
        "other": "alone",
        "parted": "parted",
    }
    assert "other: fastest with alone" in found["said"]


def test_parts_are_timed_one_by_one_and_beside_the_yardsticks(found):
    theirs, ours = found["rows"][-2:]
    assert 10 <= theirs["parts_ms"]["first"] < 20 <= ours["parts_ms"]["first"]
    assert set(theirs["parts_ms"]) == {"first"} and ours["parts_ms"]["second"] < 5
    ratio = ours["parts_ms"]["first"] / theirs["parts_ms"]["first"]
    assert table.part_ratios(ours, found["rows"]) == {"first": ratio, "second": None}
    assert table.part_ratios(found["rows"][1], found["rows"]) == {}
    assert ours["peak_mib"] < 150  # before they are built
    lines = found["said"].splitlines()
    place = lines.index(next(line for line in lines if line.strip().startswith("parted ")))
    assert lines[place + 1].split() == ["first", f"{ours['parts_ms']['first']:.1f}", f"{ratio:.2f}"]
    assert lines[place + 2].split() == ["second", f"{ours['parts_ms']['second']:.1f}", "–"]


def test_a_case_may_have_its_own_title_size_and_pictures(found):
    ours = found["rows"][-1]
    rate = table.pictures_a_second(ours)
    assert rate == pytest.approx(4000 / ours["median_ms"])
    assert f"  {rate:.1f} pictures a second" in found["said"]
    assert "\nparted: four small ones, 6 x 6 pixels, 1 thread" in found["said"]
    assert "\nother: toys, 8 x 8 pixels, 1 thread" in found["said"]


def test_a_case_that_does_not_end_is_given_up(toys, monkeypatch):
    monkeypatch.setattr(runner, "LIMIT", 0.05)
    found = runner.run("toys", runs=1, threads=1, only=["other"], say=lambda line: None)
    assert [row["error"] for row in found["rows"]] == ["it was not done after 0.05 s"]


def test_what_was_asked_for_runs_and_the_yardstick_always(toys, monkeypatch):
    monkeypatch.setattr(runner, "_measured", lambda *given: {"error": "not now"})

    def engines(**options):
        found = runner.run("toys", threads=1, say=lambda line: None, **options)
        return [row["engine"] for row in found["rows"]]

    assert engines(only=["other"]) == ["alone"]
    assert engines(backends=["tensorflow"]) == ["torchvision", "environment", "theirs"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 3}, "--size is 3: give a whole number from 4"),
        ({"runs": 0}, "--runs is 0: give a whole number from 1"),
        ({"threads": 0}, "--threads is 0: give a whole number from 1"),
        ({"threads": 4096}, "--threads is 4096, but this process has"),
        ({"only": ["nett"]}, "There is no network 'nett' in this benchmark: the nearest is net"),
        (
            {"backends": ["jaxx"]},
            "There is no backend 'jaxx' in this benchmark: the nearest is jax",
        ),
    ],
)
def test_bad_arguments_are_one_sentence(toys, sentence, options, said):
    with pytest.raises(ValueError) as caught:
        runner.run("toys", **options)
    assert said in sentence(caught)


def test_an_unknown_suite(sentence):
    with pytest.raises(ValueError) as caught:
        runner.run("dancing")
    assert "there are segmentation" in sentence(caught)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "results_dir", lambda: tmp_path)
    return tmp_path


def row(engine, **more):
    figures = {"median_ms": 100.0, "best_ms": 90.0, "cpu_ms": 200.0, "peak_mib": 400, "gap": None}
    plain = {"network": "net", "backend": "jax", "role": case.OURS, "note": ""}
    return {**plain, "engine": engine, "before_mib": 9, **figures, **more}


def measured(*rows):
    return {
        "suite": "toys",
        "command": "pixelwise bench toys",
        "title": "toys",
        "seed": 0,
        "size": 8,
        "runs": 3,
        "threads": 1,
        "seconds": 1.23,
        "rows": list(rows),
    }


def test_the_record_can_be_cited(kept):
    yardstick = row("torchvision", role=case.YARDSTICK, median_ms=200.0, backend="torch")
    rows = (yardstick, row("jax", gap=1.5e-6), row("jax_xla", median_ms=50.0, peak_mib=800))
    path = record.write(measured(*rows, row("absent", error="it is not installed")))
    assert path == kept / "bench_toys.json"
    assert results.get("bench_toys", "test.slowest_ratio") == 0.25
    assert results.get("bench_toys", "test.net.fastest") == "jax_xla"
    assert results.get("bench_toys", "test.net.jax_xla.memory_ratio") == 2
    assert results.get("bench_toys", "test.net.jax.gap") == 1.5e-6
    assert results.get("bench_toys", "test.net.absent.error") == "it is not installed"
    whole = json.loads(path.read_text())
    assert whole["versions"]["backend"] == "jax, torch" and whole["versions"]["keras"]
    assert whole["device"].startswith("CPU, 1 core") and whole["peak_memory_mib"] == 800
    assert results.summary()[0]["metric"] == "slowest_ratio"


def test_the_record_has_parts_and_pictures(kept):
    yardstick = row("torchvision", role=case.YARDSTICK, parts_ms={"paste": 40.0}, pictures=8)
    ours = row("jax", median_ms=50.0, parts_ms={"paste": 1.00001, "masks": 5.0}, pictures=8)
    record.write(measured(yardstick, ours, row("plain", pictures=None, parts_ms={})))
    assert results.get("bench_toys", "test.net.jax.pictures_a_second") == 160
    assert results.get("bench_toys", "test.net.jax.parts_ms.paste") == 1
    assert results.get("bench_toys", "test.net.jax.parts_ratio.paste") == 0.025
    assert results.get("bench_toys", "test.net.jax.parts_ratio.masks") is None
    assert not {"pictures", "parts_ms", "parts_ratio"} & set(
        results.get("bench_toys", "test.net.plain")
    )


def test_a_record_without_a_yardstick_has_no_ratio(kept):
    record.write(measured(row("jax")))
    assert "slowest_ratio" not in results.get("bench_toys", "test")
    assert results.get("bench_toys", "test.net.jax.ratio") is None


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("a"), row("b", error="it differs", wrong=True)], "not the same network with b"),
        ([row("a", error="not installed")], "none of our networks ran"),
        ([row("a", role=case.OTHERS)], "none of our networks ran"),
    ],
)
def test_what_is_not_recorded(kept, sentence, rows, said):
    with pytest.raises(ValueError) as caught:
        record.write(measured(*rows))
    assert said in sentence(caught) and not list(kept.iterdir())


def test_the_command_passes_its_options_on(monkeypatch, capsys):
    seen = {}

    def run(name, **options):
        seen.update(options, name=name)
        return measured(row("jax", **({"error": "it differs", "wrong": True} if bad else {})))

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr(record, "write", lambda found: "results/bench_toys.json")
    bad = False
    assert cli.main(["bench", "toys", "--size", "64", "--runs", "2", "--record"]) == 0
    assert capsys.readouterr().out == "written: results/bench_toys.json\n"
    words = ["bench", "toys", "--only", "a", "b", "--backends", "jax", "--threads", "1"]
    bad = True
    assert cli.main(words) == 1
    assert seen == {
        "name": "toys",
        "size": None,
        "runs": None,
        "only": ["a", "b"],
        "backends": ["jax"],
        "threads": 1,
        "accelerator": False,
    }


def test_a_record_of_a_part_is_refused_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(runner, "run", lambda *a, **k: pytest.fail("it ran"))
    assert cli.main(["bench", "segmentation", "--only", "fcn_resnet50", "--record"]) == 1
    assert "leave out --only and --backends" in capsys.readouterr().err


@pytest.mark.parametrize("suite", sorted({*SUITES} - {"choosing"}))  # it has no yardsticks
def test_the_cases_of_a_suite(suite):
    cases = importlib.import_module(SUITES[suite]).cases()
    assert len({(one.network, one.engine) for one in cases}) == len(cases)
    groups = {}
    for one in cases:
        groups.setdefault(one.network, []).append(one)
        module, _, function = one.build.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
        assert one.backend in case.BACKENDS and one.engine.replace("_", "").isalnum()
        json.dumps(one.arguments)
    for group in groups.values():
        yardsticks = [one for one in group if one.role == case.YARDSTICK]
        assert group[: len(yardsticks)] == yardsticks  # one, or one for each backend of ours
        assert len(yardsticks) == len({one.backend for one in yardsticks})
        trains = group[0].network.endswith("training")  # which OpenVINO cannot
        wanted = set(case.BACKENDS) - ({"openvino"} if trains else set())
        assert {one.backend for one in group if one.role == case.OURS} == wanted
        assert len(yardsticks) in (1, len(wanted))


def test_seeded_weights_depend_on_the_name_and_keep_activations_in_bounds():
    shapes = {"a.weight": (8, 4, 3, 3), "b.weight": (8, 4, 3, 3), "a.running_var": (8,)}
    state = segmentation.random_weights(shapes)
    again = segmentation.random_weights({"a.weight": (8, 4, 3, 3)})
    np.testing.assert_array_equal(state["a.weight"], again["a.weight"])
    assert np.abs(state["a.weight"] - state["b.weight"]).max() > 0.1
    assert state["a.running_var"].min() > 0
    logits = segmentation.ours("fcn_resnet50", size=32, threads=1)()
    assert 0.01 < logits.std() < 1e4 and logits.shape == (1, 32, 32, 21)


def test_our_engines_agree_on_this_backend():
    backend = keras.backend.backend()
    options = {name: o for name, (its, o) in segmentation.ENGINES.items() if its == backend}
    assert len(options) == 2
    one, other = (
        segmentation.ours(segmentation.MOBILE, size=32, threads=1, **arguments)()
        for arguments in options.values()
    )
    assert np.abs(one - other).max() < 1e-4 * np.abs(one).max()


def test_torchvisions_network_is_ours(monkeypatch):
    if importlib.util.find_spec("torchvision") is None:  # importing it here could crash TensorFlow
        pytest.skip("torchvision is not installed")
    backend = keras.backend.backend()
    wanted = ("torchvision", next(e for e, (b, _) in segmentation.ENGINES.items() if b == backend))
    few = [
        one
        for one in segmentation.cases()
        if one.network == "fcn_resnet50" and one.engine in wanted
    ]
    monkeypatch.setattr(segmentation, "cases", lambda: few)
    found = runner.run("segmentation", size=32, runs=1, threads=1, say=lambda line: None)
    theirs, ours = found["rows"]
    assert "error" not in theirs and "error" not in ours, found["rows"]
    assert ours["gap"] < 1e-4


@pytest.mark.parametrize("exporter", segmentation.EXPORTERS.values())
def test_openvino_gives_the_same_logits(exporter):
    pytest.importorskip("openvino")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the exports are made in processes of their own, with backends of their own")
    arguments = {"network": segmentation.MOBILE, "size": 32, "threads": 1}
    one = segmentation.openvino(**arguments, exporter=exporter)()
    other = segmentation.ours(**arguments)()
    assert np.abs(one - other).max() < 1e-4 * np.abs(other).max()


def test_a_network_that_is_not_exported_says_why(monkeypatch, sentence):
    pytest.importorskip("openvino")
    with pytest.raises(ValueError, match="Keras on nonsense does not export it") as caught:
        segmentation.openvino(segmentation.MOBILE, 64, 1, exporter="nonsense")
    assert "\n" not in str(caught.value)


def test_an_error_is_cut_to_one_line():
    assert worker.one_line(ValueError("two\n  lines")) == "two lines"
    assert worker.one_line(KeyError()) == "KeyError: no message"
    assert len(worker.one_line(RuntimeError("x" * 999))) == 200


def test_the_process_that_starts_the_others_loads_no_backend(tmp_path):
    script = tmp_path / "light.py"
    script.write_text(
        "import sys\nfrom pixelwise.bench import detection, generation, record, runner\n"
        "from pixelwise.bench import segmentation\n"
        "runner._processors()\nassert not {'keras', 'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(runner.LIBRARY)}
    done = runner.subprocess.run([sys.executable, str(script)], env=environment, check=False)
    assert done.returncode == 0
