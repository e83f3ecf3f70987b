"""A network trained on one backend says the same on the others."""

import importlib.util
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def test_trained_logits_are_those_of_the_backend_that_trained():
    spec = importlib.util.spec_from_file_location("maker", HERE / "make_trained_logits.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    with np.load(HERE / "golden" / "trained_logits.npz") as golden:
        assert str(golden["backend"]) == "tensorflow"
        for name, ours in maker.logits().items():
            theirs = golden[name]
            gap = np.abs(ours[:, ::7, ::7] - theirs).max() / np.abs(theirs).max()
            assert gap < 1e-4, f"{name}: {gap:.1e} of the largest logit"
