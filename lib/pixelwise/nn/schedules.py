"""Learning rates over a training.

Chapter: DeepLab.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="pixelwise")
class PolynomialDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Falls to the end as ``(1 - step / steps)^power``, DeepLab's "poly" policy; may warm up first.

    The schedule of the same name in Keras cannot warm up and stops at 1e-4 unless told otherwise.
    The arguments are those of Keras' ``CosineDecay``, so that one can stand for the other.

    Args:
        initial_learning_rate: learning rate at step 0.
        decay_steps: steps from the top to the end, after the warm-up; later steps keep the end.
        power: 0.9 in the paper; 1 is a straight line.
        end_learning_rate: learning rate at the end.
        warmup_target: learning rate at the end of the warm-up, which rises in a straight line;
            None falls from the initial learning rate at once.
        warmup_steps: steps of the warm-up.
        name: name of the schedule.

    Raises:
        ValueError: if ``decay_steps`` or the power is not positive, ``warmup_steps`` is negative,
            or only one of ``warmup_target`` and ``warmup_steps`` is given.

    Source: Liu, Rabinovich, Berg 2015 (ParseNet); Chen et al. 2017 (DeepLab v3), section 4.1.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        power=0.9,
        end_learning_rate=0.0,
        warmup_target=None,
        warmup_steps=0,
        name="PolynomialDecay",
    ):
        super().__init__()
        if not decay_steps > 0 or not power > 0 or not warmup_steps >= 0:
            raise ValueError(
                f"decay_steps is {decay_steps}, power {power} and warmup_steps {warmup_steps}: "
                "give positive numbers, and 0 or more for the warm-up."
            )
        if (warmup_target is None) != (warmup_steps == 0):
            raise ValueError(
                f"warmup_target is {warmup_target} and warmup_steps is {warmup_steps}: a warm-up "
                "needs both, and without one neither has a meaning."
            )
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.power = power
        self.end_learning_rate = end_learning_rate
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps
        self.name = name

    def __call__(self, step):
        step = ops.cast(step, "float32")
        top = self.initial_learning_rate if self.warmup_target is None else self.warmup_target
        done = ops.clip((step - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
        falling = (top - self.end_learning_rate) * (1.0 - done) ** self.power
        falling = falling + self.end_learning_rate
        if not self.warmup_steps:
            return falling
        rising = (top - self.initial_learning_rate) * step / self.warmup_steps
        rising = rising + self.initial_learning_rate
        return ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "power": self.power,
            "end_learning_rate": self.end_learning_rate,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
            "name": self.name,
        }
