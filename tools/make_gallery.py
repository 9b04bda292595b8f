"""A folder of small pictures for trying ``inspect patches``, ``neighbors`` and ``embed``.

    python tools/make_gallery.py [FOLDER]        default: out/gallery

Six crops, 3 x 2 and half as large as the picture, of each photo in examples/ and of each built-in
style picture. The documentation's pictures of those commands are of such a folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ("astronaut", "coffee", "pagoda", "raccoon")
SIDE = 480  # pixels: the longest side of a picture before it is cropped


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    photos = [ROOT / "examples" / f"{name}.jpg" for name in PHOTOS]
    for path in sorted([*photos, *(ROOT / "styles").glob("*.jpg")]):
        image = Image.open(path).convert("RGB")
        image.thumbnail((SIDE, SIDE))
        width, height = image.width // 2, image.height // 2
        for column in range(3):
            for row in range(2):
                x, y = (image.width - width) * column // 2, (image.height - height) * row
                crop = image.crop((x, y, x + width, y + height))
                crop.save(folder / f"{path.stem}-{column}{row}.jpg", quality=92)
    print(folder)


if __name__ == "__main__":
    main()
