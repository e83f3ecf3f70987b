"""Which models of the book stand beside one another in ``choosing.py``: names only, no network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """What stands in for one row of the comparison.

    Attributes:
        title: for people.
        chapter: that builds it.
        recipe: whose checkpoint is loaded; ``None`` for what is not trained by gradient.
        after: what its answers go through, a key of ``evaluation.AFTER``.
        objects: ``True`` for a detector.
    """

    title: str
    chapter: str
    recipe: str | None = None
    after: str = "nothing"
    objects: bool = False


SEGMENTERS = {
    "all_background": Entry("all background", "09_choosing"),
    "colours": Entry("table of colours", "09_choosing"),
    "fcn8s": Entry("FCN-8s", "02_fcn", "fcn8s_wardrobe"),
    "deeplabv3plus": Entry("DeepLabV3+", "03_deeplab", "deeplabv3plus_wardrobe"),
    "deeplabv3plus_crf": Entry("DeepLabV3+, CRF", "03_deeplab", "deeplabv3plus_wardrobe", "crf"),
    "mask_rcnn": Entry("Mask R-CNN", "04_mask_rcnn", "mask_rcnn_wardrobe", objects=True),
    "instance_segnet": Entry(
        "Instance SegNet", "05_instance_segnet", "instance_segnet_wardrobe", objects=True
    ),
}
GENERATORS = {
    "dcgan": Entry("conditional GAN", "06_gan", "dcgan_garments"),
    "vae": Entry("VAE", "07_vae", "vae_garments"),
    "cvae": Entry("conditional VAE", "07_vae", "cvae_garments"),
    "vqvae": Entry("VQ-VAE", "07_vae", "vqvae_garments"),
}
