"""Garments to learn to generate: Fashion-MNIST as batches of pictures. Chapters: GAN, VAE.

``fashion`` gives the same pictures as arrays.
"""

from pixelwise.data import fashion, generation, idx, splits

HELD_OUT = {False: 1000, True: 10_000}  # training pictures for validation: of the embedded, of all


def load(split="train", *, full=False, root=None, held_out=None, **options):
    """Loads one split.

    Args:
        split: ``"train"``, ``"validation"`` (the last of the training pictures) or ``"test"``.
        full: True takes all 60,000 and 10,000 pictures, downloaded by Keras (31 MB, once), in
            place of the 12,000 and 2,000 that come with the book.
        root: folder of Fashion-MNIST's own files (see ``idx``), to take all of it from there.
        held_out: how many training pictures are for validation; ``None`` is 1,000, or 10,000 of
            the full set; 0 trains on all.
        **options: of ``generation.Generation``: ``size``, ``batch_size``, ``seed``,
            ``binarise``...

    Returns:
        ``generation.Generation``.

    Raises:
        ValueError: if the split or an option is wrong, or a file is missing or damaged.
        pixelwise.data.manifest.DamagedFile: if the embedded file is not what it was.
        pixelwise.data.download.NoNetwork: if the full set cannot be downloaded.
    """
    splits.check(split, "The set of garments", splits.NUMBERS)
    part = "test" if split == "test" else "train"
    if root is not None:
        images, labels = idx.load(root, part)
    else:
        images, labels = fashion.load(part, full=full)
    held_out = HELD_OUT[full or root is not None] if held_out is None else held_out
    images, labels = generation.split_off(images, labels, split, held_out)
    return generation.Generation(split, images, labels, fashion.CLASSES, **options)
