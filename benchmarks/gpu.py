"""Everything on one graphics card: how fast each command is, and whether it is right.

    python -m benchmarks.gpu [--quick] [--device cuda] [--only WORD ...] [--budget 450]

Each row runs in a process of its own: one that fails, or takes too long, is reported as such, and
the others go on. The report is written anew after each row. When ``--budget`` (seconds) is over, no
row is begun. ``--quick --device cpu`` tries the program itself out, at tiny sizes, without a card.

The pictures' scores need ``benchmarks.judge``'s weights: where no network can be reached, put its
folder into ``$XDG_CACHE_HOME/cnnart/benchmarks``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import ROOT
from benchmarks.table import gibibytes, machine, machine_line, markdown_table, write_report

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.methods.stylize.transfer import StyleTransfer

PHOTO, STYLE = ROOT / "examples" / "pagoda.jpg", "night-swirls"
TEXTURE = str(PHOTO.with_name("tesserae.jpg"))
TRAINED = "great-wave"  # a style of the built-in network
LIMIT = 4 * 10**9  # bytes; --max-memory 4GB
OVERDRAWN = 1.05  # times a time budget that a run may take
SAME_LOOK = 0.02  # how far the judge's scores of the CPU's picture and the card's may be apart
SEPARATOR = "RESULT "


@dataclass(frozen=True)
class Sizes:
    """What is measured: long sides in pixels, and how many of each thing."""

    stylize: tuple[int, ...] = (512, 1024, 2048, 4096)
    largest: int = 8192
    plain: tuple[int, int] = (512, 500)  # pixels, evaluations
    dream: int = 1024
    texture: int = 1024
    passes: tuple[tuple[int, int], ...] = ((512, 512), (1080, 1920), (2160, 3840))
    folder: tuple[int, int, int] = (200, 1024, 768)  # photos, width, height
    training: tuple[int, tuple[int, ...], int] = (256, (16, 64), 20)  # pixels, batches, steps
    budget: int = 60  # seconds, of a training run
    judged: int = 384
    limited: int = 4096
    large_style: tuple[int, int] = (6000, 4000)
    inspect: tuple[str, ...] = ()  # options


QUICK = Sizes(
    stylize=(64,),
    largest=96,
    plain=(64, 5),
    dream=64,
    texture=64,
    passes=((64, 64),),
    folder=(3, 96, 72),
    training=(64, (2, 4), 1),
    budget=40,
    judged=64,
    limited=128,
    large_style=(2400, 900),
    inspect=("--steps", "2"),
)


@dataclass(frozen=True)
class Row:
    """One line of the report. ``aim``: what issue and docs ask for, in the same unit."""

    name: str
    measure: Callable[[Bench], Measured]
    aim: float | None = None
    unit: str = "s"
    limit: float = 120  # seconds

    @property
    def more_is_better(self) -> bool:
        return self.unit in ("photos/s", "x", "of it")


@dataclass
class Measured:
    """``value`` in the row's unit; ``note``: what else is to be said. Several values are kept."""

    value: float | None
    note: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """A row could not be measured, or a check found something wrong."""


@dataclass
class Bench:
    """What rows have in common; ``found``: the rows so far, by name."""

    device: str
    sizes: Sizes
    folder: Path
    until: float
    limit: float = 0.0
    found: dict[str, Measured] = field(default_factory=dict)

    def run(self, *arguments: str) -> tuple[str, float]:
        """``python ARGUMENTS``: its standard output, and the seconds it took. Raises Failed."""
        seconds = min(self.limit, self.until - time.monotonic())
        begun = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, *arguments],
                capture_output=True,
                text=True,
                cwd=ROOT,
                timeout=max(1.0, seconds),
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"not done in {seconds:.0f} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise Failed(lines[-1])
        return done.stdout, time.perf_counter() - begun

    def cnnart(self, *arguments: str) -> tuple[str, float]:
        """``cnnart ARGUMENTS`` on the device."""
        return self.run("-m", "cnnart", *arguments, "--device", self.device)

    def inside(self, what: str, *arguments: object) -> dict[str, Any]:
        """What a function of ``INSIDE`` gives, called in a process of its own."""
        words = [json.dumps(argument) for argument in arguments]
        out, _ = self.run("-m", "benchmarks.gpu", "--inside", what, self.device, *words)
        last = out.strip().splitlines()[-1]
        found: dict[str, Any] = json.loads(last.removeprefix(SEPARATOR))
        return found


# The rows


def stylize(size: int, *, to_file: bool = False) -> Callable[[Bench], Measured]:
    """The steps of the standard preset, by the command's own clock, or shell to file."""

    def measure(bench: Bench) -> Measured:
        target = bench.folder / f"stylize-{size}.png"
        flags = ["--size", str(size), "--json", "-o", str(target), "--no-metadata"]
        out, whole = bench.cnnart("stylize", str(PHOTO), "--style", STYLE, *flags)
        events = [json.loads(line) for line in out.splitlines()]
        steps = [event for event in events if event["event"] == "step"]
        start = next(event for event in events if event["event"] == "start")
        seconds = steps[-1]["seconds"]
        note = f"{len(steps)} evaluations, {start['precision']}: "
        note += f"{seconds:.1f} s, whole command {whole:.1f} s"
        if start["tile"]:
            note += f", tiles of {start['tile']}"
        facts = {"steps": seconds, "whole": whole, "memory": start["memory"]}
        return Measured(whole if to_file else seconds, note, facts)

    return measure


def whole_command(bench: Bench) -> Measured:
    """From the shell to the file, at the first size: what the row before has measured."""
    row = f"stylize {bench.sizes.stylize[0]} px, steps"
    if row not in bench.found or bench.found[row].value is None:
        raise Failed(f"needs the row '{row}'")
    whole, steps = bench.found[row].facts["whole"], bench.found[row].value
    return Measured(whole, f"{whole - steps:.1f} s of it beside the steps")


def plain_loop(bench: Bench) -> Measured:
    """Gatys' loop as others run it, on the same card."""
    size, evaluations = bench.sizes.plain
    found = bench.inside("plain", size, evaluations)
    return Measured(found["seconds"], f"{evaluations} evaluations at {size} px, fp32")


def times_plain(bench: Bench) -> Measured:
    """The plain loop's seconds over those of our steps at the same size."""
    ours, plain = bench.found.get(f"stylize {bench.sizes.plain[0]} px, steps"), None
    plain = bench.found.get("plain loop")
    if not ours or not plain or not ours.value or not plain.value:
        raise Failed("needs the rows of stylize and of the plain loop")
    return Measured(plain.value / ours.value)


def command(*arguments: str) -> Callable[[Bench], Measured]:
    """A whole command, from the shell to the file."""

    def measure(bench: Bench) -> Measured:
        target = bench.folder / f"{arguments[0]}-{arguments[1].replace('/', '-')}.png"
        _, seconds = bench.cnnart(*arguments, "-o", str(target))
        return Measured(seconds)

    return measure


def fast_pass(height: int, width: int) -> Callable[[Bench], Measured]:
    """``benchmarks.fast``: from a picture on the device to one there, by the fastest of ours."""

    def measure(bench: Bench) -> Measured:
        report = bench.folder / "fast" / "fast.json"
        if not report.is_file():  # all sizes at once: the networks are made once
            sizes = [f"{w}x{h}" for h, w in bench.sizes.passes]
            flags = ["--device", bench.device, "--no-peer", "--rounds", "2", "--seconds", "1"]
            out = ["--output", str(report.parent)]
            bench.run("-m", "benchmarks.fast", "--sizes", *sizes, *flags, *out)
        seconds = json.loads(report.read_text(encoding="utf-8"))["seconds"]
        size = f"{width}x{height}"
        medians = {n: 1e3 * statistics.median(f[size]) for n, f in seconds.items() if size in f}
        ours = {name: value for name, value in medians.items() if name.startswith("cnnart")}
        if not ours:
            raise Failed("none of our networks got through")
        note = "; ".join(f"{name} {value:.2f} ms" for name, value in medians.items())
        return Measured(min(ours.values()), note, medians)

    return measure


def folder(format: str) -> Callable[[Bench], Measured]:
    """A folder through the fast network, beyond what one photo takes."""

    def measure(bench: Bench) -> Measured:
        count = bench.sizes.folder[0]
        photos = photo_folder(bench)
        style = ["--style", TRAINED, "--format", format, "--quiet"]
        one = str(next(iter(sorted(photos.iterdir()))))
        out = bench.folder / format
        _, alone = bench.cnnart("fast-stylize", one, *style, "-o", str(out / "one") + "/")
        _, all_ = bench.cnnart("fast-stylize", str(photos), *style, "-o", str(out / "all") + "/")
        written = len(list((out / "all").rglob(f"*.{format}")))
        if written != count:
            raise Failed(f"{written} of {count} photos were written")
        return Measured(all_ - alone, f"{count} photos; one alone takes {alone:.1f} s")

    return measure


def photo_folder(bench: Bench) -> Path:
    """The photos of the rows that need many, drawn once."""
    photos = bench.folder / "photos"
    if not photos.is_dir():
        bench.inside("photos", str(photos), *bench.sizes.folder)
    return photos


def time_budget(bench: Bench) -> Measured:
    """The part of a time budget that ``train-style`` takes, by its own clock."""
    budget, target = bench.sizes.budget, bench.folder / "budget.safetensors"
    words = [TEXTURE, "--photos", str(photo_folder(bench)), "-o", str(target), "--json"]
    words += ["--size", str(bench.sizes.training[0])]
    out, whole = bench.cnnart("train-style", *words, "--time-budget", f"{budget}s")
    events = [json.loads(line) for line in out.splitlines()]
    steps, seconds = sum(e["event"] == "step" for e in events), events[-1]["seconds"]
    note = f"{seconds:.1f} of {budget} s, {steps} steps; whole command {whole:.1f} s"
    if seconds > OVERDRAWN * budget:
        raise Failed(note)
    return Measured(seconds / budget, note)


def training(bench: Bench) -> Measured:
    """``benchmarks.train``: our trainer, at its best batch, beside pytorch/examples' recipe."""
    size, batches, steps = bench.sizes.training
    target = bench.folder / "train"
    flags = {"--size": size, "--steps": steps, "--rounds": 2, "--output": target}
    words = [str(part) for pair in flags.items() for part in pair]
    words += ["--device", bench.device, "--batch", *map(str, batches)]
    bench.run("-m", "benchmarks.train", *words)
    seconds = json.loads((target / "train.json").read_text(encoding="utf-8"))["seconds"]
    # Each is called after its batch: "cnnart train-style, batch 16".
    rates = {n: int(n.rsplit(" ", 1)[1]) / statistics.median(t) for n, t in seconds.items()}
    ours = [rate for name, rate in rates.items() if name.startswith("cnnart")]
    told = "; ".join(f"{name}: {rate:.0f}" for name, rate in rates.items())
    return Measured(max(ours), f"crops of {size} px; {told}", rates)


def same_bytes(bench: Bench) -> Measured:
    """The same seed on the same card, twice: the same file."""
    size = bench.sizes.stylize[0]
    first, second = (bench.folder / f"{word}.png" for word in ("first", "second"))
    for target in (first, second):
        flags = ["--size", str(size), "--no-metadata", "--quiet", "-o", str(target)]
        bench.cnnart("stylize", str(PHOTO), "--style", STYLE, *flags)
    if first.read_bytes() != second.read_bytes():
        raise Failed(f"they differ by up to {bench.inside('differ', str(first), str(second))}")
    return Measured(None, f"two runs at {size} px are the same file")


def captured(bench: Bench) -> Measured:
    """An evaluation recorded and replayed is the evaluation."""
    found = bench.inside("captured", bench.sizes.stylize[0])
    if not found["error"] < 1e-3:
        raise Failed(f"the gradients differ by {found['error']:.1e}")
    note = f"gradients differ by {found['error']:.1e}"
    return Measured(None, note if found["recorded"] else f"{note} (this device records nothing)")


def same_look(bench: Bench) -> Measured:
    """The judge's scores of the picture from the CPU and from the card."""
    found = bench.inside("judged", bench.sizes.judged)
    worst = max(found["apart"].values())
    apart = ", ".join(f"{name} {part:.1%}" for name, part in found["apart"].items())
    note = f"apart at {bench.sizes.judged} px: {apart}"
    if worst > SAME_LOOK:
        raise Failed(note)
    return Measured(None, note)


def within_limit(bench: Bench) -> Measured:
    """The most a run under ``--max-memory`` took, the context and libraries included."""
    found = bench.inside("limited", bench.sizes.limited, LIMIT)
    parts = f"{gibibytes(found['peak'])} of {gibibytes(LIMIT)}, {gibibytes(found['context'])} of it"
    note = f"{bench.sizes.limited} px: {parts} context; predicted {gibibytes(found['predicted'])}"
    if found["peak"] > LIMIT:
        raise Failed(note)
    return Measured(None, note)


def large_style(bench: Bench) -> Measured:
    """A style picture of 24 megapixels, which is shrunk far."""
    width, height = bench.sizes.large_style
    style = bench.folder / "style"
    bench.inside("photos", str(style), 1, width, height)
    target = bench.folder / "large-style.png"
    flags = ["--size", "256", "--preset", "draft", "--steps", "2", "--quiet", "-o", str(target)]
    picture = next(iter(style.iterdir()))
    _, seconds = bench.cnnart("stylize", str(PHOTO), "--style", str(picture), *flags)
    return Measured(None, f"{width} x {height} px, {seconds:.1f} s")


def rows(sizes: Sizes) -> list[Row]:
    """Every row, the most telling first."""
    aims = dict(zip((512, 1024, 2048, 4096), (0.5, 1.0, 2.5, 6.5), strict=True))
    passes = {512: 0.5, 1080: 1.5, 2160: 5.0}
    photo = str(PHOTO)
    first, *others = sizes.stylize
    texture = f"{sizes.texture}x{sizes.texture}"
    count = sizes.folder[0]
    return [
        Row(f"stylize {first} px, steps", stylize(first), aims.get(first)),
        Row(f"stylize {first} px, shell to file", whole_command, 3.5),
        Row("plain loop", plain_loop),
        Row("stylize over the plain loop", times_plain, 30, "x"),
        *(
            Row(f"fast pass {width} x {height}", fast_pass(height, width), passes.get(height), "ms")
            for height, width in sizes.passes
        ),
        Row("captured is eager", captured),
        Row("two runs, the same bytes", same_bytes),
        Row("CPU and card, the same look", same_look),
        Row("style of 24 megapixels", large_style),
        *(Row(f"stylize {size} px, steps", stylize(size), aims.get(size)) for size in others),
        Row("within --max-memory 4GB", within_limit),
        Row("training", training, 1500, "photos/s"),
        Row("training, its time budget", time_budget, 0.9, "of it"),
        Row(
            f"dream {sizes.dream} px, shell to file",
            command("dream", photo, "--size", str(sizes.dream)),
            4,
        ),
        Row(
            f"texture gram {texture}, shell to file",
            command("texture", TEXTURE, "--method", "gram", "--size", texture),
            5,
        ),
        Row(
            "inspect class-model, shell to file",
            command("inspect", "class-model", "--class", "goldfish", *sizes.inspect),
            5,
        ),
        Row(
            "inspect fool, shell to file",
            command("inspect", "fool", photo, "--to", "ostrich"),
            4,
        ),
        Row(f"{count} photos as JPEG, beyond the start", folder("jpg"), 2),
        Row(f"{count} photos as PNG, beyond the start", folder("png"), 4),
        Row(
            f"stylize {sizes.largest} px, shell to file",
            stylize(sizes.largest, to_file=True),
            60,
            limit=180,
        ),
    ]


# What is measured inside a process of its own, with torch


def plain(device: str, size: int, evaluations: int) -> dict[str, Any]:
    from benchmarks.plain import plain_loop as loop

    photo, style = example(size)
    synchronize = waiter(device)
    for _ in loop(photo.to(device), style.to(device), 2):  # libraries and kernels are loaded
        pass
    synchronize()
    begun = time.perf_counter()
    for _ in loop(photo.to(device), style.to(device), evaluations):
        pass
    synchronize()
    return {"seconds": time.perf_counter() - begun}


def photos(device: str, folder: str, count: int, width: int, height: int) -> dict[str, Any]:
    """Pictures that are smooth and noisy, as photos are."""
    import torch

    from cnnart.image.picture import resize
    from cnnart.image.write import write_image

    rng = torch.Generator().manual_seed(0)
    for index in range(count):
        smooth = resize(torch.rand(1, 3, 24, 32, generator=rng), height, width)
        grain = torch.rand(1, 3, height, width, generator=rng) - 0.5
        write_image(Path(folder, f"{index:03}.jpg"), (smooth + 0.1 * grain).clamp(0, 1))
    return {}


def differ(device: str, first: str, second: str) -> dict[str, Any]:
    """The largest difference of two pictures, in levels of 255."""
    from cnnart.image.read import read_image

    apart = (read_image(first).rgb - read_image(second).rgb).abs().max()
    return {"levels": float(apart * 255)}


def recorded_or_not(device: str, size: int) -> dict[str, Any]:
    from cnnart.optim.capture import WARM_UP as CALLS
    from cnnart.optim.capture import replayed

    work = style_transfer(device, size)
    level = work.schedule[0]
    image = work.start(level.height, level.width)
    eager = work.objective(level, 0)(image).gradient.clone()
    objective = replayed(work.objective(level, 0), image.device)
    for _ in range(CALLS + 2):
        gradient = objective(image).gradient
    error = float((gradient - eager).norm() / eager.norm())
    return {"error": error, "recorded": device != "cpu"}


def judged(device: str, size: int) -> dict[str, Any]:
    """How far apart the scores of the two devices' pictures are, as parts of the CPU's."""
    from benchmarks.judge import Judge
    from cnnart.image.picture import fit_long_side
    from cnnart.image.read import read_image

    scores = []
    photo, style = read_image(PHOTO).rgb, read_image(style_path()).rgb
    judge = Judge(photo, style, fit_long_side(*photo.shape[-2:], size))
    for where in ("cpu", device):
        work = style_transfer(where, size)
        *_, last = work.steps()
        scores.append(judge(work.finish(last.image)))
    cpu, card = scores
    return {"apart": {n: abs(card[n] - cpu[n]) / cpu[n] for n in cpu}, "cpu": cpu, "card": card}


def limited(device: str, size: int, limit: int) -> dict[str, Any]:
    """Bytes at the most, of them the context's, and those predicted."""
    import resource

    import torch

    from cnnart.optim.memory import Limits

    work = style_transfer(device, size, Limits(memory=limit), preset="draft", steps=4)
    for _ in work.steps():
        pass
    if torch.device(device).type != "cuda":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"peak": peak, "context": 0, "predicted": work.memory.peak}
    free, total = torch.cuda.mem_get_info()  # of the whole card: let nothing else run on it
    context = total - free - torch.cuda.memory_reserved()
    peak = torch.cuda.max_memory_reserved() + context
    return {"peak": peak, "context": context, "predicted": work.memory.peak}


def card(device: str) -> dict[str, Any]:
    """What is measured."""
    import torch

    from cnnart.commands.info import describe_environment
    from cnnart.runtime import device_reason

    facts = describe_environment()
    told = ("torch", "torch_built_for", "cpu", "cpu_threads", "devices")
    return {"name": device_reason(torch.device(device)), **{name: facts[name] for name in told}}


INSIDE: dict[str, Callable[..., dict[str, Any]]] = {
    "plain": plain,
    "photos": photos,
    "differ": differ,
    "captured": recorded_or_not,
    "judged": judged,
    "limited": limited,
    "card": card,
}


def example(size: int) -> tuple[Tensor, Tensor]:
    """The photo and the style, both with this long side."""
    from cnnart.image.picture import fit_long_side, resize
    from cnnart.image.read import read_image

    found = (read_image(path).rgb for path in (PHOTO, style_path()))
    photo, style = (resize(rgb, *fit_long_side(*rgb.shape[-2:], size)) for rgb in found)
    return photo, style


def style_path() -> Path:
    from cnnart.commands.style_args import choose_style

    return choose_style(STYLE).path


def style_transfer(device: str, size: int, limits: Any = None, **settings: Any) -> StyleTransfer:
    """The run that ``cnnart stylize`` makes of the example."""
    from cnnart.commands.style_args import choose_style
    from cnnart.image.read import read_image
    from cnnart.methods.stylize.config import StylizeConfig
    from cnnart.methods.stylize.transfer import StyleTransfer
    from cnnart.optim.regions import StyleImage
    from cnnart.runtime import Runtime
    from cnnart.settings import make_config

    runtime, style = Runtime(device=device), choose_style(STYLE)
    config = make_config(StylizeConfig, {"size": size, **settings}, [style.settings])
    return StyleTransfer(
        read_image(PHOTO).rgb,
        [StyleImage(read_image(style.path).rgb)],
        config,
        runtime.features(config.pooling),
        limits=limits or runtime.limits(),
    )


def waiter(device: str) -> Callable[[], None]:
    """What waits until the device has computed all."""
    import torch

    kind: Any = {"cuda": torch.cuda, "mps": torch.mps}.get(torch.device(device).type)
    if torch.device(device).type == "xpu":
        kind = torch.xpu
    return kind.synchronize if kind else lambda: None


# The report


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "--inside":
        what, device, *words = sys.argv[2:]
        found = INSIDE[what](device, *(json.loads(word) for word in words))
        print(SEPARATOR + json.dumps(found))
        return
    args = parse_arguments()
    sizes = QUICK if args.quick else Sizes()
    with tempfile.TemporaryDirectory() as scratch:
        until = time.monotonic() + args.budget
        bench = Bench(args.device, sizes, Path(scratch), until, limit=args.budget)
        try:
            about = bench.inside("card")
        except Failed as error:
            raise SystemExit(f"No device {args.device!r} to measure: {error}") from None
        print(f"{about['name']}; {machine_line()}", flush=True)
        chosen = [r for r in rows(sizes) if not args.only or any(w in r.name for w in args.only)]
        if args.quick:  # aims are for the real sizes
            chosen = [replace(row, aim=None) for row in chosen]
        wrong = measure_all(chosen, bench, about, args.output)
    sys.exit(1 if wrong else 0)


def measure_all(chosen: Sequence[Row], bench: Bench, about: dict[str, Any], output: Path) -> int:
    """Measure row after row; returns how many failed. The report is written after each."""
    table: list[list[str]] = []
    data: list[dict[str, Any]] = []
    wrong = 0
    for row in chosen:
        bench.limit, begun = row.limit, time.perf_counter()
        error, measured = "", Measured(None)
        try:
            if time.monotonic() > bench.until:
                raise Failed("not run: no time was left")
            measured = row.measure(bench)
        except Failed as failed:
            error, wrong = str(failed), wrong + 1
        except Exception as failed:  # a row that this program gets wrong is a row, too
            error, wrong = f"{type(failed).__name__}: {failed}", wrong + 1
        bench.found[row.name] = measured
        table.append(line(row, measured, error))
        seconds = time.perf_counter() - begun
        print(f"  {' | '.join(table[-1])} ({seconds:.0f} s)", flush=True)
        data.append(
            {"row": row.name, "unit": row.unit, "aim": row.aim, "error": error, **vars(measured)}
        )
        head = f"{about['name']}; {machine_line()}, torch {about['torch']}\n\n"
        text = head + markdown_table(["", "measured", "aim", "", "note"], table)
        report = {"machine": machine(), "about": about, "rows": data}
        write_report(output, "gpu", text, report, quiet=row is not chosen[-1])
    return wrong


def line(row: Row, measured: Measured, error: str) -> list[str]:
    """A row of the table: what, how much, how much it should be, whether it is, what else."""
    if error:
        return [row.name, "failed", told(row.aim, row.unit), "**no**", error]
    if measured.value is None:
        return [row.name, "", "", "yes", measured.note]
    verdict = ""
    if row.aim is not None:
        more = measured.value >= row.aim
        verdict = "yes" if more == row.more_is_better or measured.value == row.aim else "no"
    return [
        *(row.name, told(measured.value, row.unit), told(row.aim, row.unit), verdict),
        measured.note,
    ]


def told(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="try it out, at tiny sizes")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="rows with one of these in them")
    parser.add_argument("--budget", type=float, default=450, help="seconds")
    parser.add_argument("--output", type=Path, default=Path("out", "benchmarks"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
