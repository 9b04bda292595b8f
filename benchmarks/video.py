"""How still painted clips hold: frames painted alone beside frames held steady.

    python -m benchmarks.video [PHOTO...] [--styles starry-night river-dots] [--frames 24]
    python -m benchmarks.video --clip FILE [--clip FILE...]

The clips are filmed from photos by known camera moves, so that the true flow is known, and the
warping error (the root mean square difference of a frame and the one before, moved along the true
flow, in levels of 255) owes nothing to the flow that held the frames. Those are painted as clips
are, with statistics that are carried on; frames alone as photos are. "A painting, filmed" is the
photo, painted once, before the same camera: what bilinear moving alone comes to. "Details" is the
mean size of the Laplacian, of frames held beside frames alone: what blending has left of strokes.

Of a real clip nobody knows the true flow: it is measured along the one that holds its frames, where
that is trusted.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.table import machine, machine_line, markdown_table, write_report
from cnnart.commands.fast_stylize import open_checkpoint, parse_trained
from cnnart.image.picture import output_size
from cnnart.image.read import read_image
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.fast.frames import FramePainter
from cnnart.methods.fast.stylize import FastStyle, FastStylization, NetworkRunner, seed_of
from cnnart.methods.video.steady import Steady
from cnnart.optim.flow import MotionFinder, inside, warp, warping_error
from cnnart.runtime import pick_precision
from cnnart.video.config import ClipConfig
from cnnart.video.read import ClipReader, open_source

PHOTOS = [Path("examples", f"{name}.jpg") for name in ("raccoon", "pagoda", "coffee")]
STYLES = ["starry-night", "river-dots", "ink-wash"]
SHOWN = 0.75  # of the photo's width and height that the camera sees, pixel for pixel
SETTLED = 5  # frames: what is held is measured after these
CROP = 160  # pixels: of the sheet
COPIES = 4  # frames of the sheet
STILL = ("deviation", "mean_spread", "spread", "drift")  # levels that are told of a still clip


class Camera(NamedTuple):
    """Where the camera stands: how much larger it shows the photo, the angle in radians by which it
    is turned, and the pixels by which it is off the middle.
    """

    zoom: float = 1.0
    angle: float = 0.0
    right: float = 0.0
    down: float = 0.0


def hand_held(frame: float) -> Camera:
    right, down = 6 * math.sin(frame / 4), 4 * math.cos(frame / 3)
    return Camera(1.05, 0.01 * math.sin(frame / 5), right, down)


# A frame's number, 0 in the middle of the clip, to where the camera stands.
MOVES: dict[str, Callable[[float], Camera]] = {
    "pan": lambda frame: Camera(right=2.3 * frame, down=0.7 * frame),
    "zoom": lambda frame: Camera(zoom=1.006**frame),
    "rotation": lambda frame: Camera(1.1, math.radians(0.4) * frame),
    "hand-held": hand_held,
}


def film(photo: Tensor, move: str, count: int) -> tuple[list[Tensor], list[Tensor]]:
    """The frames of a clip, and the true flow from each but the first back to the one before."""
    height, width = photo.shape[-2:]
    rows, columns = (int(side * SHOWN) // 16 * 16 for side in (height, width))
    ys, xs = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    pixels = torch.stack((xs - (columns - 1) / 2, ys - (rows - 1) / 2), -1).double()
    frames: list[Tensor] = []
    flows: list[Tensor] = []
    before = torch.empty(0), torch.empty(0)
    for i in range(count):
        camera = MOVES[move](i - (count - 1) / 2)
        turn = torch.tensor(
            [
                [math.cos(camera.angle), -math.sin(camera.angle)],
                [math.sin(camera.angle), math.cos(camera.angle)],
            ],
            dtype=torch.float64,
        )
        view = turn / camera.zoom
        off = torch.tensor([camera.right, camera.down], dtype=torch.float64) / camera.zoom
        seen = pixels @ view.T + off  # in the photo, from its middle
        grid = (seen * 2 / torch.tensor([width, height])).float()[None]
        frame = F.grid_sample(
            photo, grid, mode="bicubic", padding_mode="reflection", align_corners=False
        )
        frames.append((frame.clamp(0, 1) * 255).round() / 255)  # as a file has it
        if i:
            was = (seen - before[1]) @ torch.linalg.inv(before[0]).T
            flows.append((was - pixels).permute(2, 0, 1)[None].float())
        before = view, off
    return frames, flows


def true_error(pictures: list[Tensor], flows: list[Tensor]) -> float:
    """Of a clip, in levels, once it has settled."""
    errors = [
        warping_error(now, warp(before, flow), inside(flow).float())
        for before, now, flow in zip(pictures, pictures[1:], flows, strict=False)
    ][SETTLED - 1 :]
    return 255 * math.sqrt(sum(error**2 for error in errors) / len(errors))


def details(picture: Tensor) -> float:
    """The mean size of the Laplacian."""
    around = F.avg_pool2d(picture, 3, 1) * 9
    middle = picture[..., 1:-1, 1:-1]
    return float((around - 9 * middle).abs().mean())


def held_steady(steady: Steady, frames: Sequence[Tensor]) -> list[Tensor]:
    """The frames of a clip, one after the other."""
    motion_of = steady.motions()
    return [steady(frame, motion_of(pixels_of(frame))) for frame in frames]


def pixels_of(picture: Tensor) -> np.ndarray:
    """``1x3xHxW`` in [0, 1] -> ``HxWx3`` uint8."""
    return np.asarray((picture[0] * 255).round().byte().permute(1, 2, 0).numpy())


def painter(style: str, runner: NetworkRunner, seed: int) -> Callable[[Tensor], Tensor]:
    """Paints frames alone, all with the same noise."""
    styles = known(style)

    def paint(frame: Tensor) -> Tensor:
        return FastStylization(frame, styles, FastConfig(), runner, seeds=[seed]).pictures()

    return paint


def clip_painter(style: str, runner: NetworkRunner) -> Callable[[Tensor], Tensor]:
    """Paints the frames of one clip for holding them, with statistics that are carried on."""
    return FramePainter(known(style), FastConfig(), runner)


def known(style: str) -> list[FastStyle]:
    named = parse_trained(style)
    return [FastStyle(open_checkpoint(named.path), named.name)]


def main() -> None:
    args = parse_arguments()
    runner = NetworkRunner(torch.device("cpu"), pick_precision("auto", torch.device("cpu")))
    if args.clip:
        measure_clips(runner, args)
        return
    rows: list[list[str]] = []
    found = []
    for path in args.photos:
        photo = read_image(path).rgb
        for style in args.styles:
            paint = painter(style, runner, seed_of(photo[0]))
            for move in MOVES:
                facts = {"photo": path.stem, "style": style, "move": move}
                facts |= measured(photo, paint, clip_painter(style, runner), move, args)
                found.append(facts)
                rows.append(told(facts))
                print(" | ".join(rows[-1]), flush=True)
    still = [
        still_clip(read_image(args.photos[0]).rgb, style, runner, args) for style in args.styles
    ]
    report(args, found, rows, still)


def measured(
    photo: Tensor,
    paint: Callable[[Tensor], Tensor],
    paint_held: Callable[[Tensor], Tensor],
    move: str,
    args: argparse.Namespace,
) -> dict[str, float]:
    frames, flows = film(photo, move, args.frames)
    alone = [paint(frame) for frame in frames]
    steady = Steady(paint_held, args.stability)
    held = held_steady(steady, frames)
    filmed, _ = film(paint(photo), move, args.frames)
    errors = {
        name: true_error(pictures, flows)
        for name, pictures in (
            ("source", frames),
            ("alone", alone),
            ("held", held),
            ("filmed", filmed),
        )
    }
    own = steady.warping_error or (math.nan, math.nan)
    return errors | {
        "details": details(held[-1]) / details(alone[-1]),
        "own source": 255 * own[0],
        "own result": 255 * own[1],
    }


def clip_measured(
    path: Path, style: str, runner: NetworkRunner, args: argparse.Namespace
) -> dict[str, object]:
    """The warping errors of a real clip's first frames, along the flow that is found."""
    source = open_source(path)
    size = output_size(*source.size, args.size)
    read = ClipReader(source, ClipConfig(), size).frames()
    pixels = [frame.pixels for frame in itertools.islice(read, args.frames)]
    frames = [torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in pixels]
    motions = list(map(MotionFinder(), pixels))
    paint = painter(style, runner, seed_of(frames[0][0]))
    alone = [paint(frame) for frame in frames]
    steady = Steady(clip_painter(style, runner), args.stability)
    held = [steady(frame, motion) for frame, motion in zip(frames, motions, strict=True)]

    def error(clip: list[Tensor]) -> float:
        found = []
        for before, now, motion in zip(clip, clip[1:], motions[1:], strict=False):
            if not motion.cut:
                flow, trust = motion.at(size, before.device)
                found.append(warping_error(now, warp(before, flow), trust) ** 2)
        found = found[SETTLED - 1 :]
        return 255 * math.sqrt(sum(found) / len(found)) if found else math.nan

    facts: dict[str, object] = {"clip": path.name, "style": style, "size": size}
    errors = {"source": error(frames), "alone": error(alone), "held": error(held)}
    return facts | errors | {"details": details(held[-1]) / details(alone[-1])}


def measure_clips(runner: NetworkRunner, args: argparse.Namespace) -> None:
    """The table of ``--clip``."""
    found = [
        clip_measured(path, style, runner, args) for path in args.clip for style in args.styles
    ]
    header = ["clip", "style", "the clip", "frames alone", "held", "held / clip", "held / alone"]
    rows = []
    for facts in found:
        source, alone, held = (float(str(facts[name])) for name in ("source", "alone", "held"))
        numbers = f"{source:.1f}", f"{alone:.1f}", f"{held:.1f}"
        ratios = f"{held / source:.2f}", f"{held / alone:.2f}", f"{facts['details']:.2f}"
        rows.append([facts["clip"], facts["style"], *numbers, *ratios])
    text = (
        f"Warping errors in levels of 255 along the flow that is found, of {args.frames} frames, "
        f"stability {args.stability:g}; {machine_line()}.\n\n"
    ) + markdown_table([*header, "details"], rows)
    data = {"machine": machine(), "stability": args.stability, "clips": found}
    write_report(args.output, "video-clips", text, data)


def told(facts: dict[str, object]) -> list[str]:
    source, alone, held, filmed = (
        float(str(facts[name])) for name in ("source", "alone", "held", "filmed")
    )
    return [
        *(str(facts[name]) for name in ("photo", "style", "move")),
        f"{source:.1f}",
        f"{filmed:.1f}",
        f"{alone:.1f}",
        f"{held:.1f}",
        f"{held / source:.2f}",
        f"{held / alone:.2f}",
        f"{float(str(facts['details'])):.2f}",
    ]


def still_clip(
    photo: Tensor, style: str, runner: NetworkRunner, args: argparse.Namespace
) -> dict[str, object]:
    """A photo shown for long: how far a pixel, and the mean color, come from the first frame's, in
    levels, the standard deviation of pixels over time (in the mean and the largest); and what
    holding it steady takes beside painting it (of processor time, medians).
    """
    paint = clip_painter(style, runner)
    took: dict[str, list[float]] = {"painted": [], "whole": []}

    def timed(frame: Tensor) -> Tensor:
        begun = time.process_time()
        picture = paint(frame)
        took["painted"].append(time.process_time() - begun)
        return picture

    steady = Steady(timed, args.stability)
    pixels, motion_of = pixels_of(photo), steady.motions()
    first, most, drift = steady(photo, motion_of(pixels)), 0.0, 0.0
    total, squares = torch.zeros_like(first), torch.zeros_like(first)  # of what is off the first
    for _ in range(args.still - 1):
        begun = time.process_time()
        picture = steady(photo, motion_of(pixels))
        took["whole"].append(time.process_time() - begun)
        off = 255 * (picture - first)
        most = max(most, float(off.abs().max()))
        total, squares = total + off, squares + off.square()
        drift = 255 * float((picture - first).mean((2, 3)).abs().max())
    painted, whole = (sorted(times)[len(times) // 2] for times in took.values())
    spread = (squares / args.still - (total / args.still).square()).clamp(min=0).sqrt()
    return {
        "style": style,
        "frames": args.still,
        "deviation": most,
        "mean_spread": float(spread.mean()),
        "spread": float(spread.max()),
        "drift": drift,
        "cost": (whole - painted) / painted,
    }


def report(
    args: argparse.Namespace,
    found: list[dict[str, object]],
    rows: list[list[str]],
    still: list[dict[str, object]],
) -> None:
    header = ["photo", "style", "move", "source", "a painting, filmed", "alone", "held"]
    text = f"Warping errors in levels of 255, stability {args.stability:g}; {machine_line()}.\n\n"
    text += markdown_table([*header, "held / source", "held / alone", "details"], rows)
    text += "\nA photo shown for long:\n\n"
    text += markdown_table(
        [
            *("style", "frames", "largest deviation", "spread over time", "at the most"),
            *("drift of the mean color", "cost / painting"),
        ],
        [
            [
                facts["style"],
                facts["frames"],
                *(f"{facts[name]:.3f}" for name in STILL),
                f"{facts['cost']:.2f}",
            ]
            for facts in still
        ],
    )
    data = {"machine": machine(), "stability": args.stability, "clips": found, "still": still}
    write_report(args.output, "video", text, data)
    sheet(args)


def sheet(args: argparse.Namespace) -> None:
    """Crops of consecutive frames of the first photo in the first style: as filmed, painted alone
    and held.
    """
    photo = read_image(args.photos[0]).rgb
    runner = NetworkRunner(torch.device("cpu"), pick_precision("auto", torch.device("cpu")))
    paint = painter(args.styles[0], runner, seed_of(photo[0]))
    frames, _ = film(photo, list(MOVES)[-1], args.frames)
    steady = Steady(clip_painter(args.styles[0], runner), args.stability)
    held = held_steady(steady, frames)
    last = frames[-COPIES:]
    top, left = (max(0, side - CROP) // 2 for side in frames[0].shape[-2:])
    lines = [last, [paint(frame) for frame in last], held[-COPIES:]]
    whole = torch.cat(
        [
            torch.cat([p[..., top : top + CROP, left : left + CROP] for p in line], 3)
            for line in lines
        ],
        2,
    )
    Image.fromarray(pixels_of(whole)).save(args.output / "video.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS)
    parser.add_argument("--styles", nargs="+", default=STYLES)
    parser.add_argument(
        "--clip", type=Path, action="append", help="a real clip, in place of photos"
    )
    parser.add_argument("--size", type=int, default=640, help="long side of a real clip's frames")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--still", type=int, default=100, help="frames of the still clip")
    parser.add_argument("--stability", type=float, default=0.9)
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
