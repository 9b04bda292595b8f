"""Train the network that comes with cnnart again, or check the one that is here.

    python styles/train.py --check
    python styles/train.py --photos DIR --paintings DIR [--work DIR] [--resume]

The recipe is in manifest.json, under "networks": which pictures, by which settings of
``cnnart train-style``. Twelve of its styles are the pictures of this folder, four are paintings,
which are looked for in ``--paintings`` by name. ``--photos`` is a folder of a thousand or so
photos. It takes hours on two cores, saves itself as it goes and is continued with ``--resume``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "manifest.json"
EXAMPLE = HERE.parent / "examples" / "pagoda.jpg"  # what thumbnails show, in each style
MOST_BYTES = 10_000_000  # of all networks
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def main() -> int:
    args = parse_arguments()
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    if args.check:
        said = [text for entry in manifest["networks"] for text in check(entry)]
        said += oversized(manifest["networks"])
        print("\n".join(said) or f"{len(manifest['networks'])} trained network(s): ok")
        return 1 if said else 0
    for entry in manifest["networks"]:
        made = args.work / entry["file"]
        train(entry, made, args)
        finish(entry, made, HERE / entry["file"])
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    MANIFEST.write_text(text, encoding="utf-8", newline="\n")
    return 0


def train(entry: dict[str, Any], output: Path, args: argparse.Namespace) -> None:
    """Run ``cnnart train-style`` by the recipe."""
    pictures = [source(style, args.paintings) for style in entry["styles"]]
    command = [sys.executable, "-m", "cnnart", "train-style", *pictures]
    command += ["--photos", str(args.photos), "-o", str(output), *entry["options"]]
    if args.resume:
        command.append("--resume")
    elif output.exists():
        command.append("--overwrite")
    output.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True)


def source(style: dict[str, Any], paintings: Path | None) -> str:
    """``NAME=FILE`` of a style."""
    folder = HERE if style["source"] == "picture" else paintings
    found = [folder / (style["name"] + s) for s in SUFFIXES] if folder else []
    for path in found:
        if path.is_file():
            return f"{style['name']}={path}"
    raise SystemExit(f"No picture {style['name']}{{{','.join(SUFFIXES)}}} in {folder}.")


def finish(entry: dict[str, Any], made: Path, target: Path) -> None:
    """Put a trained network here: licenses, thumbnails painted by itself, its checksum.

    A thumbnail of a painting would be somebody's photo of it.
    """
    import cnnart
    from cnnart.image.read import to_picture
    from cnnart.methods.fast.checkpoint import load_checkpoint, save_checkpoint, thumbnail

    checkpoint = load_checkpoint(made)
    licenses = {style["name"]: style["licence"] for style in entry["styles"]}
    styles = []
    for style in checkpoint.styles:
        painted = to_picture(cnnart.fast_stylize(EXAMPLE, f"{made}:{style.name}")).rgb
        small = thumbnail(painted)
        styles.append(replace(style, thumbnail=small, license=licenses[style.name]))
    checkpoint.styles = tuple(styles)
    save_checkpoint(target, checkpoint)
    entry["sha256"] = hashlib.sha256(target.read_bytes()).hexdigest()
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


def check(entry: dict[str, Any]) -> list[str]:
    """What is wrong with a network that is here."""
    from cnnart.builtin_styles import network_defect
    from cnnart.methods.fast.checkpoint import load_checkpoint
    from cnnart.methods.fast.train.config import RECORDED_AS

    path = HERE / entry["file"]
    if found := network_defect(path, entry["sha256"]):
        return [found]
    checkpoint = load_checkpoint(path)
    said = []
    if [s.name for s in checkpoint.styles] != [s["name"] for s in entry["styles"]]:
        said.append(f"{path}: its styles are not those of the recipe.")
    asked = dict(zip(entry["options"][::2], entry["options"][1::2], strict=True))
    settings = checkpoint.training["settings"] | {"steps": checkpoint.training["steps"]}
    for option, value in asked.items():
        name = option.strip("-").replace("-", "_")
        if str(settings[RECORDED_AS.get(name, name)]) != value:
            said.append(f"{path}: was not trained with {option} {value}.")
    return said


def oversized(entries: list[dict[str, Any]]) -> list[str]:
    total = sum((HERE / entry["file"]).stat().st_size for entry in entries)
    return [f"{total / 1e6:.1f} MB of networks are too many."] if total > MOST_BYTES else []


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="of the network that is here")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--paintings", type=Path)
    parser.add_argument("--work", type=Path, default=HERE.parent / "out" / "styles")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    if not args.check and not (args.photos and args.paintings):
        parser.error("--photos and --paintings say what to train on")
    return args


if __name__ == "__main__":
    sys.exit(main())
