"""The steps of a training run: what ``training.fit`` does between two of them."""

import math
import signal
import threading
import time

import keras
import numpy as np

from pixelwise import batches, runstate
from pixelwise.nn.normalisation import update_batch_norm

# Keras reports the mean loss since the last reset; a reset after so many steps keeps the loss of
# a single step, which is a difference of two such means, exact to about six digits.
RESET_EVERY = 50
# Batches over which free batch normalisation is averaged again for an average of the weights; in a
# shorter run, as many as it has steps.
STATISTICS_BATCHES = 20
PART = "history/part/"  # in a saved state, before the name of a part of the loss


class Loop(keras.callbacks.Callback):
    """Watches the steps of ``Model.fit``.

    ``self.model`` makes JAX copy its state into the model's variables, so that it is touched only
    where the variables are needed.
    """

    def __init__(self, data, start, steps, history, display, keeper, validate, validate_every):
        super().__init__()
        self.data, self.start, self.steps = data, start, steps
        self.history, self.display, self.keeper = history, display, keeper
        self.validate, self.validate_every = validate, validate_every
        self.interrupt = Interrupt()
        self.weights = batches.Weights(data)
        self.diverged = None
        self.earlier = history.seconds
        self.began = time.monotonic()
        self.done = start
        self.generators = runstate.generators()
        self._forget()

    def catch_up(self, model):
        """Makes up for a validation that a killed run had not reached."""
        if self._due(self.start - 1, self.start) and self._missing(self.start):
            snapshot = runstate.collect(model)
            self._measure(model, self.start, snapshot)
            self.keeper.save(self.history, self.start, snapshot)

    def use_average(self, model):
        """Gives the model the average of its weights, if the optimizer keeps one."""
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        if optimizer.use_ema:
            model.optimizer.finalize_variable_values(model.trainable_weights)
            first = batches.View(self.data, 0, min(STATISTICS_BATCHES, self.steps))
            update_batch_norm(
                model,
                (
                    keras.utils.unpack_x_y_sample_weight(first[k])[0]
                    for k in range(first.num_batches)
                ),
            )

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0 and self.start:
            # PyTorch's DataLoader has drawn a number that the uninterrupted run drew long ago.
            runstate.set_generators(self.generators)

    def on_train_batch_end(self, batch, logs=None):
        before, step = self.done, self.start + batch + 1
        loss = self._loss_of_step(before, step, logs)
        if not math.isfinite(loss):
            self.diverged = (step, loss)
            self._model.stop_training = True
            return
        for name, value in self._parts_of_step(before, step, logs).items():
            self.history.parts.setdefault(name, []).append(value)
        self.done = step
        self.history.steps.append(step)
        self.history.loss.append(loss)
        self.history.seconds = self.earlier + time.monotonic() - self.began
        self.display.update(self.history)
        last = step >= self.steps
        validate = self._due(before, step)
        if self.interrupt.requested or last or validate or self.keeper.due():
            self._pause(step, validate, last)
        elif step - self.reset_at >= RESET_EVERY:
            self.model.reset_metrics()
            self._forget()

    def _pause(self, step, validate, last):
        model = self.model
        if not runstate.is_finite(model):
            self.diverged = (step, self.history.loss[-1])
            model.stop_training = True
            return
        snapshot = runstate.collect(model) if validate or self.keeper.path else None
        if self.interrupt.requested or last or self.keeper.due():
            self.keeper.save(self.history, step, snapshot)
        if self.interrupt.requested:
            model.stop_training = True
            return
        if validate:
            self._measure(model, step, snapshot)
            if last:
                self.keeper.save(self.history, step, snapshot)
        model.reset_metrics()
        self._forget()

    def _measure(self, model, step, snapshot):
        """Validates with the averaged weights, and puts the running ones back."""
        try:
            with self.interrupt.immediate():
                self.use_average(model)
                values = self.validate(model)
        except KeyboardInterrupt:
            self.keeper.save(self.history, step, snapshot)
            raise
        finally:
            runstate.restore(model, snapshot)
        try:
            row = {key: float(value) for key, value in values.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"validate must return a dict of numbers, not {values!r}.") from error
        self.history.validation.append({"step": step, **row})
        self.display.update(self.history)

    def _due(self, before, step):
        if self.validate is None or step < 1:
            return False
        every = self.validate_every
        return step >= self.steps or (every is not None and step // every > before // every)

    def _missing(self, step):
        return all(row["step"] != step for row in self.history.validation)

    def _loss_of_step(self, before, step, logs):
        if not logs or "loss" not in logs:
            raise ValueError("The model's training step reports no 'loss': use compute_loss.")
        mean = float(logs["loss"])
        weight = self.weights.between(before, step)
        total = mean * (self.weight + weight)
        loss = (total - self.total) / weight
        self.weight, self.total = self.weight + weight, total
        return loss

    def _parts_of_step(self, before, step, logs):
        """The parts of the loss, which the model reports as means over the steps since a reset."""
        found = {}
        for name, mean in logs.items():
            if name.startswith("loss_"):
                total = float(mean) * (step - self.reset_at)
                found[name.removeprefix("loss_")] = total - self.part_totals.get(name, 0.0)
                self.part_totals[name] = total
        return found

    def _forget(self):
        self.weight, self.total, self.reset_at = 0, 0.0, self.done
        self.part_totals = {}


class Keeper:
    """Saves the state every so many seconds; without a path it saves nothing."""

    def __init__(self, path, settings, every):
        self.path, self.settings, self.every = path, settings, every
        self.saved = time.monotonic()

    def due(self):
        return self.path is not None and time.monotonic() - self.saved >= self.every

    def save(self, history, step, arrays):
        if self.path is None:
            return
        header = {
            "settings": self.settings,
            "step": step,
            "seconds": history.seconds,
            "validation": history.validation,
        }
        extra = {"history/steps": history.steps, "history/loss": history.loss}
        extra |= {f"{PART}{name}": values for name, values in history.parts.items()}
        runstate.write(self.path, header, arrays | {k: np.array(v) for k, v in extra.items()})
        self.saved = time.monotonic()


class Interrupt:
    """Turns the first Ctrl-C into a wish that the loop grants at the end of the step."""

    def __init__(self):
        self.requested = False
        self.at_once = False
        self.previous = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self.previous = signal.getsignal(signal.SIGINT)
            if self.previous not in (signal.SIG_IGN, None):
                signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_):
        if self.previous not in (signal.SIG_IGN, None):
            signal.signal(signal.SIGINT, self.previous)

    def immediate(self):
        return _AtOnce(self)

    def _handle(self, number, frame):
        if self.requested or self.at_once:
            raise KeyboardInterrupt
        self.requested = True


class _AtOnce:
    """While it is entered, Ctrl-C is raised at once."""

    def __init__(self, interrupt):
        self.interrupt = interrupt

    def __enter__(self):
        self.interrupt.at_once = True

    def __exit__(self, *_):
        self.interrupt.at_once = False
