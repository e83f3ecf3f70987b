"""Masks as other tools write them: class numbers, or a colour for each class.

A legend says which number and which colour stands for which class. Colours are matched exactly: a
colour that is not in the legend was invented by interpolation or by JPEG, and the class of such a
pixel cannot be known.
"""

from typing import NamedTuple

import numpy as np

from pixelwise.data import pictures


class Legend(NamedTuple):
    """What the pixels of a mask file stand for.

    Attributes:
        title: whose legend it is, for sentences.
        numbers: dict from a pixel's value to its class, 255 for void. If it is empty, grey and
            palette pictures too are read by the colours that they show.
        colours: dict from ``(red, green, blue)`` to the class. If it is empty, colours are refused.
    """

    title: str
    numbers: dict
    colours: dict


def voc_colours(number=256):
    """Returns the colours of Pascal VOC: colour ``i`` marks class ``i``.

    The bits of the index, from the lowest, go to red, green and blue in turn, and fill each of
    them from its highest bit, so that small numbers get colours far apart.

    Args:
        number: how many colours, at most 256.

    Returns:
        uint8 ``(number, 3)``, RGB.

    Source: Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV 2010, its
    development kit.
    """
    index = np.arange(number)
    colours = np.zeros((number, 3), "uint8")
    for place in range(8):
        for channel in range(3):
            bit = index >> (3 * place + channel) & 1
            colours[:, channel] |= (bit << (7 - place)).astype("uint8")
    return colours


def as_greys(numbers):
    """Returns the colours of masks whose class numbers were written into all three channels.

    Args:
        numbers: dict from a pixel's value to its class.

    Returns:
        Dict from ``(value, value, value)`` to the class, for the values that fit eight bits.
    """
    return {(value,) * 3: label for value, label in numbers.items() if value < 256}


def read_labels(path, legend):
    """Reads a mask and translates its numbers or colours into classes.

    Args:
        path: a file in a format without loss, as PNG: grey or palette with class numbers, or
            colours. Transparency is passed over.
        legend: ``Legend``.

    Returns:
        uint8 ``(height, width)``: classes, 255 for void.

    Raises:
        pixelwise.data.pictures.DamagedPicture: if the file is missing, cut or not a picture.
        ValueError: if it has a number or a colour that the legend does not know, with its place.
    """
    if not legend.colours:
        coded = pictures.read_mask(path)
    else:
        coded = pictures.read_coded(path, shown=not legend.numbers)
    if coded.ndim == 2:
        labels, unknown = _translate(coded, legend.numbers)
    else:
        table = {_code(np.array(colour)): label for colour, label in legend.colours.items()}
        labels, unknown = _translate(_code(coded), table)
    if unknown is not None:
        raise ValueError(_complaint(path, legend, coded, *unknown))
    return labels


def _complaint(path, legend, coded, row, column):
    """Says that a pixel has a number or a colour that the legend does not know."""
    pixel, place = coded[row, column].tolist(), f"at row {row}, column {column}"
    if coded.ndim == 2:
        return (
            f"The mask {path} has the unknown class {pixel} {place}: {legend.title} has "
            f"{_spans(legend.numbers)}."
        )
    return (
        f"The mask {path} has the unknown colour {tuple(pixel)} {place}, which is not in the "
        f"colours of {legend.title}: if the mask was resized or saved as JPEG, take the original "
        "PNG, since what lies between two colours is no class."
    )


def _code(colour):
    """Returns one integer for each colour, ``(..., 3)`` to ``(...)``."""
    red, green, blue = np.moveaxis(colour.astype("int64"), -1, 0)
    return (red << 16 | green << 8 | blue)[()]


def _translate(codes, table):
    """Returns the classes, uint8, and the place of the first code that the table has not."""
    keys = np.array(sorted(table))
    labels = np.array([table[key] for key in keys], "uint8")
    places = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
    unknown = np.argwhere(keys[places] != codes)
    return labels[places], (unknown[0].tolist() if len(unknown) else None)


def _spans(numbers):
    """Says numbers in words, as ``"0 to 20 and 255"``."""
    spans = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [f"{a}" if a == b else f"{a} to {b}" for a, b in spans]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
