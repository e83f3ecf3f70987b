"""The command ``pixelwise``: what it understands, what it says, its exit status."""

import json

import pytest

from pixelwise import cli, paths, training
from pixelwise.book import running
from pixelwise.data.download import NoNetwork


@pytest.fixture
def root(tmp_path):
    (tmp_path / "chapters" / "source").mkdir(parents=True)
    (tmp_path / "chapters" / "source" / "00_a.py").write_text("# %% [markdown]\n# # A\n")
    (tmp_path / "chapters" / "00_a.ipynb").write_text("{}")
    (tmp_path / "results").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/a/b"\n'
    )
    return tmp_path


def call(root, *words):
    return cli.main(["--root", str(root), *words])


@pytest.mark.parametrize("command", ["run", "build"])
def test_an_unknown_chapter_is_one_sentence(root, capsys, command):
    assert call(root, command, "7") == 1
    captured = capsys.readouterr()
    assert captured.err == "pixelwise: There is no chapter '7': there are 00_a.\n"


def test_a_book_without_notebooks_says_so(root, capsys):
    (root / "chapters" / "00_a.ipynb").unlink()
    assert call(root, "run") == 1
    assert "run 'pixelwise build' first" in capsys.readouterr().out


def test_a_bad_budget_is_one_sentence(root, capsys, monkeypatch):
    monkeypatch.setenv("PIXELWISE_BUDGET", "huge")
    assert call(root, "run") == 1
    assert "PIXELWISE_BUDGET is 'huge'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["dance"], ["run", "--budget", "huge"]])
def test_what_it_does_not_understand_exits_with_2(words):
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2


def test_train_passes_its_options_on(monkeypatch, capsys):
    seen = {}

    def train(name, **kw):
        seen.update(kw, name=name)
        return {"test": {}, "written": ["results/fcn8s.json"]}

    monkeypatch.setattr(training, "train", train)
    words = ["train", "fcn8s", "--seed", "3", "--steps", "10", "--no-resume", "--data-root", "pets"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == "written: results/fcn8s.json\n"
    assert str(seen.pop("data_root")) == "pets"
    assert seen == {"name": "fcn8s", "seed": 3, "steps": 10, "resume": False}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("There is no recipe 'x'."), "There is no recipe 'x'."),
        (ValueError("Two\nlines."), "Two lines."),
        (OSError(28, "No space left on device", "a.npz"), "No space left on device: a.npz"),
        (PermissionError(13, "Permission denied", "build"), "Permission denied: build"),
        (NoNetwork("Cannot reach it."), "Cannot reach it."),
        (
            ModuleNotFoundError("No module named 'x'"),
            "No module named 'x': install it, or set KERAS_BACKEND to a backend that is installed.",
        ),
    ],
)
def test_an_error_of_a_command_is_one_sentence_and_status_1(monkeypatch, capsys, error, said):
    def train(name, **kw):
        raise error

    monkeypatch.setattr(training, "train", train)
    assert cli.main(["train", "nothing"]) == 1
    assert capsys.readouterr().err == f"pixelwise: {said}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "fcn8s"], "no recipe 'fcn8s': the nearest"),
        (["train", "fcn8s_wardrobe", "--seed", "-1"], "not -1"),
        (["train", "fcn8s_wardrobe", "--seed", "4294967296"], "not 4294967296"),
        (["train", "fcn8s_wardrobe", "--steps", "0"], "not 0"),
        (["train", "fcn8s_wardrobe", "--data-root", "x", "--steps", "1"], "no option 'root'"),
        (["train", "fcn8s_pets", "--data-root", "nowhere", "--steps", "1"], "There is no nowhere"),
    ],
)
def test_wrong_words_for_train(monkeypatch, tmp_path, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path))
    assert cli.main(words) == 1
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_cache_folder_that_cannot_be_made(monkeypatch, tmp_path, sentence):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError) as caught:
        paths.cache_dir()
    assert "set PIXELWISE_CACHE" in sentence(caught)


def test_a_damaged_record_stops_the_table_and_a_recorded_run(root, monkeypatch, capsys):
    monkeypatch.setattr(paths, "results_dir", lambda: root / "results")
    monkeypatch.setattr(running, "probe", lambda budget: {"budget": "smoke"})
    (root / "results" / "chapters.json").write_text("{")
    for words in (["results"], ["run", "--record"]):
        assert call(root, *words) == 1
        captured = capsys.readouterr()
        assert "chapters.json is" in captured.err and captured.err.count("\n") == 1
        assert captured.out == ""


def test_ctrl_c_ends_with_130(monkeypatch, capsys):
    def train(name, **kw):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", train)
    assert cli.main(["train", "long"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_results_shows_what_is_on_record(monkeypatch, capsys):
    from pixelwise import results

    row = {
        "recipe": "fcn8s",
        "metric": "mean_iou",
        "value": 0.7125,
        "std": None,
        "n": 1,
        "seconds": 712.3,
        "device": "CPU, 2 cores",
    }
    monkeypatch.setattr(results, "summary", lambda: [row])
    assert cli.main(["results"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["recipe", "metric", "value", "spread", "seeds", "seconds", "device"]
    assert line.split()[:6] == ["fcn8s", "mean_iou", "0.713", "\u2013", "1", "712"]


def test_results_readme_rewrites_the_table_and_the_marked_numbers(root, monkeypatch, capsys):
    from pixelwise import results

    monkeypatch.setattr(results, "get", lambda file, key: 0.71)
    readme = root / "README.md"
    readme.write_text(
        "0.99<!-- result a test.iou -->\n<!-- chapters -->\nold\n<!-- /chapters -->\n"
    )
    record = {"seconds": 3.0, "peak_memory_mib": 512, "headline": None}
    (root / "results" / "chapters.json").write_text(json.dumps({"00_a": {"quick": record}}))
    assert call(root, "results", "--readme") == 0
    text = readme.read_text()
    assert text.startswith("0.71<!-- result a test.iou -->")
    assert "| [00. A](chapters/00_a.ipynb) | 3 s, 0.5 GiB |" in text
    assert capsys.readouterr().out == "README.md rewritten\n"


def test_address_shows_and_changes(root, capsys):
    assert call(root, "address") == 0
    assert capsys.readouterr().out == "https://github.com/a/b\n"
    assert call(root, "address", "https://github.com/c/d") == 0
    assert capsys.readouterr().out == "pyproject.toml\n"
    assert call(root, "address", "nowhere") == 1
    assert "is no repository's address" in capsys.readouterr().err
