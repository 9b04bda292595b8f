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
# JPEG costs about 2 of 255 on these pictures; another numpy or Pillow moves a few strokes' rims.
TOLERANCE = 6.0


def draw(name: str, seed: int, size: int = SIZE) -> Image.Image:
    """The picture of a style, size x size RGB; the same seed and size give the same pixels."""
    return importlib.import_module("paint." + name.replace("-", "_")).generate(seed, size)


def save(entry: dict[str, Any], picture: Image.Image) -> None:
    """Write the picture and its checksum into the manifest entry."""
    buffer = io.BytesIO()
    ImageFile.MAXBLOCK = 2**23  # optimize=True needs room for the whole file
    picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    entry["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    (HERE / entry["file"]).write_bytes(buffer.getvalue())


def difference(entry: dict[str, Any], picture: Image.Image) -> float:
    """Mean absolute difference, of 255, between the picture and the committed file."""
    with Image.open(HERE / entry["file"]) as committed:
        kept = np.asarray(committed.convert("RGB"), dtype=np.float32)
    return float(np.abs(kept - np.asarray(picture, dtype=np.float32)).mean())


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
