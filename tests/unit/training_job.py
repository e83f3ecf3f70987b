"""A training run for the test that kills it.

As a program with the folder of its state as argument, it kills itself in the middle of writing a
state.
"""

import os
import signal
import sys

import keras
import numpy as np

from pixelwise import runstate, training

STEPS = 40


class Drawn(keras.utils.PyDataset):
    """Endless batches of which each is drawn from its number."""

    num_batches = None

    def __init__(self):
        super().__init__(workers=2)

    def __getitem__(self, index):
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


def train(folder, **options):
    """Trains the model; returns it and the history."""
    model = build()
    options = {
        "directory": folder,
        "name": "job",
        "save_every": 0,
        "validate": validate,
        **options,
    }
    history = training.fit(
        model,
        Drawn(),
        STEPS,
        ema=0.8,
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


if __name__ == "__main__":
    die_while_writing(6)
    train(sys.argv[1])
