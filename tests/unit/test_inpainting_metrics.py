"""PSNR, SSIM and KID of filled holes."""

import keras
import numpy as np
import pytest
from skimage import metrics as reference

from pixelwise.metrics import inpainting
from pixelwise.metrics.features import Extractor
from pixelwise.models.classical import fill_classical


def pair(rows=3, height=20, width=24, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random((rows, height, width, 3), "float32")
    holes = np.zeros((rows, height, width), bool)
    holes[:, 5:12, 6:15] = True
    noise = rng.normal(0, 0.1, truth.shape)
    filled = np.where(holes[..., None], np.clip(truth + noise, 0, 1), truth).astype("float32")
    return truth, filled, holes


class Batches(keras.utils.PyDataset):
    """Removals of two pictures a batch."""

    def __init__(self, num_batches=4):
        super().__init__()
        self.length = num_batches

    @property
    def num_batches(self):
        return self.length

    def __getitem__(self, index):
        truth, _, holes = pair(2, seed=index)
        return {"images": np.where(holes[..., None], 0, truth), "holes": holes}, truth


# A cheap network for the tests: the mean colour and its spread.
EXTRACTOR = Extractor(
    lambda x: x, lambda x: np.concatenate([x.mean((1, 2)), x.std((1, 2))], axis=1), 6
)


def test_psnr_is_scikit_images_and_that_of_the_hole_by_hand():
    truth, filled, holes = pair()
    whole = inpainting.psnr(truth, filled)
    for ours, a, b in zip(whole, truth, filled, strict=True):
        assert ours == pytest.approx(reference.peak_signal_noise_ratio(a, b, data_range=1.0))
    inside = inpainting.psnr(truth, filled, holes)
    for ours, a, b, hole in zip(inside, truth, filled, holes, strict=True):
        assert ours == pytest.approx(-10 * np.log10(np.mean((a[hole] - b[hole]) ** 2)), rel=1e-5)
    share = holes[0].mean()  # all of the error is in the hole
    assert inside == pytest.approx(whole + 10 * np.log10(share), rel=1e-6)
    assert np.isinf(inpainting.psnr(truth, truth)).all()


def test_ssim_is_scikit_images_and_one_for_equal_pictures():
    truth, filled, holes = pair()
    options = dict(data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    for ours, a, b in zip(inpainting.ssim(truth, filled), truth, filled, strict=True):
        maps = [
            reference.structural_similarity(a[..., c], b[..., c], full=True, **options)[1]
            for c in range(3)
        ]
        assert ours == pytest.approx(np.mean(maps), abs=1e-5)
    assert inpainting.ssim(truth, truth, holes) == pytest.approx(1)
    assert (inpainting.ssim(truth, filled, holes) < inpainting.ssim(truth, filled)).all()


@pytest.mark.parametrize(
    "rows, columns, top, left, side",
    [
        ((2, 20), (10, 12), 2, 2, 18),  # tall: 18 pixels, centred on column 11
        ((0, 3), (22, 24), 0, 8, 16),  # in a corner: 16 pixels, moved inside
        ((0, 20), (0, 24), 0, 2, 20),  # wider than the picture is high: cut
    ],
)
def test_crops_are_squares_around_the_hole(rows, columns, top, left, side):
    y, x = np.mgrid[:20, :24].astype("float32")
    image = np.stack([y / 24, x / 24, np.zeros_like(x)], axis=-1)
    hole = np.zeros((20, 24), bool)
    hole[slice(*rows), slice(*columns)] = True
    crop = inpainting.crops(image[None], hole[None])[0]
    assert crop.shape == (64, 64, 3)
    assert crop[0, :, 0] * 24 == pytest.approx(top, abs=0.4)
    assert crop[:, 0, 1] * 24 == pytest.approx(left, abs=0.4)
    assert crop[:, -1, 1] * 24 == pytest.approx(left + side - 1, abs=0.4)


def test_evaluate_measures_models_functions_and_baselines():
    def grey(images, holes):
        return np.where(holes[..., None], np.float32(0.5), images)

    found = inpainting.evaluate(grey, Batches(), baselines=["mean"], extractor=EXTRACTOR)
    assert found["pictures"] == found["mean"]["pictures"] == 8
    assert found["hole"] == pytest.approx(63 / 480)
    # Uniform pixels around 1/2 have the variance 1/12.
    assert found["psnr_hole"] == pytest.approx(10 * np.log10(12), abs=0.3)
    assert found["psnr_hole"] == pytest.approx(found["mean"]["psnr_hole"], abs=0.2)
    assert found["psnr"] > found["psnr_hole"] and 0 < found["l1_hole"] < 0.3
    truths = [Batches()[index][1] for index in range(4)]
    oracle = inpainting.evaluate(
        lambda images, holes: np.clip(np.concatenate(truths) + 0.01, 0, 1),
        Batches(),
        extractor=EXTRACTOR,
    )
    assert oracle["kid"] < found["kid"] and oracle["psnr_hole"] > 39

    class Model:
        fill = staticmethod(lambda images, holes: fill_classical(images, holes, "nearest"))

    few = inpainting.evaluate(Model(), Batches(), pictures=3, extractor=None)
    assert few["pictures"] == 3 and "kid" not in few


def test_the_default_features_are_those_of_mobilenet():
    truth, filled, holes = pair(4)
    found = inpainting.compare(truth, filled, holes)
    assert np.isfinite(found["kid"]) and found["kid_spread"] >= 0


def unasked(images, holes):
    pytest.fail("it was asked to fill before the names were looked at")


def test_what_cannot_be_measured(sentence):
    truth, filled, holes = pair()
    for call in (
        lambda: inpainting.psnr(truth, filled[:2]),
        lambda: inpainting.psnr(truth, filled * 255),
        lambda: inpainting.psnr(truth, filled, holes[:, :10]),
        lambda: inpainting.psnr(truth, filled, np.zeros_like(holes)),
        lambda: inpainting.ssim(truth[:, :9], filled[:, :9]),
        lambda: inpainting.crops(truth, np.zeros_like(holes)),
        lambda: inpainting.evaluate(fill_classical, Batches(None)),
        lambda: inpainting.evaluate(fill_classical, Batches(), pictures=1),
        lambda: inpainting.evaluate(unasked, Batches(), baselines=["mean", "median"]),
        lambda: inpainting.evaluate(unasked, Batches(), baselines="mean"),
        lambda: inpainting.evaluate(unasked, Batches(), baselines=[["mean"]]),
        lambda: inpainting.evaluate(unasked, Batches(), extractor="vgg"),
        lambda: inpainting.evaluate(None, Batches()),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        sentence(caught)
