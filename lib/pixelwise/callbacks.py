"""What a training run shows: a bar in a terminal, one live figure in a notebook."""

import base64
import io
import sys
import time

import numpy as np

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")


def choose(show, total, start, name):
    """Picks the display of a training run.

    Args:
        show: ``"auto"`` (figure in a notebook, bar in a terminal, nothing elsewhere), True (a bar
            also where there is no terminal) or False.
        total: number of steps of the run.
        start: the step it starts from.
        name: title, or None.

    Returns:
        An object with ``update(history)`` and ``close(history)``.

    Raises:
        ValueError: if ``show`` is something else.
    """
    if not isinstance(show, bool) and show != "auto":
        raise ValueError(f"show must be 'auto', True or False, not {show!r}.")
    if show is False:
        return Silent()
    if in_notebook():
        return Curve(total, name)
    if show is True or sys.stderr.isatty():
        return Bar(total, start, name)
    return Silent()


def in_notebook():
    """Returns True inside a Jupyter, Colab or Kaggle kernel."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


class Silent:
    """Shows nothing."""

    def update(self, history):
        """Called after every step."""

    def close(self, history):
        """Called once, at the end."""


class Bar:
    """A tqdm bar on the terminal."""

    def __init__(self, total, start, name):
        from tqdm import tqdm

        self.bar = tqdm(total=total, initial=start, desc=name or "training", unit="step")

    def update(self, history):
        """Moves the bar to the last step of the history."""
        if history.steps:
            self.bar.set_postfix_str(f"loss {history.loss[-1]:.4g}", refresh=False)
            self.bar.update(history.steps[-1] - self.bar.n)

    def close(self, history):
        """Draws the bar a last time."""
        self.update(history)
        self.bar.close()


class Curve:
    """One figure in the output of a notebook cell, drawn anew at most every two seconds."""

    interval = 2.0  # seconds, more where drawing is slow: it takes at most a thirtieth of the time

    def __init__(self, total, name):
        self.total = total
        self.name = name
        self.handle = None
        self.drawn = time.monotonic()

    def update(self, history):
        """Draws the curve if the last drawing is old enough."""
        began = time.monotonic()
        if began - self.drawn >= self.interval:
            self._publish(history)
            self.drawn = time.monotonic()
            self.interval = max(self.interval, 30 * (self.drawn - began))

    def close(self, history):
        """Draws the final curve over the last one."""
        if history.steps:
            self._publish(history)

    def _publish(self, history):
        from IPython.display import display

        picture = base64.b64encode(draw(history, self.total, self.name)).decode()
        bundle = {"image/png": picture, "text/plain": "<Figure: training curve>"}
        if self.handle is None:
            self.handle = display(bundle, raw=True, display_id=True)
        else:
            self.handle.update(bundle, raw=True)


def draw(history, total, name=None):
    """Draws the loss and the validation metrics of a run.

    Args:
        history: ``training.History``.
        total: number of steps of the run, the right end of the axis.
        name: title, or None.

    Returns:
        The bytes of a PNG picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = 2 if history.validation else 1
    figure = Figure(figsize=(4.5 * panels, 3.0), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    axes[0].plot(history.steps, history.loss, color=COLOURS[0], alpha=0.3, linewidth=0.8)
    axes[0].plot(history.steps, smooth(history.loss), color=COLOURS[0], linewidth=1.8)
    axes[0].set(xlabel="step", ylabel="loss", xlim=(0, total))
    for number, key in enumerate(metrics(history)):
        points = [(row["step"], row[key]) for row in history.validation if key in row]
        style = {"color": COLOURS[number % 6], "marker": MARKERS[number % 6], "markersize": 4}
        axes[1].plot(*zip(*points, strict=True), label=key, **style)
    if history.validation:
        axes[1].set(xlabel="step", ylabel="validation metric", xlim=(0, total))
        axes[1].legend(fontsize="small")
    for axis in axes:
        axis.grid(alpha=0.3)
    if name:
        figure.suptitle(name, fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def metrics(history):
    """Returns the names of the validation metrics, in the order of their first appearance."""
    return list(dict.fromkeys(key for row in history.validation for key in row if key != "step"))


def smooth(values):
    """Returns the mean of each value's surroundings, a twentieth of the list in all."""
    values = np.asarray(values, dtype="float64")
    reach = len(values) // 40
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    starts, ends = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    return (sums[ends] - sums[starts]) / (ends - starts)
