"""A training run in a process of its own, for the tests that kill it.

Arguments: the folder of the state, what happens ("wait" trains slowly until it is killed, "write"
kills itself in the middle of writing a state, "finish" trains to the end, then once more without
interruption, and writes both to result.npz).
"""

import os
import signal
import sys
import time
from pathlib import Path

import keras
import numpy as np

from pixelwise import runstate, training

STEPS = 40


class Slow(keras.utils.PyDataset):
    """Endless batches of which each is drawn from its number."""

    num_batches = None

    def __init__(self, pause):
        super().__init__(workers=2)
        self.pause = pause

    def __getitem__(self, index):
        time.sleep(self.pause)
        rng = np.random.default_rng(index)
        x = rng.normal(size=(8, 6)).astype("float32")
        return x, (x[:, 0] + x[:, 1] > 0).astype("int32")


def build():
    """A model with everything a state must hold: slots, moving statistics, a random generator."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(12, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(1e-2, STEPS)
    model.compile(keras.optimizers.AdamW(rate), loss=loss)
    return model


def validate(model):
    """A metric that depends on every weight."""
    return {"mean": float(np.mean(model.predict(np.ones((2, 6), "float32"), verbose=0)))}


def train(folder, pause=0.0, **options):
    """Trains the model; returns it and the history."""
    model = build()
    options = {"directory": folder, "name": "job", "save_every": 0, **options}
    history = training.fit(
        model,
        Slow(pause),
        STEPS,
        ema=0.8,
        validate=validate,
        validate_every=15,
        show=False,
        **options,
    )
    return model, history


def die_while_writing(count):
    """Makes the process kill itself when half of the count-th state is on disk."""
    real = runstate.np.savez
    calls = []

    def savez(file, **arrays):
        calls.append(1)
        if len(calls) == count:
            file.write(b"PK\x03\x04 half a state")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        real(file, **arrays)

    runstate.np.savez = savez


def main(folder, action):
    """Runs one of the three actions."""
    if action == "wait":
        train(folder, pause=0.1)
    elif action == "write":
        die_while_writing(6)
        train(folder)
    else:
        resumed, history = train(folder)
        whole, reference = train(None, name=None)
        arrays = {f"resumed/{i}": w for i, w in enumerate(resumed.get_weights())}
        arrays |= {f"whole/{i}": w for i, w in enumerate(whole.get_weights())}
        arrays |= {"from": history.resumed_from, "loss": history.loss, "steps": history.steps}
        arrays |= {"reference": reference.loss}
        arrays["validation"] = [[row["step"], row["mean"]] for row in history.validation]
        arrays["reference_validation"] = [[r["step"], r["mean"]] for r in reference.validation]
        np.savez(Path(folder) / "result.npz", **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
