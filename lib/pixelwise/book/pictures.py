"""Makes the large pictures of a stored notebook smaller, so that the repository stays small.

Figures that show photographs have ten times the bytes of a curve. With a palette of 256 colours,
and the error of each pixel handed on to its neighbours, they have half of that or less.
"""

import base64
import io

from PIL import Image

LARGE_BYTES = 60_000  # a figure of curves has fewer
COLOURS = 256


def shrink(notebook):
    """Gives the large PNG pictures among a notebook's outputs a palette; the others stay.

    Args:
        notebook: an executed notebook; its outputs are changed.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _smaller(data["image/png"])


def _smaller(text):
    """Returns a picture in base64 with a palette, or as it is where that saves nothing."""
    content = base64.b64decode(text)
    if len(content) < LARGE_BYTES:
        return text
    picture = Image.open(io.BytesIO(content))
    if picture.mode == "P":
        return text
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    picture = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG)
    made = io.BytesIO()
    picture.save(made, "PNG", optimize=True)
    if made.tell() >= len(content):
        return text
    return base64.b64encode(made.getvalue()).decode() + "\n"
