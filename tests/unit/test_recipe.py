"""``pixelwise.recipe`` and ``training.train``: recipes are data, checked before they are run."""

import copy
import json
import sys
import tomllib
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from pixelwise import data, paths, recipe, results, runstate, training, weights

TINY = Path(__file__).with_name("recipes_tiny.toml")


@keras.saving.register_keras_serializable(package="tests")
class Line(keras.Model):
    """y = a x + b."""

    def __init__(self, start, **kwargs):
        super().__init__(name="tiny", **kwargs)
        self.dense = keras.layers.Dense(
            1, kernel_initializer=keras.initializers.Constant(start), name="line"
        )

    def call(self, x):
        return self.dense(x)


class Squared(keras.losses.Loss):
    """The squared error."""

    def call(self, y_true, y_pred):
        return keras.ops.square(y_true - y_pred)


class Points(keras.utils.PyDataset):
    """Points on a line through 1, and how they were asked for."""

    loaded = []

    def __init__(self, split, batch_size, slope, seed=None, root=None):
        super().__init__()
        self.batch_size, self.slope = batch_size, slope
        self.seed = {"train": seed, "validation": 98, "test": 99}[split]
        self.num_batches = None if split == "train" else 2
        Points.loaded.append((split, batch_size, seed, root))

    num_batches = None

    def __getitem__(self, index):
        rng = np.random.default_rng([self.seed, index])
        x = rng.normal(size=(self.batch_size, 1)).astype("float32")
        return x, self.slope * x + 1


def measure(model, dataset, factor=1.0):
    """The mean error, times a factor."""
    errors = [np.abs(model.predict_on_batch(x) - y).mean() for x, y in dataset]
    error = factor * np.float32(np.mean(errors))
    return {"error": error, "each": np.array(errors), "points": 16}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with a tiny model and data set, and folders of its own."""
    tiny = types.ModuleType("pixelwise.models.tiny")
    for thing in (Line, Squared, measure):
        monkeypatch.setattr(thing, "__module__", "pixelwise.models.tiny")
        setattr(tiny, thing.__name__, thing)
    tiny.outside = json.loads
    points = types.ModuleType("pixelwise.data.points")
    points.load = Points
    monkeypatch.setitem(sys.modules, "pixelwise.models.tiny", tiny)
    monkeypatch.setitem(sys.modules, "pixelwise.data.points", points)
    monkeypatch.setitem(data.DATASETS, "points", "pixelwise.data.points")
    for name in ("results", "data", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(paths, "results_dir", lambda: tmp_path / "results")
    monkeypatch.setattr(paths, "data_dir", lambda: tmp_path / "data")
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path / "cache"))
    Points.loaded = []
    return tmp_path


def test_a_recipe_is_read(book):
    plan = recipe.read(TINY)
    assert (plan.name, plan.steps, plan.seeds) == ("recipes_tiny", 200, [0, 1])
    assert plan.checkpoint_seed == 0
    assert plan.result_name(1) == "recipes_tiny-seed1"


def test_training_records_every_seed_and_embeds_one(book, tree):
    found = training.train(TINY)
    assert found["seeds"] == [0, 1] and found["n"] == 2
    assert found["test"]["error"]["mean"] < 0.1
    assert tree(book / "results") == ["recipes_tiny-seed0.json", "recipes_tiny-seed1.json"]
    assert tree(book / "data") == ["MANIFEST.json", "checkpoints", "checkpoints/tiny_line.npz"]
    assert tree(book / "cache") == ["runs"]
    assert [Path(path).name for path in found["written"]] == [
        "recipes_tiny-seed0.json",
        "tiny_line.npz",
        "recipes_tiny-seed1.json",
    ]
    assert sorted(Points.loaded)[:2] == [("test", 8, None, None)] * 2
    assert sorted(Points.loaded)[2:4] == [("train", 8, 0, None), ("train", 8, 1, None)]

    record = results.read("recipes_tiny-seed0")
    assert record["command"] == "pixelwise train recipes_tiny --seed 0"
    assert (record["steps"], record["seed"], record["budget"]) == (200, 0, "full")
    assert [row["step"] for row in record["validation"]] == [100, 200]
    assert set(record["validation"][0]) == {"step", "error"}
    assert record["test"]["points"] == 16
    assert record["curve"]["step"][-1] == 200 and len(record["curve"]["loss"]) == 100
    assert record["curve"]["loss"][0] > 10 * record["curve"]["loss"][-1]
    entry = json.loads((book / "data" / "MANIFEST.json").read_text())["files"]
    assert entry["checkpoints/tiny_line.npz"]["made_by"] == record["command"]

    model = Line(0.0)
    model(np.ones((1, 1), "float32"))
    weights.load(model, book / "data" / "checkpoints" / "tiny_line.npz")
    measured = measure(model, Points("test", 8, 3.0), 2.0)
    assert float(measured["error"]) == pytest.approx(record["test"]["error"], abs=1e-6)


def test_a_seed_can_be_chosen_and_its_result_is_the_same_again(book):
    short = shortened(book, seeds=[0, 1])
    first = training.train(short, seed=1)
    again = training.train(short, seed=1)
    assert first["seed"] == 1
    assert first["curve"] == again["curve"] and first["test"] == again["test"]
    assert training.train(short, seed=5)["curve"] != first["curve"]
    assert not (book / "data" / "checkpoints").exists()


def test_another_number_of_steps_is_never_recorded(book, tree):
    before = b"recorded"
    (book / "results" / "recipes_tiny-seed0.json").write_bytes(before)
    found = training.train(TINY, seed=0, steps=3, write=True)
    assert (found["steps"], found["budget"], found["written"]) == (3, "3 steps", [])
    assert (book / "results" / "recipes_tiny-seed0.json").read_bytes() == before
    assert tree(book / "cache") == ["runs"]


def test_nothing_is_recorded_on_request(book, tree):
    assert training.train(shortened(book), seed=0, write=False)["written"] == []
    assert tree(book / "results") == tree(book / "data") == []


def test_the_one_seed_of_an_embedded_recipe_has_the_plain_name(book):
    one = shortened(book, seeds=[4])
    found = training.train(one)
    assert [Path(path).name for path in found["written"]] == ["recipes_tiny.json", "tiny_line.npz"]
    assert results.get("recipes_tiny", "seed") == 4


def test_a_killed_training_goes_on(book, monkeypatch):
    short = shortened(book)
    whole = training.train(short, seed=0, write=False)
    real = training.loop.Keeper.save

    def save_and_die(keeper, history, step, arrays):
        real(keeper, history, step, arrays)
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(training.loop.Keeper, "due", lambda keeper: True)
        patch.setattr(training.loop.Keeper, "save", save_and_die)
        training.train(short, seed=0, write=False)
    state = book / "cache" / "runs" / "recipes_tiny-seed0.npz"
    assert runstate.read(state)[0]["step"] == 1
    found = training.train(short, seed=0, write=False)
    assert found["test"]["error"] == pytest.approx(whole["test"]["error"], abs=1e-5)
    assert not state.exists()


def test_the_state_of_a_changed_recipe_is_refused(book, sentence):
    other = recipe.read(write(book, lambda content: content["model"].update(start=0.7)))
    assert other.digest() != recipe.read(TINY).digest()
    same = recipe.read(write(book, lambda content: content.update(description="new words")))
    assert same.digest() == recipe.read(TINY).digest()


def test_the_data_root_reaches_the_loader(book):
    found = training.train(TINY, seed=0, steps=2, data_root=book / "pets")
    assert {root for *_, root in Points.loaded} == {book / "pets"}
    assert found["command"].endswith("--data-root pets")


def test_the_schedule_shrinks_with_the_run():
    plan = recipe.read(TINY)
    full = recipe.build_optimizer(plan, 200).get_config()["learning_rate"]["config"]
    short = recipe.build_optimizer(plan, 20).get_config()["learning_rate"]["config"]
    assert (full["warmup_steps"], full["decay_steps"]) == (20, 180)
    assert (short["warmup_steps"], short["decay_steps"]) == (2, 18)


POLY = "pixelwise.nn.schedules:PolynomialDecay"
LOSSES = "pixelwise.nn.segmentation_losses"


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        # Keras' own, and ours, without a warm-up: 0.1 * (1 - step / 200) ** 0.9
        (
            {"name": "PolynomialDecay", "power": 0.9, "end_learning_rate": 0.0},
            {0: 0.1, 100: 0.05358867, 180: 0.01258925, 200: 0},
        ),
        ({"use": POLY}, {0: 0.1, 100: 0.05358867, 180: 0.01258925, 200: 0}),
        # 20 steps up, then 180 down: at step 110 half of them are left.
        (
            {"use": POLY, "warmup_target": 0.2, "warmup_steps": 20},
            {0: 0.1, 10: 0.15, 20: 0.2, 110: 0.10717735, 200: 0},
        ),
    ],
)
def test_the_rate_of_a_recipe_may_fall_as_a_power(book, schedule, rates):
    def change(content):
        content["schedule"] = {"initial_learning_rate": 0.1, **schedule}

    plan = recipe.read(write(book, change))
    for steps in (200, 20):
        optimizer = recipe.build_optimizer(plan, steps)
        for step, rate in rates.items():
            optimizer.iterations.assign(step * steps // 200)
            assert float(optimizer.learning_rate) == pytest.approx(rate, rel=1e-4, abs=1e-9)


def test_a_run_has_a_schedule_of_this_package(book):
    schedule = {"use": POLY, "initial_learning_rate": 0.3}
    plan = write(book, lambda content: content.update(schedule=schedule))
    assert training.train(plan, seed=0, steps=3)["steps"] == 3


def test_a_loss_may_be_made_of_losses(book):
    def change(content):
        parts = [{"use": f"{LOSSES}:DiceLoss"}, {"use": f"{LOSSES}:FocalLoss", "gamma": 3}]
        content["loss"] = {"use": f"{LOSSES}:SumLoss", "losses": parts, "weights": [1, 0.5]}

    loss = recipe.make(recipe.read(write(book, change)).loss, "[loss]")
    assert [type(part).__name__ for part in loss.losses] == ["DiceLoss", "FocalLoss"]
    assert loss.losses[1].gamma == 3 and loss.weights == [1, 0.5]


def _toml(value):
    """A value as TOML writes it: what JSON writes, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def write(folder, change):
    content = copy.deepcopy(tomllib.loads(TINY.read_text()))
    change(content)
    path = folder / TINY.name
    lines = [
        f"{key} = {json.dumps(content.pop(key))}" for key in ("name", "chapter", "description")
    ]
    for table, entries in content.items():
        inner = {k: v for k, v in entries.items() if isinstance(v, dict)}
        lines += [f"[{table}]"]
        lines += [f"{k} = {_toml(v)}" for k, v in entries.items() if k not in inner]
        for name, more in inner.items():
            lines += [f"[{table}.{name}]", *(f"{k} = {_toml(v)}" for k, v in more.items())]
    path.write_text("\n".join(lines))
    return path


def shortened(folder, **more):
    """The recipe with a tenth of its steps."""

    def change(content):
        content["training"].update(steps=20, validate_every=10, **more)
        content["schedule"].update(warmup_steps=2)

    return write(folder, change)


def wrong(table, **entries):
    return lambda content: content.setdefault(table, {}).update(entries)


def without(table, key=None):
    return lambda content: content[table].pop(key) if key else content.pop(table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(description=""), "description"),
        (lambda c: c.update(name="other"), "calls itself 'other'"),
        (wrong("trainin", steps=3), "the nearest are training"),
        (wrong("training", step=3), "the nearest are steps"),
        (wrong("training", steps=0), "not 0"),
        (wrong("training", steps="many"), "not 'many'"),
        (wrong("training", batch_size=True), "not True"),
        (wrong("training", seeds=[]), "seeds"),
        (without("training"), "needs a table [training]"),
        (without("model", "use"), "[model] needs a text for 'use'"),
        (without("data", "validation"), "or neither"),
        (wrong("checkpoint", file="../x"), "'../x'"),
        (wrong("checkpoint", seed=7), "not among the seeds"),
        (wrong("model", use="os:system"), "'os:system' is not an address inside this package"),
        (wrong("model", use="pixelwise.models.tiny:Lin"), "no class or function 'Lin'"),
        (wrong("model", use="pixelwise.models.none:X"), "no module 'pixelwise.models.none'"),
        (wrong("model", use="pixelwise.models.tiny:outside"), "was not defined in this package"),
        (wrong("model", use="pixelwise.paths:os.system"), "not an address"),
        (wrong("model", colour=3), "'colour'"),
        (wrong("evaluation", speed=3), "[evaluation] of the recipe recipes_tiny"),
        (wrong("data", name="point"), "no data set 'point'"),
        (lambda c: c["data"]["all"].update(depth=3), "'depth'"),
        (wrong("optimizer", name="SDG"), "SGD"),
        (wrong("optimizer", name="Optimizer"), "Keras does not have"),
        (wrong("optimizer", momentums=3), "momentums"),
        (wrong("schedule", name="CosineDcay"), "CosineDecay"),
        (wrong("schedule", use=POLY), "has both 'name'"),
        (without("schedule", "name"), "[schedule] needs a text for 'name'"),
        (lambda c: c.update(schedule={"use": POLY}), "missing a required argument"),
        (
            lambda c: c.update(schedule={"use": POLY, "initial_learning_rate": 1, "power": 0}),
            "power 0",
        ),
        (lambda c: c.update(schedule={"use": "pixelwise.models.tiny:Squared"}), "is no schedule"),
        (
            lambda c: c.update(loss={"use": f"{LOSSES}:SumLoss", "losses": [{"use": "os:system"}]}),
            "'os:system' is not an address",
        ),
    ],
)
def test_a_wrong_recipe_gets_a_sentence_before_any_training(
    book, sentence, change, said, monkeypatch
):
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("it was trained"))
    with pytest.raises(ValueError) as caught:
        training.train(write(book, change), seed=0)
    assert said in sentence(caught)


def test_unknown_recipes_name_the_nearest(sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "FOLDER", tmp_path)
    (tmp_path / "fcn8s_wardrobe.toml").write_text("name = ")
    assert recipe.names() == ["fcn8s_wardrobe"]
    with pytest.raises(recipe.RecipeError) as caught:
        recipe.read("fcn8s")
    assert "the nearest is fcn8s_wardrobe" in sentence(caught)
    with pytest.raises(recipe.RecipeError) as caught:
        recipe.read("fcn8s_wardrobe")
    assert "not valid TOML" in sentence(caught)
    for name in (None, ["fcn8s_wardrobe"], 8):
        with pytest.raises(recipe.RecipeError) as caught:
            recipe.read(name)
        assert f"There is no recipe {str(name)!r}" in sentence(caught)
    for address in (None, ["pixelwise.models.fcn:fcn"]):
        with pytest.raises(recipe.RecipeError) as caught:
            recipe.resolve(address)
        assert "is not an address inside this package" in sentence(caught)


@pytest.mark.parametrize(
    "options", [{"seed": -1}, {"seed": 1.5}, {"seed": 2**32}, {"seed": True}, {"steps": 0}]
)
def test_wrong_seeds_and_steps_get_a_sentence(book, sentence, options):
    with pytest.raises(ValueError) as caught:
        training.train(TINY, **options)
    assert repr(next(iter(options.values()))) in sentence(caught)


def test_the_recipes_of_the_book_are_valid():
    for name in recipe.names():
        plan = recipe.read(name)
        recipe.build_optimizer(plan, plan.steps)
        recipe.find(plan.model, 0, name)
        recipe.find(plan.evaluation, 2, name)
        assert plan.data["name"] in data.DATASETS
