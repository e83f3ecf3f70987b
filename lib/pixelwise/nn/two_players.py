"""What two players who learn in one step need: values that stay, and an Adam with two rates.

The discriminator should know the generator as it is now, not as it was: it takes larger steps (two
time-scale update rule), or more of them. Chapter: GAN.
"""

import numbers

import keras
from keras import ops

from pixelwise import checks


def values(network):
    """Returns what a network's variables hold before the step, for its ``stateless_call``.

    On TensorFlow a variable handed over as it is is read where it is used, and that may be after
    the optimizer has changed it: a generator was then judged by the next step's discriminator.

    Args:
        network: ``keras.Model``.

    Returns:
        ``(weights, statistics)``: lists of copies, of its trainable variables, to which gradients
        go back, and of the others.
    """
    return (
        [ops.copy(variable) for variable in network.trainable_variables],
        [ops.copy(variable) for variable in network.non_trainable_variables],
    )


def judge(discriminator, held, real, fake, training):
    """Lets a discriminator judge for both players, so that each gets its own gradient only.

    It judges real inputs, then fake ones through which no gradient goes back: from these two it
    learns. A copy that does not learn judges the fake ones again, for the generator. That third
    pass computes the second one's numbers, and a compiler does it once.

    Args:
        discriminator: ``keras.Model``. Its statistics are those after the first two passes.
        held: what ``values`` returned for it.
        real, fake: its inputs, a tensor or a list of them; ``fake`` with the generator's gradient.
        training: whether it uses the statistics of the batches.

    Returns:
        Its outputs of the three passes, a tuple.
    """
    weights, before = held
    frozen = [ops.stop_gradient(value) for value in weights]
    cut_off = keras.tree.map_structure(ops.stop_gradient, fake)
    call = discriminator.stateless_call
    of_real, between = call(weights, before, real, training=training)
    of_fake, after = call(weights, between, cut_off, training=training)
    for_generator, _ = call(frozen, between, fake, training=training)
    for variable, value in zip(discriminator.non_trainable_variables, after, strict=True):
        variable.assign(value)
    return of_real, of_fake, for_generator


@keras.saving.register_keras_serializable(package="pixelwise")
class TwoPlayerAdam(keras.optimizers.Adam):
    """Adam whose steps for the generator have another size, and may be fewer.

    An average of the weights (``use_ema``) is kept for both and used for the generator alone: the
    discriminator's statistics belong to the weights that it has.

    Args:
        learning_rate: of the discriminator, float or schedule.
        generator_factor: the generator's rate divided by the discriminator's, above 0.
        every: the generator moves in every so many steps, a whole number of at least 1: the
            critic's steps for one of the generator's. In between it stays, and its moments too.
        generator: prefix of the names of the generator's layers, or of a model that holds them.
        beta_1, beta_2: as for Adam. Radford's 0.5 forgets faster than the usual 0.9: a game
            changes faster than a loss.
        **options: of ``keras.optimizers.Adam``, but for ``amsgrad``.

    Raises:
        ValueError: if a number is not possible, or, when the optimizer is built, if the prefix
            belongs to no layer or to all.

    Source: Heusel et al. 2017, section 2; Arjovsky et al. 2017, algorithm 1 (n_critic).
    """

    def __init__(
        self,
        learning_rate=2e-4,
        *,
        generator_factor=1.0,
        every=1,
        generator="generator",
        beta_1=0.5,
        beta_2=0.999,
        name="two_player_adam",
        **options,
    ):
        if options.pop("amsgrad", False):
            raise ValueError("TwoPlayerAdam has no amsgrad: leave it out.")
        super().__init__(
            learning_rate=learning_rate, beta_1=beta_1, beta_2=beta_2, name=name, **options
        )
        factor = generator_factor
        if (
            not isinstance(factor, numbers.Real)
            or isinstance(factor, bool)
            or not 0 < factor < float("inf")
        ):
            raise ValueError(f"generator_factor is {factor!r}: give a number above 0.")
        checks.whole("every", every)
        self.generator_factor, self.every, self.generator = float(factor), every, generator

    def build(self, variables):
        super().build(variables)
        self._generators = [
            any(part.startswith(self.generator) for part in variable.path.split("/")[:-1])
            for variable in variables
        ]
        if all(self._generators) or not any(self._generators):
            raise ValueError(
                f"{'All' if all(self._generators) else 'No'} layers have a name that starts with "
                f"{self.generator!r}, the first variable being {variables[0].path!r}: name the "
                "generator's layers so, or their model, and no others."
            )

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        if not self._generators[index]:
            super().update_step(gradient, variable, learning_rate)
        elif self.every == 1:
            super().update_step(gradient, variable, learning_rate * self.generator_factor)
        else:
            self._rare_step(gradient, variable, learning_rate * self.generator_factor, index)

    def _rare_step(self, gradient, variable, learning_rate, index):
        """One step of Adam in every so many, by factors that are 0 in the others."""
        dtype = keras.backend.standardize_dtype(variable.dtype)
        gradient = ops.cast(gradient, dtype)
        number = self.iterations + 1
        turn = ops.cast(ops.equal(number % self.every, 0), dtype)
        count = ops.cast((number - 1) // self.every + 1, dtype)  # of the generator's own steps
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, turn * (1 - self.beta_1) * (gradient - m))
        self.assign_add(v, turn * (1 - self.beta_2) * (ops.square(gradient) - v))
        size = turn * ops.cast(learning_rate, dtype) * ops.sqrt(1 - self.beta_2**count)
        size = size / (1 - self.beta_1**count)
        self.assign_sub(variable, size * m / (ops.sqrt(v) + self.epsilon))

    def finalize_variable_values(self, var_list):
        """Gives the generator's variables, among all, the averages of their values."""
        if not self.use_ema:
            return
        var_list = list(var_list)
        kept = [
            None if generator else ops.copy(ops.convert_to_tensor(variable))
            for variable, generator in zip(var_list, self._generators, strict=True)
        ]
        super().finalize_variable_values(var_list)
        for variable, value in zip(var_list, kept, strict=True):
            if value is not None:
                variable.assign(value)

    def get_config(self):
        own = ("generator_factor", "every", "generator")
        config = {**super().get_config(), **{name: getattr(self, name) for name in own}}
        config.pop("amsgrad")
        return config
