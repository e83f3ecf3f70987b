"""The benchmark of training a GAN and a VAE: plain loops take the same steps as ours."""

import keras
import numpy as np
import pytest

from pixelwise.bench import generation, plain_loops, plain_torch, table

BACKEND = keras.backend.backend()
LOOPS = {
    "tensorflow": plain_loops.tensorflow,
    "jax": plain_loops.jax,
    "torch": plain_torch.torch_loop,
}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Pictures in a batch, of which the benchmark has more."""
    for module in (generation, plain_loops, plain_torch):
        monkeypatch.setattr(module, "BATCH", 8, raising=False)


@pytest.mark.parametrize("network", generation.LOSSES)
def test_the_plain_loop_takes_the_same_steps_as_ours(network):
    ours = generation.ours(network, 28, threads=1, jit=BACKEND == "jax")
    plain = LOOPS[BACKEND](network, 28, threads=1)
    losses = [(ours(), plain()) for _ in range(3)]
    assert losses[0][0] == pytest.approx(losses[0][1], rel=1e-5, abs=1e-5)
    # PyTorch adds Adam's epsilon to the corrected moment, Keras to the one before its correction.
    near = 2e-2 if BACKEND == "torch" else 2e-3
    for mine, theirs in losses[1:]:
        assert mine.shape == (2,) and mine == pytest.approx(theirs, rel=near, abs=near)
    assert not np.allclose(losses[0][0], losses[2][0], rtol=1e-3)  # the weights have moved


def test_both_are_called_in_turn(monkeypatch):
    calls = []

    def build(name, seconds):
        def call():
            calls.append(name)
            clock[0] += seconds

        return lambda *args: call

    clock = [0.0]
    monkeypatch.setattr(generation.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(generation, "ours", build("ours", 3.0))
    monkeypatch.setattr(plain_loops, "tensorflow", build("plain", 2.0))
    monkeypatch.setattr(plain_loops, "jax", build("plain", 2.0))
    monkeypatch.setattr(plain_torch, "torch_loop", build("plain", 2.0))
    step, parts, compare = generation.beside_plain("dcgan", 28, threads=1, runs=3)
    assert parts() == {} and not calls
    assert compare() == {"ratio_in_turn": 1.5}
    assert calls[-6:] == ["ours", "plain"] * 3


@pytest.mark.parametrize("network", generation.LOSSES)
def test_pytorchs_networks_have_as_many_weights(network):
    if BACKEND != "torch":
        pytest.skip("PyTorch's networks are built where it is the backend")
    for ours, theirs in zip(
        generation.networks(network), plain_torch.networks(network).values(), strict=True
    ):
        assert sum(np.prod(v.shape) for v in ours.trainable_variables) == sum(
            weight.numel() for weight in theirs.parameters()
        )


def test_what_is_trained_on(sentence):
    for network, values in (("dcgan", None), ("vae", {0.0, 1.0})):
        pictures = generation.batch(network, 28)
        assert pictures.shape == (8, 28, 28, 1) and pictures.min() >= 0 and pictures.max() <= 1
        assert values is None or set(np.unique(pictures)) == values
    with pytest.raises(ValueError, match="size is 32") as caught:
        generation.batch("dcgan", 32)
    assert sentence(caught)


def test_a_row_stands_beside_the_plain_loop_of_its_backend():
    def row(engine, backend, role, ms):
        figures = {"median_ms": ms, "peak_mib": 10 * ms, "note": "", "best_ms": ms, "cpu_ms": ms}
        figures |= {"before_mib": 1, "gap": None}
        return {"network": "net", "engine": engine, "backend": backend, "role": role, **figures}

    rows = [
        row("plain_jax", "jax", "yardstick", 10.0),
        row("plain_torch", "torch", "yardstick", 20.0),
        row("jax", "jax", "ours", 5.0),
        row("jax_slow", "jax", "ours", 50.0),
        row("torch", "torch", "ours", 25.0),
        row("tensorflow", "tensorflow", "ours", 5.0),
    ]
    assert [table.ratios(one, rows)[0] for one in rows] == [1, 1, 0.5, 5, 1.25, None]
    assert table.beside(rows[2], rows) == {"plain_jax": 0.5, "plain_torch": 0.25}
    assert table.best_ratios(rows) == [0.5, 1.25, None]
    in_turn = rows[2] | {"ratio_in_turn": 0.75}
    assert table.ratios(in_turn, rows) == (0.75, 0.5)
    assert table.beside(rows[2], rows[1:]) == {}  # to one, the ratio says all
    lines = table.line(rows[2], rows).splitlines()
    assert lines[2].split() == ["to", "plain_torch", "0.25"]
