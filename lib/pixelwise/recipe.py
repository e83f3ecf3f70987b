"""Recipes: what to train, as data.

A recipe is a TOML file in ``recipes/``. It names things of this package and of Keras and gives
their arguments; it holds no code, and only names inside ``pixelwise`` are looked up.
"""

import dataclasses
import hashlib
import json
import re
import tomllib
from pathlib import Path

import keras

from pixelwise.construct import RecipeError, find, make, of_keras, resolve
from pixelwise.results import nearest

__all__ = [
    "Recipe",
    "RecipeError",
    "build_optimizer",
    "check",
    "find",
    "make",
    "names",
    "read",
    "resolve",
]

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
    for table, key in [("data", "name"), ("model", "use"), ("evaluation", "use")]:
        _text(content, table, key, stem)
    for table, key in [("loss", "use"), ("checkpoint", "file")]:
        if table in content:
            _text(content, table, key, stem)
    for table in ("optimizer", "schedule"):
        if table in content:
            if "name" in content[table] and "use" in content[table]:
                raise RecipeError(
                    f"In the recipe {stem}, [{table}] has both 'name', for one of Keras, and "
                    "'use', for one of this package: give one of them."
                )
            _text(content, table, "use" if "use" in content[table] else "name", stem)
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


def build_optimizer(recipe, steps):
    """Makes the optimizer of a recipe, with its schedule scaled to the number of steps.

    Args:
        recipe: ``Recipe``.
        steps: optimizer steps of this run; the schedule's ``decay_steps`` fill what the warm-up
            leaves unless the recipe gives them, and shrink with it in a shorter run.

    Returns:
        ``keras.optimizers.Optimizer``.

    Raises:
        RecipeError: if Keras has no such optimizer or schedule, this package has no such schedule,
            or an argument is refused.
    """
    arguments = dict(recipe.optimizer)
    if recipe.schedule:
        arguments["learning_rate"] = _schedule(recipe, steps)
    return _keras_or_own(
        arguments, keras.optimizers, keras.optimizers.Optimizer, "optimizer", recipe.name
    )


def _keras_or_own(table, module, kind, what, name):
    """Makes an optimizer or a schedule: one of Keras by its name, one of this package by use."""
    if "name" in table:
        return of_keras(module, kind, table, name)
    made = make(table, f"[{what}] of the recipe {name}")
    if not isinstance(made, kind):
        raise RecipeError(
            f"In the recipe {name}, {table['use']!r} is no {what}: use one of pixelwise.nn."
            f"{what}s, or name one of Keras."
        )
    return made


def _schedule(recipe, steps):
    schedule, kind = dict(recipe.schedule), keras.optimizers.schedules.LearningRateSchedule
    scale = steps / recipe.steps
    for key in ("warmup_steps", "decay_steps"):
        if schedule.get(key):
            schedule[key] = max(1, round(schedule[key] * scale))
    name = schedule["name"] if "name" in schedule else schedule["use"].rpartition(":")[2]
    if name in ("CosineDecay", "PolynomialDecay") and "decay_steps" not in schedule:
        schedule["decay_steps"] = max(1, steps - schedule.get("warmup_steps", 0))
    return _keras_or_own(schedule, keras.optimizers.schedules, kind, "schedule", recipe.name)


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
