"""Making what a recipe names: a class or function of this package by its address, or of Keras.

See ``recipe``. Nothing outside the two is looked up.
"""

import functools
import importlib
import inspect
import re

from pixelwise.results import nearest


class RecipeError(ValueError):
    """A recipe that does not exist or cannot be used."""


def resolve(address):
    """Finds a class or function of this package by its address.

    Args:
        address: ``"pixelwise.module:name"``.

    Returns:
        The class or function.

    Raises:
        RecipeError: if the address points outside the package or to nothing.
    """
    if not re.fullmatch(r"pixelwise(\.[A-Za-z]\w*)+:[A-Za-z]\w*", str(address)):
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
        table: dict with ``use``, an address for ``resolve``, and arguments. An argument that is
            itself such a table, or a list of them, is made first.
        positional: number of further arguments that the caller will give, in front.
        what: the table's name for the sentence.

    Returns:
        A function of so many arguments.

    Raises:
        RecipeError: as ``resolve``, or if an argument is missing or unknown.
    """
    arguments = {key: _made(value, what) for key, value in table.items() if key != "use"}
    function = resolve(table["use"])
    try:
        inspect.signature(function).bind(*[None] * positional, **arguments)
    except TypeError as error:
        raise RecipeError(f"{what}: {table['use']}: {_one_line(error)}.") from error
    return functools.partial(function, **arguments)


def _made(value, what):
    if isinstance(value, dict) and "use" in value:
        return make(value, what)
    return [_made(item, what) for item in value] if isinstance(value, list) else value


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


def of_keras(module, base, arguments, recipe_name):
    """Makes something that Keras has, such as an optimizer.

    Args:
        module: module of Keras to look in.
        base: class that all there is to choose from is derived from.
        arguments: dict with ``name``, the name of the class, and its arguments.
        recipe_name: for the sentence.

    Raises:
        RecipeError: if the module has no such class, or it refuses an argument.
    """
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
