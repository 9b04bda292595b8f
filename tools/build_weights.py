"""Rebuild the files of ``cnnart/data`` from their published sources, byte for byte.

    python tools/build_weights.py            download, verify, write the files, manifest and notices
    python tools/build_weights.py --check    the same, but only compare with what is committed

What comes from where is in ``tools/sources``, one module for each. Beside the development
requirements: ``pip install tflite ai-edge-litert``, and npm.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from sources import alexnet, efficientnet_lite0, imagenet, mediapipe, u2netp, vgg19

DATA = Path(__file__).resolve().parent.parent / "cnnart" / "data"
SOURCES = (vgg19, alexnet, efficientnet_lite0, u2netp, mediapipe, imagenet)


def build(folder: Path) -> dict[str, bytes]:
    """Every file this script is responsible for, by name."""
    files: dict[str, bytes] = {}
    entries: dict[str, dict[str, object]] = {}
    for source in SOURCES:
        built = source.build(folder)
        files |= built.files
        entries |= built.entries
    return {**files, "manifest.json": (json.dumps(entries, indent=2) + "\n").encode("utf-8")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    only_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        files = build(Path(folder))
    different = 0
    for name, content in files.items():
        target = DATA / name
        if not only_check:
            target.write_bytes(content)
        same = target.is_file() and target.read_bytes() == content
        different += not same
        print(f"{name}: {len(content):,} bytes, {'identical' if same else 'DIFFERENT'}")
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
