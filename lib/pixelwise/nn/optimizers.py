"""AdamW with smaller steps for pretrained weights than for new ones.

A new head has everything to learn, the backbone below it only to adjust. Steps that are right for
one are wrong for the other: DeepLab's papers train the new layers at ten times the rate of the
pretrained ones. Chapter: DeepLab.
"""

import numbers

import keras


@keras.saving.register_keras_serializable(package="pixelwise")
class TwoRateAdamW(keras.optimizers.AdamW):
    """AdamW whose learning rate is multiplied by ``factor`` for some of the variables.

    Args:
        slow: prefixes of the names of these variables' layers, as ``["features-"]`` for MobileNetV2
            here.
        factor: of their learning rate, in (0, 1]. The weight decay stays that of all.
        **options: of ``keras.optimizers.AdamW``: ``learning_rate``, ``weight_decay``...

    Raises:
        ValueError: if the factor is not possible, or, when the optimizer is built, if no layer
            has such a name.

    Source: Chen et al. 2018, section 4.1 (ten times the rate for the last layer).
    """

    def __init__(self, *, slow, factor=0.1, name="two_rate_adamw", **options):
        super().__init__(name=name, **options)
        self.slow = [slow] if isinstance(slow, str) else list(slow)
        if not isinstance(factor, numbers.Real) or not 0 < factor <= 1:
            raise ValueError(f"factor is {factor!r}: give a number above 0, at most 1.")
        self.factor = float(factor)

    def build(self, variables):
        super().build(variables)
        self._slow = [
            any(layer.startswith(tuple(self.slow)) for layer in variable.path.split("/")[:-1])
            for variable in variables
        ]
        if not any(self._slow):
            raise ValueError(
                f"No layer's name starts with {' or '.join(map(repr, self.slow))}: the first "
                f"variable is {variables[0].path!r}, so give other prefixes."
            )

    def update_step(self, gradient, variable, learning_rate):
        if self._slow[self._get_variable_index(variable)]:
            learning_rate = learning_rate * self.factor
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "slow": self.slow, "factor": self.factor}
