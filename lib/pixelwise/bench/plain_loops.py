"""The plain loops of ``generation.py`` on TensorFlow and JAX: our networks, and no model of ours.

They are what the tutorials of both write by hand: the forward pass, the losses, the gradients and
two steps of Adam (for the VAE one), compiled as a whole. Both players of DCGAN learn in one step
from one batch of fakes, which the discriminator sees once, as in TensorFlow's tutorial
(tensorflow.org/tutorials/generative/dcgan). Nothing is checked, and nothing reported but losses.
PyTorch's loop, with networks of its own, stands in ``plain_torch.py``.
"""

import numpy as np

from pixelwise.bench.generation import BETA_1, RATE, batch, networks, noise


def tensorflow(network, size, threads):
    """Builds the loop of ``tf.GradientTape`` within a ``tf.function``.

    Args:
        network: ``"dcgan"`` or ``"vae"``.
        size: side of the pictures.
        threads: without meaning here: the environment says it.

    Returns:
        The call that is timed: one step, whose losses it returns, float32 ``(2,)`` in nats.
    """
    import tensorflow as tf

    pictures = tf.constant(batch(network, size))
    drawn = tf.constant(noise(network))
    train = {"dcgan": _tensorflow_dcgan, "vae": _tensorflow_vae}[network](*networks(network))
    return lambda: np.array(train(pictures, drawn), "float32")


def _tensorflow_dcgan(generator, discriminator):
    import tensorflow as tf

    def entropy(labels, logits):
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
        return tf.reduce_mean(each)

    adam_g, adam_d = _adam("dcgan", generator), _adam("dcgan", discriminator)

    @tf.function
    def train(pictures, drawn):
        with tf.GradientTape() as tape_g, tf.GradientTape() as tape_d:
            fakes = generator(drawn, training=True)
            real = discriminator(pictures, training=True)
            fake = discriminator(fakes, training=True)
            loss_d = entropy(tf.ones_like(real), real) + entropy(tf.zeros_like(fake), fake)
            loss_g = entropy(tf.ones_like(fake), fake)
        gradients_g = tape_g.gradient(loss_g, generator.trainable_variables)
        gradients_d = tape_d.gradient(loss_d, discriminator.trainable_variables)
        adam_g.apply_gradients(zip(gradients_g, generator.trainable_variables, strict=True))
        adam_d.apply_gradients(zip(gradients_d, discriminator.trainable_variables, strict=True))
        return loss_d, loss_g

    return train


def _tensorflow_vae(encoder, decoder):
    import tensorflow as tf

    variables = encoder.trainable_variables + decoder.trainable_variables
    adam = _adam("vae", encoder, decoder)

    @tf.function
    def train(pictures, drawn):
        with tf.GradientTape() as tape:
            mean, log_variance = encoder(pictures, training=True)
            logits = decoder(mean + tf.exp(0.5 * log_variance) * drawn, training=True)
            each = tf.nn.sigmoid_cross_entropy_with_logits(labels=pictures, logits=logits)
            reconstruction = tf.reduce_mean(tf.reduce_sum(each, axis=(1, 2, 3)))
            each = tf.exp(log_variance) + tf.square(mean) - 1 - log_variance
            kl = tf.reduce_mean(0.5 * tf.reduce_sum(each, axis=1))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, variables)
        adam.apply_gradients(zip(gradients, variables, strict=True))
        return reconstruction, kl

    return train


def jax(network, size, threads):
    """Builds the loop of ``jax.value_and_grad`` within a ``jax.jit``, its state handed over.

    Args, Returns: as for ``tensorflow``.
    """
    import jax

    pictures, drawn = jax.numpy.asarray(batch(network, size)), jax.numpy.asarray(noise(network))
    train, state = {"dcgan": _jax_dcgan, "vae": _jax_vae}[network](*networks(network))
    train = jax.jit(train, donate_argnums=0)

    def step():
        nonlocal state
        losses, state = train(state, pictures, drawn)
        return np.array(losses, "float32")

    return step


def _jax_dcgan(generator, discriminator):
    import jax

    adam_g, adam_d = _adam("dcgan", generator), _adam("dcgan", discriminator)

    def loss_of_g(weights, statistics, weights_d, statistics_d, drawn):
        fakes, statistics = generator.stateless_call(weights, statistics, drawn, training=True)
        fake, _ = discriminator.stateless_call(weights_d, statistics_d, fakes, training=True)
        return jax.nn.softplus(-fake).mean(), (fakes, statistics)

    def loss_of_d(weights, statistics, pictures, fakes):
        real, statistics = discriminator.stateless_call(
            weights, statistics, pictures, training=True
        )
        fake, statistics = discriminator.stateless_call(weights, statistics, fakes, training=True)
        return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean(), statistics

    def train(state, pictures, drawn):
        (weights_g, statistics_g, moments_g), (weights_d, statistics_d, moments_d) = state
        (loss_g, (fakes, statistics_g)), gradients_g = jax.value_and_grad(loss_of_g, has_aux=True)(
            weights_g, statistics_g, weights_d, statistics_d, drawn
        )
        (loss_d, statistics_d), gradients_d = jax.value_and_grad(loss_of_d, has_aux=True)(
            weights_d, statistics_d, pictures, fakes
        )
        weights_g, moments_g = adam_g.stateless_apply(moments_g, gradients_g, weights_g)
        weights_d, moments_d = adam_d.stateless_apply(moments_d, gradients_d, weights_d)
        state = (weights_g, statistics_g, moments_g), (weights_d, statistics_d, moments_d)
        return (loss_d, loss_g), state

    return train, (_state(adam_g, generator), _state(adam_d, discriminator))


def _jax_vae(encoder, decoder):
    import jax

    adam, count = _adam("vae", encoder, decoder), len(encoder.trainable_variables)

    def loss_of(weights, pictures, drawn):
        (mean, log_variance), _ = encoder.stateless_call(
            weights[:count], [], pictures, training=True
        )
        z = mean + jax.numpy.exp(0.5 * log_variance) * drawn
        logits, _ = decoder.stateless_call(weights[count:], [], z, training=True)
        each = jax.nn.softplus(logits) - pictures * logits
        reconstruction = each.sum(axis=(1, 2, 3)).mean()
        each = jax.numpy.exp(log_variance) + mean**2 - 1 - log_variance
        kl = (0.5 * each.sum(axis=1)).mean()
        return reconstruction + kl, (reconstruction, kl)

    def train(state, pictures, drawn):
        weights, _, moments = state
        gradients, losses = jax.grad(loss_of, has_aux=True)(weights, pictures, drawn)
        weights, moments = adam.stateless_apply(moments, gradients, weights)
        return losses, (weights, [], moments)

    return train, _state(adam, encoder, decoder)


def _adam(network, *parts):
    """Keras' Adam, built for the variables of these networks."""
    import keras

    adam = keras.optimizers.Adam(RATE, beta_1=BETA_1[network])
    adam.build([variable for part in parts for variable in part.trainable_variables])
    return adam


def _state(adam, *parts):
    """The values of the networks' weights and statistics, and of Adam's moments."""
    return (
        [variable.value for part in parts for variable in part.trainable_variables],
        [variable.value for part in parts for variable in part.non_trainable_variables],
        [variable.value for variable in adam.variables],
    )
