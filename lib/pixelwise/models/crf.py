"""The fully connected CRF of DeepLab v1 and v2: every pixel hears from every other pixel.

A labelling x of a picture has the Gibbs energy (low = likely; [...] is 1 if true, otherwise 0)

    E(x) = sum_i psi_i(x_i) + sum_{i < j} [x_i != x_j] K_ij,      psi_i = -log softmax(logits_i).

Two pixels of different classes cost K_ij, which is larger the nearer and the more alike they are:

    K_ij = w1 exp(-|p_i - p_j|^2 / 2 alpha^2 - |I_i - I_j|^2 / 2 beta^2)      appearance
         + w2 exp(-|p_i - p_j|^2 / 2 gamma^2)                                 smoothness

with positions p in pixels and colours I. The distribution P(x) = exp(-E(x)) / Z has too many
labellings to sum over. Mean-field inference looks for independent pixels, Q(x) = prod_i Q_i(x_i),
that come close to it: with a small KL(Q || P).

The paper's message passing is a filter that takes time linear in the pixels, by an approximation
(the permutohedral lattice). Here the sums are exact (``nn/gaussians.py``): the smoothness kernel
costs next to nothing, the appearance kernel a time quadratic in the pixels, which ``stride`` cuts.

Source: Kraehenbuehl and Koltun 2011 (arXiv 1210.5644), sections 2 and 3; Chen et al. 2015, section
4.2, and 2018, section 3.3. Chapter 3.
"""

import numbers

import numpy as np
from keras import ops

from pixelwise.nn.gaussians import BilateralGaussian, SpatialGaussian
from pixelwise.nn.losses import log_softmax

NORMALISATIONS = ("symmetric", "after", "none")
PAIRS_PER_SECOND = 5e8  # that one iteration visits on one core, roughly


def unaries(logits):
    """Returns psi, what each class costs each pixel by itself: -log softmax of the logits.

    Args:
        logits: float ``(height, width, classes)``.

    Returns:
        Array of the same shape, in nats, 0 or more.
    """
    return -log_softmax(logits)


def expected_energy(q, unary, kernel):
    """Returns the mean energy of the labellings that independent pixels draw.

    Where the probabilities are 0 and 1 there is one labelling, and this is its Gibbs energy E(x).

    Args:
        q: probabilities, float ``(height, width, classes)``.
        unary: what ``unaries`` returns, the same shape.
        kernel: the picture's ``Kernel``.

    Returns:
        Scalar, in nats.

    Source: Kraehenbuehl and Koltun 2011, equations 1 and 2.
    """
    q = ops.convert_to_tensor(q)
    pairs = ops.sum(q * kernel.messages(1.0 - q)) / 2  # the sum meets every pair twice
    return ops.sum(q * unary) + pairs


def free_energy(log_q, unary, kernel):
    """Returns the mean energy less the entropy of Q, which is KL(Q || P) - log Z.

    Z is not known but constant: as much as this falls, the divergence falls.

    Args:
        log_q: logarithms of Q, float ``(height, width, classes)``.
        unary, kernel: as for ``expected_energy``.

    Returns:
        Scalar, in nats.
    """
    log_q = ops.convert_to_tensor(log_q)
    q = ops.exp(log_q)
    return expected_energy(q, unary, kernel) + ops.sum(q * log_q)


def mean_field_step(log_q, unary, kernel):
    """Updates Q once, at all pixels at the same time.

    Class l costs pixel i psi_i(l) + sum_{j != i} K_ij (1 - Q_j(l)). What is the same for every
    class falls out of the softmax, and

        log Q_i(l) = -psi_i(l) + sum_{j != i} K_ij Q_j(l) - log Z_i

    is left. KL(Q || P) cannot rise if the kernel is symmetric, the stride 1 and the weight K_ii
    with which a pixel would hear itself at most 2: -K then bends the free energy down by less than
    the entropy bends it up. Normalised kernels exceed 2 only at pixels that resemble few others.

    Args:
        log_q: logarithms of Q, float ``(height, width, classes)``; to start with, ``-unary``.
        unary, kernel: as for ``expected_energy``.

    Returns:
        The logarithms of the new Q, the same shape.

    Source: Kraehenbuehl and Koltun 2011, equation 3 and algorithm 1.
    """
    return log_softmax(kernel.messages(ops.exp(log_q)) - unary)


class Kernel:
    """K_ij between all pixels of one picture: two Gaussians, weighted and normalised.

    A Gaussian of sigma = 3 pixels adds up to 57 in the middle of a picture and to 18 in a corner.
    Normalisation takes such numbers out, with n_i = sum_j k_ij (j = i counts, hence n_i >= 1):

    - ``"symmetric"``: w k_ij / sqrt(n_i n_j). The default of the authors' code since 2013 and
      ours: K stays symmetric, so there is an energy that inference lowers.
    - ``"after"``: w k_ij / n_i, a weighted mean of what the others say. So did the authors' code
      of 2011, on which DeepLab's is built. The energies then take the mean of K_ij and K_ji.
    - ``"none"``: w k_ij, the formula as printed. The weights have to be n times smaller.

    What a pixel says to itself (j = i) is left out, as in the paper; the authors' code lets it in.

    Args:
        parts: list of ``(weight, gaussian)``, of ``nn/gaussians.py``.
        normalisation: one of ``NORMALISATIONS``.
    """

    def __init__(self, parts, normalisation="symmetric"):
        self.parts = []
        for weight, gaussian in parts:
            scale_in, scale_out = 1.0, 1.0
            if normalisation != "none":
                n = gaussian.gather(ops.ones((*gaussian.size, 1), "float32")) - gaussian.own + 1.0
                scale_out = 1.0 / n
                if normalisation == "symmetric":
                    scale_in = scale_out = ops.rsqrt(n)
            self.parts.append((gaussian, scale_in, weight * scale_out))

    def messages(self, q):
        """Returns sum_{j != i} K_ij q_j at every pixel i.

        Args:
            q: float ``(height, width, channels)``.

        Returns:
            Array of the same shape.
        """
        total = ops.zeros_like(q)
        for gaussian, scale_in, scale_out in self.parts:
            sent = scale_in * q
            total = total + scale_out * (gaussian.gather(sent) - gaussian.own * sent)
        return total


class DenseCRF:
    """A fully connected CRF that refines the logits of a network, of any network.

    The defaults are the best of a search on wardrobe scenes of 96 x 96 pixels (validation split).
    DeepLab v2 searched on 100 pictures of about 500 x 375 pixels: w1 from 3 to 6, alpha from 30 to
    100 pixels, beta from 3 to 6 in colours of 0 to 255 (here 3 / 255 to 6 / 255), with w2 = 3,
    gamma = 3 pixels and 10 iterations. Sigmas in pixels grow and shrink with the picture.

    Args:
        appearance: ``(w1, alpha, beta)``: weight, 0 or more; standard deviations of position in
            pixels and of colour in [0, 1].
        smoothness: ``(w2, gamma)``: weight, and standard deviation of position in pixels.
        iterations: mean-field updates.
        normalisation: of the kernels, see ``Kernel``.
        stride: 1 lets every pixel send messages of appearance; s only one in s x s, which speaks
            for its neighbours too (``BilateralGaussian``). Smoothness is always exact, and the
            energies become estimates.
        memory: MiB that the blocks of the appearance kernel may take.
        max_pairs: pairs of a pixel and a sender beyond which a picture is refused; the default is
            what 256 x 256 pixels have with stride 1.

    Raises:
        ValueError: if an argument is not possible.
    """

    def __init__(
        self,
        appearance=(10.0, 20.0, 3 / 255),
        smoothness=(3.0, 1.0),
        *,
        iterations=10,
        normalisation="symmetric",
        stride=1,
        memory=256,
        max_pairs=2**32,
    ):
        self.appearance = _numbers("appearance", appearance, ("weight", "alpha", "beta"))
        self.smoothness = _numbers("smoothness", smoothness, ("weight", "gamma"))
        for name, value in (("iterations", iterations), ("stride", stride)):
            if not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(f"{name} is {value!r}: give a whole number of at least 1.")
        for name, value in (("memory", memory), ("max_pairs", max_pairs)):
            if not isinstance(value, numbers.Real) or not 0 < value < float("inf"):
                raise ValueError(f"{name} is {value!r}: give a positive number.")
        if normalisation not in NORMALISATIONS:
            raise ValueError(
                f"There is no normalisation {normalisation!r}: choose one of "
                f"{', '.join(NORMALISATIONS)}."
            )
        self.iterations, self.stride = int(iterations), int(stride)
        self.normalisation, self.memory, self.max_pairs = normalisation, memory, max_pairs

    def refine(self, logits, images):
        """Runs the inference on each picture.

        Args:
            logits: float ``(batch, height, width, classes)``, two classes or more.
            images: the pictures they were computed from, float ``(batch, height, width, 3)`` in
                [0, 1].

        Returns:
            float32 NumPy array ``(batch, height, width, classes)``: log Q, in nats, 0 or less.

        Raises:
            ValueError: if the arrays do not fit each other, hold NaN or values out of range, or
                the picture is smaller than the stride or has too many pairs of pixels.
        """
        logits, images = _checked(logits, images)
        refined = []
        for scores, image in zip(logits, images, strict=True):
            unary, kernel = unaries(scores), self.kernel(image)
            log_q = -unary
            for _ in range(self.iterations):
                log_q = mean_field_step(log_q, unary, kernel)
            refined.append(ops.convert_to_numpy(log_q))
        return np.stack(refined)

    def energy(self, labels, logits, images):
        """Returns the Gibbs energy E(x) of one labelling of each picture.

        Args:
            labels: integer ``(batch, height, width)`` in [0, classes).
            logits, images: as for ``refine``.

        Returns:
            float64 NumPy array ``(batch,)``, in nats.

        Raises:
            ValueError: as ``refine``, or if a label is no class.
        """
        logits, images = _checked(logits, images)
        labels = _checked_labels(labels, logits.shape)
        energies = []
        for x, scores, image in zip(labels, logits, images, strict=True):
            q = ops.one_hot(x, scores.shape[-1], dtype="float32")
            energies.append(float(expected_energy(q, unaries(scores), self.kernel(image))))
        return np.array(energies)

    def kernel(self, image):
        """Returns the ``Kernel`` of one picture, float ``(height, width, 3)`` in [0, 1].

        Raises:
            ValueError: as ``refine``.
        """
        image = _checked_images(ops.convert_to_numpy(image)[None])[0]
        parts = []
        if self.appearance[0]:
            self._check_cost(*image.shape[:2])
            weight, alpha, beta = self.appearance
            parts.append((weight, BilateralGaussian(image, alpha, beta, self.stride, self.memory)))
        if self.smoothness[0]:
            weight, gamma = self.smoothness
            parts.append((weight, SpatialGaussian(image.shape[:2], gamma)))
        return Kernel(parts, self.normalisation)

    def _check_cost(self, height, width):
        if self.stride > min(height, width):
            raise ValueError(
                f"stride is {self.stride} but the picture has {height} x {width} pixels: choose a "
                "smaller stride."
            )
        pairs = {
            s: height * width * -(-height // s) * -(-width // s)
            for s in range(self.stride, min(height, width) + 1)
        }
        cost = pairs[self.stride]
        if cost <= self.max_pairs:
            return
        minutes = cost * (self.iterations + 1) / PAIRS_PER_SECOND / 60
        fits = next((s for s, number in pairs.items() if number <= self.max_pairs), None)
        advice = "make the picture smaller"
        if fits:
            advice = f"set stride={fits}, where one pixel in {fits} x {fits} speaks for the others"
        raise ValueError(
            f"A picture of {height} x {width} pixels has {cost:,} pairs with stride {self.stride}, "
            f"about {minutes:,.1f} minutes for {self.iterations} iterations on one core, and "
            f"max_pairs allows {self.max_pairs:,}: {advice}, or raise max_pairs."
        )


def _numbers(name, values, parts):
    """A weight, 0 or more, and sigmas above 0, as floats."""
    given = tuple(values) if isinstance(values, tuple | list | np.ndarray) else (values,)
    finite = all(isinstance(v, numbers.Real) and np.isfinite(v) for v in given)
    if len(given) != len(parts) or not finite or given[0] < 0 or min(given[1:]) <= 0:
        raise ValueError(
            f"{name} is {values!r}: give ({', '.join(parts)}), the weight 0 or more and the others "
            "above 0."
        )
    return tuple(float(v) for v in given)


def _checked(logits, images):
    logits, images = np.asarray(ops.convert_to_numpy(logits)), _checked_images(images)
    if logits.ndim != 4 or logits.shape[:3] != images.shape[:3]:
        raise ValueError(
            f"The logits have the shape {logits.shape} and the pictures {images.shape}: give "
            "logits (batch, height, width, classes) of the pictures' size."
        )
    if logits.shape[-1] < 2:
        raise ValueError(
            "The logits have a single class: give one channel a class, the background counted."
        )
    if not np.isfinite(logits).all():
        raise ValueError("The logits hold NaN or infinity: look for it in the network's weights.")
    return logits.astype("float32", copy=False), images


def _checked_images(images):
    images = np.asarray(ops.convert_to_numpy(images))
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise ValueError(
            f"The pictures have the shape {images.shape}: give (batch, height, width, 3)."
        )
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind != "f" or not -0.01 <= low <= high <= 1.01:
        raise ValueError(
            f"The pictures have dtype {images.dtype} and values from {low:.4g} to {high:.4g}: give "
            "float32 in [0, 1] (divide eight-bit values by 255), without NaN."
        )
    return images.astype("float32", copy=False)


def _checked_labels(labels, shape):
    labels = np.asarray(ops.convert_to_numpy(labels))
    if labels.shape != shape[:3] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"The labels have dtype {labels.dtype} and the shape {labels.shape}: give whole "
            f"numbers {shape[:3]}, the index of the class."
        )
    if not 0 <= labels.min() <= labels.max() < shape[-1]:
        raise ValueError(
            f"The labels go from {labels.min()} to {labels.max()} but there are {shape[-1]} "
            "classes: a labelling has a class at every pixel."
        )
    return labels.astype("int32")
