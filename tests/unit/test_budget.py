"""The budgets: which one is in force, what it allows, and the headline figures."""

import pytest

from pixelwise import budget


def test_the_variable_chooses_the_budget(monkeypatch):
    for name in budget.NAMES:
        monkeypatch.setenv("PIXELWISE_BUDGET", name)
        assert budget.current().name == name


def test_a_bad_variable_is_one_clear_sentence(monkeypatch):
    monkeypatch.setenv("PIXELWISE_BUDGET", "huge")
    with pytest.raises(ValueError, match="PIXELWISE_BUDGET is 'huge': choose smoke, quick or full"):
        budget.current()


@pytest.mark.parametrize(("device", "name"), [(None, "quick"), ("GPU:0", "full")])
def test_without_the_variable_the_device_chooses(monkeypatch, device, name):
    monkeypatch.delenv("PIXELWISE_BUDGET")
    monkeypatch.setattr(budget, "accelerator", lambda: device)
    assert budget.current().name == name


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ("/job:localhost/replica:0/task:0/device:CPU:0", None),
        ("TFRT_CPU_0", None),
        ("cpu", None),
        ("/job:localhost/replica:0/task:0/device:GPU:0", "GPU:0"),
        ("cuda:0", "cuda:0"),
        ("mps:0", "mps:0"),
    ],
)
def test_a_device_is_told_from_where_a_product_was_computed(monkeypatch, device, found):
    import keras

    class Tensor:
        pass

    Tensor.device = device
    monkeypatch.setattr(keras.ops, "matmul", lambda a, b: Tensor())
    budget.accelerator.cache_clear()
    try:
        assert budget.accelerator() == found
    finally:
        budget.accelerator.cache_clear()


def test_the_table_is_complete():
    for chapter, keys in budget.TABLE.items():
        for key, values in keys.items():
            assert set(values) == set(budget.NAMES), f"{chapter} {key}"
    for chapter, entry in budget.HEADLINES.items():
        assert set(entry["floor"]) == set(budget.NAMES), chapter


def test_get_answers_from_the_table(monkeypatch):
    monkeypatch.setattr(budget, "TABLE", {"07_x": {"steps": {"smoke": 1, "quick": 2, "full": 3}}})
    monkeypatch.setenv("PIXELWISE_BUDGET", "full")
    assert budget.get("07_x", "steps") == 3
    with pytest.raises(ValueError, match="no key of 07_x 'stpes': there are steps"):
        budget.get("07_x", "stpes")
    with pytest.raises(ValueError, match="no chapter '08_y': there are 07_x"):
        budget.get("08_y", "steps")


@pytest.fixture
def headlines(monkeypatch):
    entries = {
        "07_x": {"name": "IoU", "floor": {"smoke": None, "quick": 0.5, "full": 0.7}},
        "08_y": {
            "name": "FID",
            "better": "lower",
            "floor": {"smoke": None, "quick": 50.0, "full": 20.0},
        },
    }
    monkeypatch.setattr(budget, "HEADLINES", entries)
    monkeypatch.setattr(budget, "recorded", lambda chapter: 0.8125 if chapter == "07_x" else None)


@pytest.mark.parametrize(
    ("chapter", "name", "value", "line"),
    [
        ("07_x", "smoke", 0.1, "IoU: 0.100 (smoke budget, recorded 0.812)"),
        ("07_x", "quick", 0.5, "IoU: 0.500 (quick budget, floor 0.500, recorded 0.812)"),
        (
            "07_x",
            "quick",
            0.4,
            "IoU: 0.400 (quick budget, floor 0.500, recorded 0.812): floor not reached",
        ),
        ("08_y", "quick", 120.04, "FID: 120.0 (quick budget, ceiling 50): ceiling not reached"),
        ("08_y", "full", 19.5, "FID: 19.500 (full budget, ceiling 20)"),
    ],
)
def test_a_headline_is_one_line(monkeypatch, capsys, headlines, chapter, name, value, line):
    monkeypatch.setenv("PIXELWISE_BUDGET", name)
    budget.headline(chapter, value)
    assert capsys.readouterr().out == line + "\n"


def test_a_headline_keeps_its_name(headlines):
    with pytest.raises(ValueError, match="The headline of 07_x is 'IoU', not 'accuracy'"):
        budget.headline("07_x", 0.5, "accuracy")
    with pytest.raises(ValueError, match="There is no headline '09_z'"):
        budget.headline("09_z", 0.5)


def test_the_recorded_figure_comes_from_results(monkeypatch):
    from pixelwise import results

    record = {("wardrobe", "test.iou"): 0.75, ("chapters", "08_y.full.headline.value"): 21}

    def get(file, key):
        if (file, key) not in record:
            raise ValueError("not on record")
        return record[file, key]

    monkeypatch.setattr(results, "get", get)
    entries = {"07_x": {"recorded": "wardrobe test.iou"}, "08_y": {}, "09_z": {}}
    monkeypatch.setattr(budget, "HEADLINES", entries)
    assert [budget.recorded(chapter) for chapter in entries] == [0.75, 21.0, None]
