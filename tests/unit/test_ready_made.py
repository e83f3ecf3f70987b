"""Networks of other libraries: they take our pictures and give logits, or say what is missing."""

import sys

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.models import ready_made
from pixelwise.nn.normalisation import free_batch_norms


def test_keras_cvs_deeplab_gives_the_logarithm_of_its_probabilities():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras-cv is compared on TensorFlow")
    pytest.importorskip("keras_cv")
    model = ready_made.keras_cv_deeplab(3, input_shape=(64, 64, 3))
    x = np.random.default_rng(0).uniform(size=(2, 64, 64, 3)).astype("float32")
    logits = model(x)
    assert tuple(logits.shape) == (2, 64, 64, 3)
    probabilities = np.exp(ops.convert_to_numpy(logits))
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(ops.softmax(logits)), probabilities, atol=1e-5)
    # Frozen below, free in the head, also inside keras-cv's own layers.
    names = [layer.name for layer in free_batch_norms(model)]
    assert len(names) >= 7 and not any(name.startswith("features-") for name in names)


def test_without_keras_cv_there_is_a_sentence(monkeypatch, sentence):
    monkeypatch.setitem(sys.modules, "keras_cv", None)
    monkeypatch.setitem(sys.modules, "keras_cv.models", None)
    with pytest.raises(ImportError) as caught:
        ready_made.keras_cv_deeplab(3)
    assert "pip install keras-cv" in sentence(caught)
