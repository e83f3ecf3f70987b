"""The networks of the book, one file a chapter; ``load`` gives the published ones by name."""

from pixelwise.lazy import attach

__getattr__, __dir__ = attach(__name__)


def load(name, weights=None, **options):
    """Builds one of torchvision's networks and loads its weights; see ``zoo.load``.

    For example ``load("fcn_resnet50", weights="coco")``.
    """
    from pixelwise.models import zoo

    return zoo.load(name, weights, **options)
