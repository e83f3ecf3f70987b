"""Training: one ``fit`` that can be killed at any moment, and recipes that can be run again.

``fit`` is one ``keras.Model.fit`` over a view of the data that starts at the step reached. What it
adds are a display, a guard against NaN, an average of the weights, and a state on disk.
"""

import contextlib
import dataclasses
import numbers
from pathlib import Path

import keras
import numpy as np

from pixelwise import callbacks, data, loop, paths, recipe, record, results, runstate, weights
from pixelwise.allocator import keep_freed_memory
from pixelwise.batches import ArrayBatches, View, dataset

__all__ = ["ArrayBatches", "History", "TrainingDiverged", "fit", "train"]


class TrainingDiverged(ValueError):
    """The loss became NaN or infinite."""


@dataclasses.dataclass
class History:
    """What happened in a run, as plain data.

    Attributes:
        steps: the steps done, counted from 1.
        loss: the loss of each of them.
        parts: the parts of the loss of each of them, a list by name, for models that report some
            under names that begin with ``loss_``, as detectors do.
        validation: one dict a validation, with ``step`` and the metrics.
        seconds: time spent training, over all parts of a resumed run.
        resumed_from: the step this part of the run started from, 0 for a fresh run.
    """

    steps: list = dataclasses.field(default_factory=list)
    loss: list = dataclasses.field(default_factory=list)
    parts: dict = dataclasses.field(default_factory=dict)
    validation: list = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    resumed_from: int = 0

    def to_dict(self):
        """Returns the history as a dict of lists and numbers."""
        return dataclasses.asdict(self)


def fit(
    model,
    data,
    steps,
    *,
    validate=None,
    validate_every=None,
    name=None,
    directory=None,
    ema=None,
    resume=True,
    save_every=60,
    show="auto",
    identity=None,
):
    """Trains a compiled model for a number of steps and can be stopped and resumed at any moment.

    A run that was killed and is called again goes on with the batch it had reached and ends with
    the weights of an uninterrupted run. Ctrl-C saves the state before it is raised; a second
    Ctrl-C does not wait for the step to end.

    Args:
        model: compiled ``keras.Model`` on any backend.
        data: ``keras.utils.PyDataset`` whose batch ``i`` depends on ``i`` only (taken in order,
            from the beginning again when it is finite), or a pair of arrays ``(x, y)``.
        steps: number of optimizer steps of the whole run.
        validate: callable ``model -> dict of floats``, called every ``validate_every`` steps and
            at the end, with the averaged weights when there are any.
        validate_every: steps between validations; None validates at the end only.
        name: title of the run and name of its state file.
        directory: folder of the state file; None takes the cache folder when there is a ``name``,
            and keeps no state when there is none.
        ema: momentum of the exponential moving average of the weights in [0, 1), which the
            optimizer keeps; the model has the average at the end. Runs shorter than
            ``10 / (1 - ema)`` steps use a smaller momentum, so that the average spans a tenth.
            Free batch normalisation then gets the statistics of the averaged weights, from the
            first batches of the data (at most ``loop.STATISTICS_BATCHES``).
        resume: go on from the saved state if there is one; False starts again.
        save_every: seconds between two savings of the state.
        show: "auto" (a live figure in a notebook, a bar in a terminal), True or False.
        identity: plain data that describes the run; a state saved with another is refused.

    Returns:
        ``History``.

    Raises:
        ValueError: if an argument is wrong or the data set is empty.
        TrainingDiverged: if the loss is NaN or infinite; the sentence names step and loss.
        pixelwise.runstate.CheckpointError: if the state belongs to another run, is damaged, or
            cannot be saved.

    Chapter: 02_fcn.
    """
    _check(model, steps, validate, validate_every, ema, save_every)
    keep_freed_memory()
    data = dataset(data)
    _average_weights(model, ema, steps)
    _build(model, data)
    path = _state_path(name, directory)
    settings = {
        "name": name,
        "steps": steps,
        "ema": ema,
        "identity": identity,
        "optimizer": _settings_of(keras.optimizers.serialize(model.optimizer)),
        "structure": runstate.structure(model),
    }
    history = History()
    if path is not None:
        runstate.partial(path).unlink(missing_ok=True)
        if resume and path.exists():
            history = _read_state(path, settings, model)
        else:
            path.unlink(missing_ok=True)
    start = history.resumed_from
    display = callbacks.choose(show, steps, start, name)
    keeper = loop.Keeper(path, settings, save_every)
    watch = loop.Loop(data, start, steps, history, display, keeper, validate, validate_every)
    try:
        with watch.interrupt:
            watch.catch_up(model)
            if start < steps:
                _run(model, View(data, start, steps), watch)
            if watch.diverged is None and not watch.interrupt.requested:
                watch.use_average(model)
        if watch.diverged is not None:
            raise _diverged(*watch.diverged, model, path)
        if watch.interrupt.requested:
            raise KeyboardInterrupt
    finally:
        display.close(history)
    return history


def train(recipe_name, *, seed=None, steps=None, resume=True, data_root=None, write=True):
    """Trains a recipe, measures the model, and puts the measurement on record.

    The state of the run is kept in the cache folder until the record is written, so that a killed
    run goes on where it was. Only a run with the recipe's own number of steps is recorded, in
    ``results/``, and gives the checkpoint in ``data/checkpoints/`` if the recipe has one. What is
    measured is then the checkpoint, in the half precision in which it is embedded.

    Args:
        recipe_name: name of a recipe, see ``pixelwise.recipe.names``.
        seed: whole number; None takes each of the recipe's seeds in turn.
        steps: number of steps, to try a recipe in less; None takes the recipe's.
        resume: go on from the saved state of a run that was killed; False starts again.
        data_root: folder of a public data set, passed to its loader as ``root``.
        write: False records nothing.

    Returns:
        The record (see ``pixelwise.results.write``), or the means over the seeds (see
        ``pixelwise.results.aggregate``), a dict; ``written`` lists the files that were written.

    Raises:
        ValueError: if the recipe, the data or an argument is wrong, with one sentence.

    Chapter: 02_fcn.
    """
    plan = recipe.read(recipe_name)
    steps = plan.steps if steps is None else steps
    _check_steps(steps)
    seeds = plan.seeds if seed is None else [seed]
    if isinstance(seed, bool) or not all(isinstance(s, int) and 0 <= s < 2**32 for s in seeds):
        raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, not {seed!r}.")
    runs = [_Run(plan, seed, steps, data_root) for seed in seeds]
    records, written = [], []
    for run in runs:
        records.append(run.train(resume))
        if write and steps == plan.steps:
            written += record.keep(plan, records[-1], run.weights_file)
    for run in runs:
        run.forget()
    found = records[0] if len(records) == 1 else results.over_seeds(plan.name, records)
    return found | {"written": [str(path) for path in written]}


def load_data(plan, split, seed, data_root=None):
    """Loads a split of a recipe's data set.

    Args:
        plan: ``pixelwise.recipe.Recipe``.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        seed: of the training pictures; the other splits have their own.
        data_root: folder of a public data set, passed to its loader as ``root``.

    Returns:
        ``keras.utils.PyDataset``.

    Raises:
        RecipeError: if the data set does not take the recipe's arguments.
    """
    name = plan.data["name"]
    arguments = {"split": split, "batch_size": plan.training["batch_size"]}
    arguments |= {"seed": seed} if split == "train" else {}
    arguments |= {"root": data_root} if data_root is not None else {}
    arguments |= plan.data.get("all", {}) | plan.data.get(split, {})
    try:
        return data.load(name, **arguments)
    except TypeError as error:
        raise recipe.RecipeError(
            f"[data] of the recipe {plan.name}: {name} cannot be loaded with {arguments} ({error})."
        ) from error


class _Run:
    """One recipe with one seed."""

    def __init__(self, plan, seed, steps, data_root):
        self.plan, self.seed, self.steps, self.data_root = plan, seed, steps, data_root
        self.name = f"{plan.name}-seed{seed}"
        self.name += "" if steps == plan.steps else f"-{steps}steps"
        self.folder = paths.cache_dir() / "runs"
        self.state_file = self.folder / f"{self.name}.npz"
        self.weights_file = self.folder / f"{self.name}-weights.npz"

    def train(self, resume):
        plan = self.plan
        # All that can be wrong with a recipe is found before the training, not after it.
        evaluate = recipe.find(plan.evaluation, 2, self.table("evaluation"))
        test = self.load("test")
        keras.utils.clear_session()  # the variables' names count from 0 for every seed
        keras.utils.set_random_seed(self.seed)
        model = recipe.make(plan.model, self.table("model"))
        loss = recipe.make(plan.loss, self.table("loss")) if plan.loss else None
        model.compile(recipe.build_optimizer(plan, self.steps), loss=loss, **plan.compile)
        history = fit(
            model,
            self.load("train"),
            self.steps,
            validate=self.validation(evaluate),
            validate_every=plan.training.get("validate_every"),
            name=self.name,
            directory=self.folder,
            ema=plan.training.get("ema"),
            resume=resume,
            identity=plan.digest(),
        )
        if plan.checkpoint:
            weights.save(model, self.weights_file)
            weights.load(model, self.weights_file)
        measured = evaluate(model, test)
        return record.make(plan, self.seed, self.steps, self.data_root, history, measured)

    def validation(self, evaluate):
        """Returns a function that measures a model on the validation split, if there is one."""
        if "validation" not in self.plan.data:
            return None
        dataset = self.load("validation")

        def validate(model):
            values = evaluate(model, dataset)
            return {key: v for key, v in values.items() if isinstance(v, (float, np.floating))}

        return validate

    def load(self, split):
        return load_data(self.plan, split, self.seed, self.data_root)

    def table(self, name):
        return f"[{name}] of the recipe {self.plan.name}"

    def forget(self):
        self.state_file.unlink(missing_ok=True)
        self.weights_file.unlink(missing_ok=True)


def _check(model, steps, validate, validate_every, ema, save_every):
    if not getattr(model, "compiled", False) or getattr(model, "optimizer", None) is None:
        raise ValueError("The model is not compiled: call model.compile(optimizer=...) before fit.")
    _check_steps(steps)
    if validate_every is not None and (
        not isinstance(validate_every, (int, np.integer)) or validate_every < 1
    ):
        raise ValueError(
            f"validate_every must be a whole number of at least 1 or None, not {validate_every!r}."
        )
    if validate is not None and not callable(validate):
        raise ValueError(f"validate must be a function of the model, not {validate!r}.")
    if ema is not None and not (isinstance(ema, numbers.Real) and 0 <= ema < 1):
        raise ValueError(f"ema must be at least 0 and less than 1, not {ema!r}.")
    if not (isinstance(save_every, numbers.Real) and save_every >= 0):
        raise ValueError(f"save_every must be a number of seconds, not {save_every!r}.")


def _check_steps(steps):
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, not {steps!r}.")


def _average_weights(model, ema, steps):
    """Asks the optimizer for an average of the weights over at most a tenth of the run."""
    if ema is None:
        return
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    momentum = max(0.0, min(ema, 1 - 10 / steps))
    if optimizer.built and not (optimizer.use_ema and optimizer.ema_momentum == momentum):
        raise ValueError(
            f"ema={ema} needs an optimizer that has not been used yet: compile the model again "
            "before fit."
        )
    optimizer.use_ema, optimizer.ema_momentum = True, momentum


def _build(model, data):
    """Makes all variables now: those that are missing could not be filled from a saved state.

    Zero epochs of ``Model.fit`` do this on JAX and PyTorch without a training step; there it must
    not be left to the real fit, which would take the batch from the workers' queue.
    """
    first = View(data, 0, 1)
    first.workers, first.use_multiprocessing = 1, False
    model.fit(first, epochs=0, verbose=0)
    if not model.built:
        model(keras.utils.unpack_x_y_sample_weight(first[0])[0])
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _run(model, view, watch):
    try:
        with _weights_kept(model):
            model.fit(view, epochs=1, shuffle=False, verbose=0, callbacks=[watch])
    except Exception as error:
        if view.error is None or view.error is error:
            raise
        raise view.error from None


@contextlib.contextmanager
def _weights_kept(model):
    """Leaves a model with its last weights if the body, a fit, raises an error.

    On JAX ``Model.fit`` takes the values out of the variables and puts them back at its end only.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    values = [variable.value for variable in variables]
    try:
        yield
    except BaseException:
        model.jax_state_sync()  # what the last whole step made
        for variable, value in zip(variables, values, strict=True):
            if variable._value is None:  # there was none; ``value`` would draw a new one
                variable.assign(value)
        raise


def _state_path(name, directory):
    if directory is None and name is None:
        return None
    if name is not None and (
        not isinstance(name, str) or not name or name == ".." or Path(name).name != name
    ):
        raise ValueError(f"name is the name of a file without a folder, not {name!r}.")
    try:
        folder = Path(directory) if directory is not None else paths.cache_dir() / "runs"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise runstate.CheckpointError(
            f"The folder for the training state cannot be made ({error}): choose another directory."
        ) from error
    return folder / f"{name or 'run'}.npz"


def _read_state(path, settings, model):
    header, arrays = runstate.read(path)
    # A round trip through JSON, so that tuples equal the lists that were stored.
    runstate.check(path, header["settings"], runstate.plain(settings))
    runstate.restore(model, arrays)
    return History(
        steps=arrays["history/steps"].tolist(),
        loss=arrays["history/loss"].tolist(),
        parts={
            key.removeprefix(loop.PART): values.tolist()
            for key, values in arrays.items()
            if key.startswith(loop.PART)
        },
        validation=header["validation"],
        seconds=header["seconds"],
        resumed_from=header["step"],
    )


def _settings_of(config):
    """Drops what differs between processes and backends: automatic names, and modules."""
    if isinstance(config, dict):
        left_out = ("name", "module", "registered_name")
        return {k: _settings_of(v) for k, v in config.items() if k not in left_out}
    if isinstance(config, (list, tuple)):
        return [_settings_of(item) for item in config]
    return config


def _diverged(step, loss, model, path):
    found = f"where the loss is {loss}"
    if np.isfinite(loss):
        found += " and weights are not finite any more"
    if path is not None and path.exists():
        header, arrays = runstate.read(path)
        runstate.restore(model, arrays)
        kept = f"the model has the weights of step {header['step']} again, from {path}"
    else:
        kept = "no state was saved before it, so build the model again"
    return TrainingDiverged(
        f"Training diverged at step {step}, {found}: {kept}; lower the learning rate or look at "
        "the data of that step, where one label that is no class is enough, and start again with "
        "resume=False."
    )
