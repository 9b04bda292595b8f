"""Draw the built-in style pictures: python styles/generate.py [NAME...] [--check]

Each picture comes from a seed in manifest.json and one module of paint/. With --check nothing is
written: the pictures are drawn again and compared with the files beside this script.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "manifest.json"
SIZE = 1024
QUALITY = 87  # at 4:4:4; dots and bristles are large files, and the wheel carries them all
TOLERANCE = 3.0  # another numpy, Pillow or libjpeg moves the rims of a few strokes


def draw(name: str, seed: int, size: int = SIZE) -> Image.Image:
    """The picture of a style, size x size RGB; the same seed and size give the same pixels."""
    return importlib.import_module("paint." + name.replace("-", "_")).generate(seed, size)


def encode(picture: Image.Image) -> bytes:
    """The picture as the JPEG file that is committed."""
    buffer = io.BytesIO()
    ImageFile.MAXBLOCK = 2**23  # optimize=True needs room for the whole file
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def save(entry: dict[str, Any], picture: Image.Image) -> None:
    """Write the picture and its checksum into the manifest entry."""
    data = encode(picture)
    entry["sha256"] = hashlib.sha256(data).hexdigest()
    (HERE / entry["file"]).write_bytes(data)


def difference(entry: dict[str, Any], picture: Image.Image) -> float:
    """Mean absolute difference, of 255, between the encoded picture and the committed file."""
    new, kept = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32)
        for data in (encode(picture), (HERE / entry["file"]).read_bytes())
    )
    return float(np.abs(kept - new).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="styles to draw (default: all)")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args()
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    known = [entry["name"] for entry in manifest["styles"]]
    if unknown := set(args.names) - set(known):
        parser.error(f"no style named {', '.join(sorted(unknown))}; known: {', '.join(known)}")

    failures = 0
    for entry in manifest["styles"]:
        if args.names and entry["name"] not in args.names:
            continue
        picture = draw(entry["name"], entry["seed"])
        if args.check:
            distance = difference(entry, picture)
            failures += distance > TOLERANCE
            verdict = "ok" if distance <= TOLERANCE else "DIFFERS"
            print(f"{entry['name']}: {verdict}, mean difference {distance:.2f} of 255", flush=True)
            continue
        save(entry, picture)
        print(
            f"{entry['name']}: {(HERE / entry['file']).stat().st_size / 1024:.0f} KiB", flush=True
        )
    if not args.check:
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        MANIFEST.write_text(text, encoding="utf-8", newline="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
