"""The statistics of batch normalisation, estimated again for the weights that are used.

Batch normalisation trains on the statistics of each batch and answers with running averages of
them. The averages belong to the weights of the last steps: for other weights, as an average of the
weights over many steps, they are wrong, and the network answers nonsense that no loss has shown.
Chapter: DeepLab.
"""

import keras


def update_batch_norm(model, batches):
    """Replaces the running statistics by the mean of the batches' statistics.

    Layers that are frozen (``trainable = False``) keep theirs. Weights do not change.

    Args:
        model: a built ``keras.Model``, which may hold others.
        batches: iterable of inputs, float ``(batch, ...)``, as many as are worth averaging over:
            some tens.

    Returns:
        The number of batches used, 0 if the model has no free batch normalisation.

    Raises:
        ValueError: if there is no batch.

    Source: Izmailov et al. 2018 (arXiv 1803.05407), section 3.2: averaged weights need it.
    """
    norms = free_batch_norms(model)
    if not norms:
        return 0
    momenta = [layer.momentum for layer in norms]
    count = 0
    try:
        for inputs in batches:
            for layer in norms:
                layer.momentum = count / (count + 1)  # the mean of all batches so far
            model(inputs, training=True)
            count += 1
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
    if count == 0:
        raise ValueError("There is no batch to take the statistics from: give one or more.")
    return count


def free_batch_norms(model):
    """Returns the layers of batch normalisation that use and average the batches' statistics."""
    # Keras has no public way to the layers inside a layer, and freezing one freezes those inside.
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
