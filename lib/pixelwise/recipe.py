"""Recipes: what to train, as data.

A recipe is a TOML file in ``recipes/``. It names things of this package and of Keras and gives
their arguments; it holds no code, and only names inside ``pixelwise`` are looked up.
"""

import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
import re
import tomllib
from pathlib import Path

import keras

from pixelwise.results import nearest

FOLDER = Path(__file__).parent / "recipes"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

# Table -> the entries it may have; None where the rest are arguments of what it names.
TABLES = {
    "data": ("name", "all", "train", "validation", "test"),
    "model": None,
    "optimizer": None,
    "loss": None,
    "schedule": None,
    "compile": None,
    "training": ("steps", "batch_size", "ema", "seeds", "validate_every"),
    "evaluation": None,
    "checkpoint": ("file", "seed", "licence", "origin"),
}
REQUIRED = ("data", "model", "optimizer", "training", "evaluation")


class RecipeError(ValueError):
    """A recipe that does not exist or cannot be used."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A recipe as it stands in its file; see ``read``."""

    name: str
    chapter: str
    description: str
    data: dict
    model: dict
    optimizer: dict
    training: dict
    evaluation: dict
    loss: dict = dataclasses.field(default_factory=dict)
    schedule: dict = dataclasses.field(default_factory=dict)
    compile: dict = dataclasses.field(default_factory=dict)
    checkpoint: dict = dataclasses.field(default_factory=dict)

    @property
    def steps(self):
        """Number of optimizer steps."""
        return self.training["steps"]

    @property
    def seeds(self):
        """The seeds the recipe is recorded with."""
        return self.training.get("seeds", [0])

    @property
    def checkpoint_seed(self):
        """The seed whose weights are embedded, None if none are."""
        return self.checkpoint.get("seed", self.seeds[0]) if self.checkpoint else None

    def result_name(self, seed):
        """Returns the name of the record of one seed."""
        alone = bool(self.checkpoint) and len(self.seeds) == 1
        return self.name if alone and seed == self.seeds[0] else f"{self.name}-seed{seed}"

    def digest(self):
        """Returns a hash of all that decides the outcome of the training."""
        parts = ("data", "model", "loss", "optimizer", "schedule", "compile", "training")
        content = {part: dict(getattr(self, part)) for part in parts}
        content["data"].pop("test", None)
        for key in ("seeds", "validate_every"):
            content["training"].pop(key, None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def names():
    """Returns the names of the recipes that come with the book."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name):
    """Reads and checks a recipe.

    Args:
        name: name of a recipe of the book, or a path that ends in ``.toml``.

    Returns:
        ``Recipe``.

    Raises:
        RecipeError: if there is no such recipe (with the nearest names) or it is not valid.
    """
    path = Path(name) if str(name).endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise RecipeError(f"There is no recipe {str(name)!r}: {nearest(name, names())}.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path.name} is not valid TOML: {error}.") from error
    return check(content, path.stem)


def check(content, stem):
    """Checks the content of a recipe.

    Args:
        content: the parsed TOML.
        stem: the file's name without ``.toml``, which the recipe's own name must equal.

    Returns:
        ``Recipe``.

    Raises:
        RecipeError: naming the first thing that is wrong.
    """
    known = ["name", "chapter", "description", *TABLES]
    _only(content, known, f"The recipe {stem}")
    for key in ("name", "chapter", "description"):
        if not isinstance(content.get(key), str) or not content[key]:
            raise RecipeError(f"The recipe {stem} needs a text for {key!r}.")
    if not NAME.fullmatch(stem):
        raise RecipeError(f"A recipe's name has letters, digits, '_' and '-' only, not {stem!r}.")
    if content["name"] != stem:
        raise RecipeError(f"The recipe {stem}.toml calls itself {content['name']!r}: use one name.")
    for table, keys in TABLES.items():
        if table not in content:
            if table in REQUIRED:
                raise RecipeError(f"The recipe {stem} needs a table [{table}].")
            continue
        if not isinstance(content[table], dict):
            raise RecipeError(f"In the recipe {stem}, [{table}] must be a table.")
        if keys:
            _only(content[table], keys, f"[{table}] of the recipe {stem}")
    for table, key in [
        ("data", "name"),
        ("model", "use"),
        ("optimizer", "name"),
        ("evaluation", "use"),
    ]:
        _text(content, table, key, stem)
    for table, key in [("loss", "use"), ("schedule", "name"), ("checkpoint", "file")]:
        if table in content:
            _text(content, table, key, stem)
    _check_training(content["training"], stem)
    if ("validate_every" in content["training"]) != ("validation" in content["data"]):
        raise RecipeError(
            f"The recipe {stem} needs both [data.validation] and [training] validate_every, or "
            "neither."
        )
    recipe = Recipe(**content)
    if not NAME.fullmatch(recipe.checkpoint.get("file", stem)):
        raise RecipeError(
            f"In the recipe {stem}, [checkpoint] file is a name without folder and ending, not "
            f"{recipe.checkpoint['file']!r}."
        )
    if recipe.checkpoint and recipe.checkpoint_seed not in recipe.seeds:
        raise RecipeError(
            f"In the recipe {stem}, [checkpoint] seed is {recipe.checkpoint_seed!r}, which is not "
            f"among the seeds {recipe.seeds}."
        )
    return recipe


def resolve(address):
    """Finds a class or function of this package by its address.

    Args:
        address: ``"pixelwise.module:name"``.

    Returns:
        The class or function.

    Raises:
        RecipeError: if the address points outside the package or to nothing.
    """
    if not re.fullmatch(r"pixelwise(\.[A-Za-z]\w*)+:[A-Za-z]\w*", address):
        raise RecipeError(
            f"{address!r} is not an address inside this package, such as "
            "'pixelwise.models.fcn:FCN': recipes use nothing else."
        )
    module_name, attribute = address.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise RecipeError(f"There is no module {error.name!r} for {address!r}.") from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise RecipeError(f"The module {module_name} has no class or function {attribute!r}.")
    if not str(getattr(found, "__module__", "")).startswith("pixelwise."):
        raise RecipeError(f"{address!r} was not defined in this package: recipes use nothing else.")
    return found


def find(table, positional, what):
    """Finds what a table uses and gives it the table's arguments.

    Args:
        table: dict with ``use``, an address for ``resolve``, and arguments.
        positional: number of further arguments that the caller will give, in front.
        what: the table's name for the sentence.

    Returns:
        A function of so many arguments.

    Raises:
        RecipeError: as ``resolve``, or if an argument is missing or unknown.
    """
    arguments = {key: value for key, value in table.items() if key != "use"}
    function = resolve(table["use"])
    try:
        inspect.signature(function).bind(*[None] * positional, **arguments)
    except TypeError as error:
        raise RecipeError(f"{what}: {table['use']}: {_one_line(error)}.") from error
    return functools.partial(function, **arguments)


def make(table, what):
    """Makes what a table describes; see ``find``.

    Raises:
        RecipeError: as ``find``, or if an argument's value is refused.
    """
    build = find(table, 0, what)
    try:
        return build()
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{what}: {_one_line(error)}.") from error


def build_optimizer(recipe, steps):
    """Makes the optimizer of a recipe, with its schedule scaled to the number of steps.

    Args:
        recipe: ``Recipe``.
        steps: optimizer steps of this run; the schedule's ``decay_steps`` fill what the warm-up
            leaves unless the recipe gives them, and shrink with it in a shorter run.

    Returns:
        ``keras.optimizers.Optimizer``.

    Raises:
        RecipeError: if Keras has no such optimizer or schedule, or it refuses an argument.
    """
    arguments = dict(recipe.optimizer)
    if recipe.schedule:
        schedule = dict(recipe.schedule)
        scale = steps / recipe.steps
        for key in ("warmup_steps", "decay_steps"):
            if schedule.get(key):
                schedule[key] = max(1, round(schedule[key] * scale))
        if schedule["name"] in ("CosineDecay", "PolynomialDecay") and "decay_steps" not in schedule:
            schedule["decay_steps"] = max(1, steps - schedule.get("warmup_steps", 0))
        base = keras.optimizers.schedules.LearningRateSchedule
        arguments["learning_rate"] = _keras(keras.optimizers.schedules, base, schedule, recipe.name)
    return _keras(keras.optimizers, keras.optimizers.Optimizer, arguments, recipe.name)


def _keras(module, base, arguments, recipe_name):
    arguments = dict(arguments)
    name = arguments.pop("name")
    known = [
        n
        for n in dir(module)
        if inspect.isclass(getattr(module, n))
        and issubclass(getattr(module, n), base)
        and getattr(module, n) is not base
    ]
    if name not in known:
        raise RecipeError(
            f"The recipe {recipe_name} asks for {name!r}, which Keras does not have: "
            f"{nearest(name, known)}."
        )
    try:
        return getattr(module, name)(**arguments)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"In the recipe {recipe_name}, {name}: {_one_line(error)}.") from error


def _one_line(error):
    return " ".join(str(error).split()).rstrip(".")


def _check_training(table, stem):
    for key in ("steps", "batch_size"):
        if not _whole(table.get(key), 1):
            raise RecipeError(
                f"In the recipe {stem}, [training] {key} must be a whole number of at least 1, "
                f"not {table.get(key)!r}."
            )
    seeds = table.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(_whole(seed, 0) for seed in seeds):
        raise RecipeError(
            f"In the recipe {stem}, [training] seeds must be a list of whole numbers, "
            f"not {seeds!r}."
        )


def _whole(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _only(table, known, what):
    for key in table:
        if key not in known:
            raise RecipeError(f"{what} has an unknown entry {key!r}: {nearest(key, known)}.")


def _text(content, table, key, stem):
    if not isinstance(content[table].get(key), str):
        raise RecipeError(f"In the recipe {stem}, [{table}] needs a text for {key!r}.")
