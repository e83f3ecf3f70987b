"""How likely a model takes test pictures to be: its bound, in nats and bits per dimension.

A figure in nats belongs to a likelihood and a binarisation: only figures of the same pictures can
be compared. Chapter: VAE.
"""

import numpy as np

from pixelwise.batches import check_length, num_batches
from pixelwise.checks import whole
from pixelwise.metrics import features, generation
from pixelwise.nn.divergences import mean_and_error

ACTIVE = 0.01  # variance of its mean over the pictures above which a latent dimension is in use


def evaluate(model, dataset, samples=100, pictures=1000, seed=0, extractors=()):
    """Measures the bound of a model's log-likelihood on a data set.

    Args:
        model: ``VAE``; a ``VQVAE``, whose bound needs no samples, is measured without that of
            importance samples.
        dataset: ``keras.utils.PyDataset`` of ``(pictures, labels)``, of finite length.
        samples: k of the importance-weighted bound; 0 leaves it out.
        pictures: that bound is measured on so many of the first pictures, or all there are.
        seed: of the latents drawn.
        extractors: as for ``generation.evaluate``: by whose features the model's samples, which
            are mean pictures, are compared with the grey pictures of the data set. None if empty.

    Returns:
        dict of floats. ``elbo``, the mean bound over all pictures with one draw of their latents,
        with its standard error ``elbo_error``, and its parts ``reconstruction`` and ``kl``, all in
        nats a picture; ``bits_per_dimension`` of it. ``bound`` and ``bound_error``, with
        ``bound_samples`` and ``bound_pictures``, the importance-weighted bound. ``active_units``,
        the latent dimensions in use, of ``latents``. For a ``VQVAE``, ``codes_used`` and
        ``code_perplexity`` in their place. ``pictures``. With ``extractors``, what
        ``generation.evaluate`` returns too.

        The standard errors are those of a mean over pictures: how much another test set of the
        same size might differ.

    Raises:
        ValueError: if an argument is not possible, or the data set is endless or empty.

    Source: Burda, Grosse, Salakhutdinov 2016, section 5 (the bound; active units with 0.01).
    """
    if extractors:
        features.check_names(extractors)
    whole("samples", samples, 0)
    whole("pictures", pictures, 1)
    terms, said, bounds, dimensions, measured = [], [], [], 0, 0
    quantised = hasattr(model, "codebook")
    if not hasattr(model, "terms"):
        raise ValueError(
            f"A {type(model).__name__} gives no likelihood: measure a VAE or a VQVAE, and others "
            "by metrics.generation.evaluate."
        )
    for number in range(check_length(num_batches(dataset))):
        images, labels = dataset[number]
        terms.append(model.terms(images, labels, seed=[seed, number]))
        said.append(model.codes(images) if quantised else model.posterior(images)[0])
        dimensions = images[0].size
        left = min(len(images), pictures - measured)
        if samples and left > 0 and not quantised:
            bounds.append(model.bound(images[:left], samples, [seed, number], labels[:left]))
            measured += left
    reconstruction, kl = (
        np.concatenate([part[name] for part in terms]) for name in ("reconstruction", "kl")
    )
    elbo, error = _mean(-reconstruction - kl)
    found = {
        "elbo": elbo,
        "elbo_error": error,
        "reconstruction": float(reconstruction.mean()),
        "kl": float(kl.mean()),
        "bits_per_dimension": float(model.likelihood.bits(elbo, dimensions)),
    }
    if bounds:
        found["bound"], found["bound_error"] = _mean(np.concatenate(bounds))
        found |= {"bound_samples": float(samples), "bound_pictures": float(measured)}
    said = np.concatenate(said)
    found |= _codes(said, model.codebook.codes) if quantised else _units(said)
    found["pictures"] = float(len(kl))
    if extractors:
        found |= generation.evaluate(model, dataset.grey(), extractors=extractors, seed=seed)
    return found


def active_units(means, least=ACTIVE):
    """Returns which latent dimensions are in use, bool ``(latents,)``.

    Args:
        means: float ``(n, latents)``, means of q(z | x) of n pictures.
        least: variance over the pictures above which a dimension says something about them.

    Source: Burda, Grosse, Salakhutdinov 2016, section 5.2.
    """
    return np.var(np.asarray(means, float), axis=0) > least


def _units(means):
    return {
        "active_units": float(active_units(means).sum()),
        "latents": float(means.shape[1]),
    }


def _codes(numbers, codes):
    """How many codes are in use, and as how many equally frequent ones they count."""
    share = np.bincount(numbers.ravel(), minlength=codes) / numbers.size
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)))
    return {
        "codes_used": float((share > 0).sum()),
        "code_perplexity": float(np.exp(entropy)),
        "codes": float(codes),
    }


def _mean(values):
    """Mean and standard error of values, the latter NaN for one."""
    if len(values) < 2:
        return float(values[0]), float("nan")
    return tuple(float(part) for part in mean_and_error(values))
