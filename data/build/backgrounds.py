"""Makes data/backgrounds/*.png from two packages of CC0 pictures.

    npm pack @pmndrs/assets@1.7.0 && tar xzf pmndrs-assets-1.7.0.tgz
    pip download --no-deps scikit-image==0.26.0 && unzip scikit_image-*.whl -d scikit-image
    pip install OpenEXR
    python data/build/backgrounds.py package/hdri scikit-image/skimage/data

The panoramas (Poly Haven, 512 x 256, linear light) are exposed so that the geometric mean of their
luminance is 18 % grey, compressed with the extended Reinhard curve (white at 4) and stored in
sRGB. They are losslessly stored, so that a scene is the same on every machine.
"""

import base64
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import OpenEXR
from PIL import Image

from pixelwise import paths
from pixelwise.data import manifest

PHOTOGRAPHS = {
    "brick": "cc0textures.com, Bricks25",
    "grass": "linolafett, Grass 01",
    "gravel": "cc0textures.com, Gravel04",
    "coffee": "Rachel Michetti, Pikolo Espresso Bar",
    "chelsea": "Stefan van der Walt, Chelsea the cat",
    "camera": "Lav Varshney, cameraman",
}
LONGEST = 384


def panorama(path):
    """Returns the picture in one of the package's JavaScript files as uint8 sRGB (256, 512, 3)."""
    encoded = re.search(r"base64,([^'\"]+)", path.read_text()).group(1)
    with tempfile.NamedTemporaryFile(suffix=".exr") as file:
        file.write(base64.b64decode(encoded))
        file.flush()
        with OpenEXR.File(file.name) as picture:
            channels = picture.channels()
            rgb = channels["RGB"].pixels
    rgb = np.nan_to_num(rgb.astype(np.float64), posinf=6e4).clip(0, 6e4)
    luminance = rgb @ [0.2126, 0.7152, 0.0722]
    rgb *= 0.18 / np.exp(np.log(luminance + 1e-4).mean())
    rgb = np.clip(rgb * (1 + rgb / 16) / (1 + rgb), 0, 1)
    srgb = np.where(rgb < 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.uint8(srgb * 255 + 0.5)


def save(name, picture, origin):
    path = paths.data_dir() / "backgrounds" / f"{name}.png"
    picture.save(path, optimize=True)
    manifest.add(
        f"backgrounds/{path.name}",
        licence="CC0-1.0",
        origin=origin,
        made_by="data/build/backgrounds.py",
    )
    print(path.name, picture.size, f"{path.stat().st_size:,} bytes")


def main(panoramas, photographs):
    for path in sorted(Path(panoramas).glob("*.exr.js")):
        name = path.name.split(".")[0]
        origin = f"Poly Haven HDRI, called '{name}' in the npm package @pmndrs/assets 1.7.0"
        save(f"panorama_{name}", Image.fromarray(panorama(path)), origin)
    for name, author in PHOTOGRAPHS.items():
        picture = Image.open(Path(photographs) / f"{name}.png").convert("RGB")
        picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        save(f"photo_{name}", picture, f"{author}, PyPI package scikit-image 0.26.0")


if __name__ == "__main__":
    main(*sys.argv[1:])
