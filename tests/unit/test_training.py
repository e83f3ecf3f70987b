"""``pixelwise.training``: the steps, the state that survives a kill, the guard, the display."""

import errno
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from pixelwise import callbacks, runstate, training

AS_THEY_ARE = {"initializers"}  # a process of its own has to draw the same weights
JOB = Path(__file__).with_name("training_job.py")
LIBRARY = Path(training.__file__).parents[1]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """An empty cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PIXELWISE_CACHE", str(folder))
    return folder


class Numbered(keras.utils.PyDataset):
    """Batch ``i`` has the target ``i`` everywhere; ``bad`` numbers have NaN instead."""

    def __init__(self, length=None, last=4, bad=(), workers=1):
        super().__init__(workers=workers)
        self.length, self.last, self.bad = length, last, bad
        self.asked = []

    @property
    def num_batches(self):
        return self.length

    def __getitem__(self, index):
        self.asked.append(index)
        if self.length is not None and index >= self.length:
            raise IndexError(index)
        rows = self.last if index + 1 == self.length else 4
        value = np.nan if index in self.bad else index
        return np.ones((rows, 1), "float32"), np.full((rows, 1), value, "float32")


def model_of_targets(rate=0.0):
    """A model of one weight, which starts at 1; its loss is the mean target plus the weight."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(rate), loss=lambda y, p: keras.ops.mean(y + p, axis=-1))
    return model


def model_with_bias(bias):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=bias)])
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    return model


def weight(model):
    return float(model.get_weights()[0][0, 0])


def run(model, data, steps, **options):
    return training.fit(model, data, steps, **{"show": False, **options})


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_come_in_order_each_with_its_own_loss(workers):
    history = run(model_of_targets(), Numbered(workers=workers), 130)
    assert history.steps == list(range(1, 131))
    assert np.allclose(history.loss, np.arange(130) + 1, rtol=1e-4)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_finite_set_begins_again_and_its_short_batch_has_its_own_loss(workers):
    history = run(model_of_targets(), Numbered(5, last=1, workers=workers), 12)
    assert np.allclose(history.loss, np.arange(12) % 5 + 1, rtol=1e-4)


def test_one_batch_is_a_data_set():
    assert np.allclose(run(model_of_targets(), Numbered(1), 3).loss, 1)


def test_arrays_are_dealt_once_each_pass_in_an_order_fixed_by_the_seed():
    x = np.arange(10)
    data = training.ArrayBatches(x, -x, batch_size=4, seed=3)
    dealt = np.concatenate([data[i][0] for i in range(5)])
    assert sorted(dealt[:10]) == sorted(dealt[10:]) == list(range(10))
    assert list(dealt[:10]) != list(dealt[10:])
    assert all((data[i][0] == -data[i][1]).all() for i in range(5))
    other = training.ArrayBatches(x, -x, batch_size=4, seed=4)
    assert any((data[i][0] != other[i][0]).any() for i in range(5))


def test_arrays_can_be_fitted():
    x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.3), loss="mse")
    history = run(model, (x, 3 * x), 100)
    assert history.loss[-1] < 0.01 * history.loss[0]


def test_validation_comes_every_so_often_and_at_the_end():
    history = run(
        model_of_targets(0.5), Numbered(), 7, validate=lambda m: {"w": weight(m)}, validate_every=3
    )
    assert history.validation == [
        {"step": 3, "w": pytest.approx(-0.5)},
        {"step": 6, "w": pytest.approx(-2.0)},
        {"step": 7, "w": pytest.approx(-2.5)},
    ]
    assert history.to_dict()["validation"] == history.validation


def test_validation_may_use_the_model_without_disturbing_the_training():
    def validate(model):
        return {"loss": model.evaluate(*Numbered()[0], verbose=0)}

    data = Numbered()
    history = run(model_of_targets(), data, 60, validate=validate, validate_every=7)
    assert np.allclose(history.loss, np.arange(60) + 1, rtol=1e-4)


def test_the_average_of_the_weights_is_validated_and_left_in_the_model():
    steps, momentum = 50, 0.7
    model = model_of_targets(0.1)
    history = run(
        model,
        Numbered(),
        steps,
        ema=momentum,
        validate=lambda m: {"w": weight(m)},
        validate_every=20,
    )
    average, averages = 0.9, {}
    for step in range(1, steps + 1):
        average = momentum * average + (1 - momentum) * (1 - 0.1 * step)
        averages[step] = average
    assert [row["w"] for row in history.validation] == pytest.approx(
        [averages[20], averages[40], averages[50]], abs=1e-4
    )
    assert weight(model) == pytest.approx(averages[50], abs=1e-4)


def test_a_short_run_averages_over_a_tenth_of_it():
    model = model_of_targets(0.1)
    run(model, Numbered(), 20, ema=0.999)
    assert weight(model) == pytest.approx(1 - 0.1 * 19, abs=0.02)


def test_a_killed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    """The system kills it while it writes a state, then Ctrl-C stops what goes on from there."""
    specification = importlib.util.spec_from_file_location("training_job", JOB)
    job = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(job)
    killed = subprocess.run(
        [sys.executable, str(JOB), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "job.npz.part").read_bytes().startswith(b"PK\x03\x04 half")
    assert runstate.read(tmp_path / "job.npz")[0]["step"] == 5

    def stop(model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.train(tmp_path, validate=stop)
    assert runstate.read(tmp_path / "job.npz")[0]["step"] == 15
    resumed, history = job.train(tmp_path)
    whole, reference = job.train(None, name=None)
    assert not (tmp_path / "job.npz.part").exists()
    assert history.resumed_from == 15 and history.steps == list(range(1, 41))
    assert np.allclose(history.loss, reference.loss, atol=1e-5)
    assert history.validation == [
        {"step": row["step"], "mean": pytest.approx(row["mean"], abs=1e-5)}
        for row in reference.validation
    ]
    assert [row["step"] for row in history.validation] == [15, 30, 40]
    pairs = list(zip(resumed.get_weights(), whole.get_weights(), strict=True))
    assert len(pairs) == 8 and all(np.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_a_finished_run_is_not_trained_again(tmp_path):
    options = {"ema": 0.5, "validate": lambda m: {"w": weight(m)}, "directory": tmp_path}
    trained = model_of_targets(0.1)
    history = run(trained, Numbered(), 30, **options)
    data, again = Numbered(), model_of_targets(0.1)
    repeated = run(again, data, 30, **options)
    assert max(data.asked) < 2
    assert repeated.resumed_from == 30
    assert (repeated.loss, repeated.validation) == (history.loss, history.validation)
    assert weight(again) == weight(trained)


def test_without_resume_a_run_begins_anew(tmp_path):
    run(model_of_targets(), Numbered(), 6, directory=tmp_path)
    history = run(model_of_targets(), Numbered(), 6, directory=tmp_path, resume=False)
    assert history.resumed_from == 0
    assert len(history.steps) == 6


def test_without_name_and_directory_nothing_is_kept(cache):
    run(model_of_targets(), Numbered(), 2)
    assert not list(cache.rglob("*"))
    run(model_of_targets(), Numbered(), 2, name="mine")
    assert (cache / "runs" / "mine.npz").exists()


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_float16"])
def test_narrow_floats_survive_a_round_trip(tmp_path, policy):
    def job(steps_done):
        keras.utils.set_random_seed(0)
        layer = keras.layers.Dense(1, dtype=keras.dtype_policies.get(policy))
        model = keras.Sequential([keras.Input((1,)), layer])
        optimizer = keras.optimizers.Adam(0.1)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        model.compile(optimizer, loss="mse")
        history = run(model, Numbered(), 6, directory=tmp_path, ema=0.5)
        assert history.resumed_from == steps_done
        return [np.asarray(w, "float32") for w in model.get_weights()]

    assert all(np.array_equal(a, b) for a, b in zip(job(0), job(6), strict=True))


@pytest.mark.parametrize("at", ["step", "validation"])
def test_ctrl_c_saves_the_state_and_is_raised(tmp_path, at, request):
    class Interrupting(Numbered):
        def __getitem__(self, index):
            if at == "step" and index == 9:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__getitem__(index)

    def validate(model):
        if at == "validation" and not calls:
            calls.append(1)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return {"w": weight(model)}

    calls = []
    options = {"directory": tmp_path, "validate": validate, "validate_every": 8, "ema": 0.5}
    # A shell starts its background jobs with Ctrl-C ignored, and so would this test.
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, outside))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(model_of_targets(0.1), Interrupting(), 20, **options)
    assert signal.getsignal(signal.SIGINT) is before
    step = runstate.read(tmp_path / "run.npz")[0]["step"]
    assert step == 8 if at == "validation" else 1 <= step <= 10
    model, whole = model_of_targets(0.1), model_of_targets(0.1)
    history = run(model, Numbered(), 20, **options)
    reference = run(whole, Numbered(), 20, **{**options, "directory": None})
    assert history.resumed_from == step
    assert history.validation == reference.validation
    assert weight(model) == pytest.approx(weight(whole), abs=1e-6)


def test_nan_stops_the_run_within_the_step(sentence):
    data = Numbered(bad=[6])
    model = model_of_targets()
    with pytest.raises(training.TrainingDiverged) as caught:
        run(model, data, 10_000)
    text = sentence(caught)
    assert "step 7" in text and "nan" in text and "no state was saved" in text
    assert max(data.asked) < 100


def test_after_nan_the_model_has_the_weights_of_the_last_state(tmp_path, sentence):
    model = model_of_targets(0.1)
    with pytest.raises(training.TrainingDiverged) as caught:
        run(model, Numbered(bad=[6]), 20, directory=tmp_path, save_every=0, ema=0.5)
    assert "step 7" in sentence(caught) and "weights of step 6" in sentence(caught)
    assert weight(model) == pytest.approx(1 - 0.1 * 6)
    assert runstate.read(tmp_path / "run.npz")[0]["step"] == 6


def test_weights_that_are_not_finite_are_never_saved(tmp_path, sentence):
    with pytest.raises(training.TrainingDiverged) as caught:
        run(model_of_targets(1e39), Numbered(), 1, directory=tmp_path)
    assert "step 1" in sentence(caught) and "weights are not finite" in sentence(caught)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_state_before(tmp_path, sentence, monkeypatch):
    real, calls = np.savez, []

    def savez(file, **arrays):
        calls.append(1)
        if len(calls) == 4:
            file.write(b"half a state")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, **arrays)

    monkeypatch.setattr(runstate.np, "savez", savez)
    with pytest.raises(runstate.CheckpointError) as caught:
        run(model_of_targets(), Numbered(), 9, directory=tmp_path, save_every=0)
    assert "the disk is full" in sentence(caught) and "intact" in sentence(caught)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]
    assert run(model_of_targets(), Numbered(), 9, directory=tmp_path).resumed_from == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 5}, "for 4 steps, not for 5"),
        ({"identity": "other"}, 'with identity=null, not "other"'),
        ({"ema": 0.5}, "with ema=null, not 0.5"),
        ({"model": model_with_bias(True)}, "structure"),
        ({"rate": 0.2}, "with learning_rate=0.1"),
    ],
    ids=["steps", "identity", "ema", "model", "rate"],
)
def test_the_state_of_another_run_is_refused(tmp_path, sentence, change, said):
    def job(model=None, steps=4, rate=0.1, **options):
        if model is None:
            model = model_with_bias(False)
            model.optimizer.learning_rate = rate
        return run(model, Numbered(), steps, directory=tmp_path, **options)

    job()
    before = (tmp_path / "run.npz").read_bytes()
    with pytest.raises(runstate.CheckpointError) as caught:
        job(**change)
    assert said in sentence(caught) and "resume=False" in sentence(caught)
    assert (tmp_path / "run.npz").read_bytes() == before


def test_a_damaged_state_is_refused(tmp_path, sentence):
    run(model_of_targets(), Numbered(), 2, directory=tmp_path)
    state = tmp_path / "run.npz"
    state.write_bytes(state.read_bytes()[:-400])
    with pytest.raises(runstate.CheckpointError) as caught:
        run(model_of_targets(), Numbered(), 2, directory=tmp_path)
    assert "cannot be read" in sentence(caught)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "not 0"),
        ({"steps": -3}, "not -3"),
        ({"steps": 2.5}, "not 2.5"),
        ({"steps": True}, "not True"),
        ({"validate_every": 0}, "validate_every"),
        ({"validate": 3}, "validate"),
        ({"validate": lambda model: 0.5}, "not 0.5"),
        ({"validate": lambda model: {"loss": "small"}}, "'small'"),
        ({"name": "../outside"}, "'../outside'"),
        ({"name": ".."}, "'..'"),
        ({"name": 3}, "not 3"),
        ({"ema": 1}, "ema"),
        ({"ema": "0.9"}, "not '0.9'"),
        ({"save_every": None}, "not None"),
        ({"save_every": -1}, "save_every"),
        ({"show": "yes"}, "show"),
        ({"data": Numbered(0)}, "empty"),
        ({"data": (np.ones((0, 1)), np.ones((0, 1)))}, "empty"),
        ({"data": (np.ones((3, 1)), np.ones((2, 1)))}, "3 inputs but 2 targets"),
        ({"data": "wardrobe"}, "not str"),
        ({"model": keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])}, "not compiled"),
    ],
)
def test_wrong_arguments_get_a_sentence(options, said, sentence):
    options = {"model": model_of_targets(), "data": Numbered(), "steps": 2, **options}
    with pytest.raises(ValueError) as caught:
        run(options.pop("model"), options.pop("data"), options.pop("steps"), **options)
    assert said in sentence(caught)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_data_set_is_shown_in_its_own_words(workers):
    class Wrong(Numbered):
        def __getitem__(self, index):
            if index == 5:
                raise ValueError("The mask of picture 7 has the class 9, but there are 6 classes.")
            return super().__getitem__(index)

    with pytest.raises(ValueError) as caught:
        run(model_of_targets(), Wrong(workers=workers), 20)
    assert str(caught.value).startswith("The mask of picture 7 has the class 9")
    assert "\n" not in str(caught.value)


def test_a_state_needs_a_folder(tmp_path, sentence):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(runstate.CheckpointError) as caught:
        run(model_of_targets(), Numbered(), 2, directory=tmp_path / "file")
    assert "choose another directory" in sentence(caught)


def test_an_average_cannot_begin_in_the_middle(sentence):
    model = model_of_targets()
    run(model, Numbered(), 2)
    with pytest.raises(ValueError) as caught:
        run(model, Numbered(), 2, ema=0.9)
    assert "compile the model again" in sentence(caught)


def test_without_show_nothing_is_written(capfd):
    run(model_of_targets(), Numbered(), 3, show=False)
    run(model_of_targets(), Numbered(), 3, show="auto")
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")


def test_a_terminal_gets_a_bar(capsys):
    run(model_of_targets(), Numbered(), 3, show=True, name="targets")
    written = capsys.readouterr()
    assert written.out == ""
    assert "targets: 100%" in written.err and "3/3" in written.err and "loss" in written.err


def test_the_curve_has_named_axes_and_a_panel_for_the_metrics(monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, buffer, **_: drawn.append(figure))
    history = training.History(steps=[1, 2, 3], loss=[3.0, 2.0, 1.0])
    callbacks.draw(history, 10, "a run")
    history.validation = [{"step": 2, "mean_iou": 0.5}, {"step": 3, "mean_iou": 0.6}]
    callbacks.draw(history, 10, "a run")
    assert [len(figure.axes) for figure in drawn] == [1, 2]
    loss, metric = drawn[1].axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("step", "loss")
    assert (metric.get_xlabel(), metric.get_ylabel()) == ("step", "validation metric")
    assert [line.get_label() for line in metric.lines] == ["mean_iou"]
    assert list(metric.lines[0].get_ydata()) == [0.5, 0.6]
    assert loss.get_xlim() == (0, 10)


def test_smoothing_is_the_mean_of_a_twentieth_around():
    smoothed = callbacks.smooth(np.arange(40.0) ** 2)
    assert smoothed[0] == 0.5 and smoothed[39] == (38**2 + 39**2) / 2
    assert smoothed[20] == pytest.approx((19**2 + 20**2 + 21**2) / 3)
    assert list(callbacks.smooth([3.0, 1.0])) == [3.0, 1.0]


@pytest.mark.parametrize("steps_done", [0, 2])
def test_a_training_that_fails_leaves_the_weights_of_the_last_step(steps_done):
    """Whatever the backend does with them while it trains."""

    class Failing(Numbered):
        def __getitem__(self, index):
            if index >= steps_done and self.asked:  # asked for a shape before the first step
                raise ValueError(f"Picture {index} cannot be read.")
            return super().__getitem__(index)

    model = model_of_targets(0.25)
    model.set_weights([np.full((1, 1), 7.0)])
    with pytest.raises(ValueError, match="cannot be read"):
        run(model, Failing(), 4)
    assert weight(model) == 7 - 0.25 * steps_done


NOTEBOOK = """
import numpy as np, keras
from pixelwise import callbacks, training
callbacks.Curve.interval = 0.0
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
model.compile("sgd", loss="mse")
x = np.ones((8, 1), "float32")
history = training.fit(model, (x, x), 6, validate=lambda m: {"metric": 1.0}, validate_every=2)
"""


def test_a_notebook_keeps_one_final_figure_and_nothing_else():
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    set_up = nbformat.v4.new_code_cell(f"import sys; sys.path.insert(0, {str(LIBRARY)!r})")
    cell = nbformat.v4.new_code_cell(NOTEBOOK)
    notebook = nbformat.v4.new_notebook(cells=[set_up, cell])
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
    ).execute()
    assert [output.output_type for output in cell.outputs] == ["display_data"]
    assert sorted(cell.outputs[0].data) == ["image/png", "text/plain"]
    assert "transient" not in cell.outputs[0]
