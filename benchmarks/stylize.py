"""Time to quality: cnnart's default against the plain loop, side by side in one run.

    python -m benchmarks.stylize [--photo FILE] [--style FILE|NAME] [--size 512] [--precision fp32]

Both start from nothing (weights are loaded on the clock) and show their pictures on the way;
scoring them takes no part in the time. Scores are ``benchmarks.judge``'s: distances, less is
better.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.judge import METRICS, Judge, score_row
from benchmarks.plain import plain_loop
from benchmarks.plot import Panel, draw_charts
from benchmarks.race import Run, Scores, Snapshot, races
from benchmarks.table import machine, machine_line, markdown_table, write_report
from cnnart.commands.style_args import choose_style
from cnnart.image.picture import fit_long_side, resize
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.stylize.transfer import StyleTransfer
from cnnart.optim.regions import StyleImage
from cnnart.runtime import Runtime
from cnnart.settings import make_config

QUALITY = ("style", "texture", "palette")
OURS, PLAIN = "cnnart", "plain loop"
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "pagoda.jpg"


def main() -> None:
    args = parse_arguments()
    photo = read_image(args.photo).rgb
    choice = choose_style(args.style)
    style = read_image(choice.path).rgb
    settings = {"size": args.size, "seed": args.seed}
    config = make_config(StylizeConfig, settings, [choice.settings])
    size = fit_long_side(*photo.shape[-2:], args.size)
    judge = Judge(photo, style, size)
    runs = {  # both are generators: each starts when it is watched, one after the other
        OURS: watched(OURS, our_pictures(photo, style, config, args.precision), judge, args.output),
        PLAIN: watched(PLAIN, plain_pictures(photo, style, size, args), judge, args.output),
    }
    report(args, size, runs)


def our_pictures(
    photo: Tensor, style: Tensor, config: StylizeConfig, precision: str
) -> Iterator[Tensor | None]:
    """cnnart as the command line runs it; a picture now and then, None in between."""
    runtime = Runtime(precision=precision)
    features = runtime.features(config.pooling)
    run = StyleTransfer(photo, [StyleImage(style)], config, features, limits=runtime.limits())
    for step in run.steps():
        wanted = step.index % 20 == 0 or step.index == step.steps
        yield run.finish(step.image) if wanted else None
    for note in run.warnings:
        print(f"  {OURS}: {note}")


def plain_pictures(
    photo: Tensor, style: Tensor, size: tuple[int, int], args: argparse.Namespace
) -> Iterator[Tensor | None]:
    """The plain loop on the same photo and style, both with the same long side."""
    small = resize(style, *fit_long_side(*style.shape[-2:], max(size)))
    loop = plain_loop(resize(photo, *size), small, args.evaluations, args.seed)
    for index, picture in enumerate(loop, start=1):
        wanted = index in (10, 25) or index % 50 == 0 or index == args.evaluations
        yield picture if wanted else None


def watched(name: str, run: Iterator[Tensor | None], judge: Judge, folder: Path) -> list[Snapshot]:
    """Run to the end; the pictures are scored off the clock, the last one is written."""
    snapshots, seconds, begun = [], 0.0, time.perf_counter()
    last = None
    for index, picture in enumerate(run, start=1):
        if picture is None:
            continue
        seconds += time.perf_counter() - begun
        snapshots.append(Snapshot(index, seconds, judge(picture)))
        last = picture
        scores = rounded(snapshots[-1].scores)
        print(f"  {name}: {index} evaluations, {seconds:.1f} s, {scores}", flush=True)
        begun = time.perf_counter()
    assert last is not None
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / f"stylize-{name.replace(' ', '-')}.png", last.clamp(0, 1))
    return snapshots


def report(args: argparse.Namespace, size: tuple[int, int], runs: dict[str, Run]) -> None:
    finals = [
        [*score_row(name, run[-1].scores), run[-1].evaluation, clock(run[-1].seconds)]
        for name, run in runs.items()
    ]
    found = races(runs[OURS], runs[PLAIN], QUALITY)
    text = f"{args.photo.stem} in the style of {Path(args.style).stem}, {size[1]}x{size[0]}; "
    text += f"{machine_line()}, torch {torch.__version__}, {torch.get_num_threads()} threads.\n\n"
    text += markdown_table(["", *METRICS, "evaluations", "time"], finals) + "\n"
    text += markdown_table(
        ["time to", OURS, PLAIN, "ratio"],
        [[race.goal, clock(race.ours), clock(race.plain), race.ratio] for race in found],
    )
    data = {
        "machine": machine() | {"torch": torch.__version__, "threads": torch.get_num_threads()},
        "photo": args.photo.stem,
        "style": Path(args.style).stem,
        "size": list(size),
        "runs": {name: [s._asdict() for s in run] for name, run in runs.items()},
        "races": [race._asdict() | {"ratio": race.ratio} for race in found],
    }
    write_report(args.output, "stylize", text, data)
    draw_charts([chart(metric, runs) for metric in METRICS], args.output / "stylize.png")


def chart(metric: str, runs: dict[str, Run]) -> Panel:
    series = {name: [(s.seconds, s.scores[metric]) for s in run] for name, run in runs.items()}
    return Panel(f"{metric} distance", "seconds", series, log_x=True)


def clock(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s"


def rounded(scores: Scores) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, default=EXAMPLE)
    parser.add_argument("--style", default="night-swirls", help="a picture or a built-in style")
    parser.add_argument("--size", type=int, default=512, help="long side in pixels")
    parser.add_argument("--evaluations", type=int, default=1000, help="of the plain loop")
    parser.add_argument("--precision", default="auto", help="of ours; the plain loop has float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    parser.add_argument(
        "--quick", action="store_true", help="try it out: 128 pixels, 60 evaluations"
    )
    args = parser.parse_args()
    if args.quick:
        args.size, args.evaluations = 128, 60
    return args


if __name__ == "__main__":
    main()
