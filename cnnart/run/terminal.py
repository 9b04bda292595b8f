"""The live display on a terminal. The only file of a run that knows rich."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from cnnart.errors import as_flags, on_one_line
from cnnart.optim.memory import gigabytes
from cnnart.run.report import Eta, Finding, Plain, Start, about, duration

if TYPE_CHECKING:
    from cnnart.optim.steps import Step
    from cnnart.run.predict import Prediction

LONG = 120  # seconds from which on a time budget is offered
OFFERED = 4  # times sooner, and a minute at the least


class Terminal(Plain):
    """For people: a header and a live bar on standard error."""

    predicts = True

    def __init__(self, *, paths: bool = True, console: Console | None = None) -> None:
        super().__init__(paths=paths)
        self._console = console or Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._offered = False

    def start(self, start: Start) -> None:
        height, width = start.size
        number = f"[{start.index}/{start.count}] " if start.count > 1 else ""
        self._show(f"{number}{start.input} -> {start.output}", "bold")
        self._show(
            f"{width} x {height} px, {start.about}, seed {start.seed}, "
            f"on {start.device_reason}, {start.precision}"
        )
        tiles = f", in tiles of {start.tile} px" if start.tile else ""
        self._show(f"memory: {gigabytes(start.memory)} at the most{tiles}")
        if start.preview:
            self._show(f"preview while it works: {start.preview}")
        self._eta = Eta(start.schedule)
        self._unit = start.unit
        self._bar = Progress(
            TextColumn("{task.description:>7}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]:>11}"),
            console=self._console,
            expand=True,
        )
        self._task = self._bar.add_task("loading", total=None, left="")
        self._live = Live(
            self._bar,
            console=self._console,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def first_look(self, path: Path, seconds: float) -> None:
        self._show(f"first look, by the fast network: {path}")

    def predicted(self, prediction: Prediction) -> None:
        """Say how long it takes, and once, if that is long, how to have it sooner."""
        self._eta = Eta(prediction.levels)
        line = f"takes about {about(prediction.seconds)}"
        if prediction.seconds > LONG and not self._offered:
            self._offered = True
            minutes = max(1, round(prediction.seconds / OFFERED / 60))
            budget = f"{minutes}m" if minutes > 1 else "60s"
            line += f"; for the best picture in {about(60 * minutes)}: `time_budget` {budget}"
        self._show(as_flags(line))

    def step(self, step: Step) -> None:
        if not self._live:
            return
        left = self._eta.left(step)
        self._bar.update(
            self._task,
            total=step.steps,
            completed=step.index,
            description=f"{max(step.scale)} px",
            left="" if left is None else f"{duration(left)} left",
        )
        if self._unit == "frame":
            below = f"{self._eta.rate or 0:.3g} frames a second"
        else:
            losses = "   ".join(f"{name} {value:.3g}" for name, value in step.losses.items())
            below = f"losses: {losses}"
        self._live.update(Group(self._bar, Text(below, "dim", no_wrap=True)))

    def warning(self, message: str) -> None:
        self._show(f"warning: {as_flags(message)}", "yellow")

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        if kind == "snapshot":
            self._show(f"snapshot: {path}")
            return
        self.stop()
        self._show(f"{'stopped' if kind == 'interrupted' else 'done'} in {duration(seconds)}")
        super().saved(path, kind, seconds)

    def found(self, finding: Finding) -> None:
        self._show(finding.text)

    def skipped(self, name: str, path: Path) -> None:
        self._show(f"{name}: skipped, {path} exists")

    def failed(self, name: str, error: str, exit_code: int) -> None:
        self.stop()
        self._show(f"{name}: failed", "red")

    def stop(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _show(self, text: str, style: str = "") -> None:
        self._console.print(Text(on_one_line(text), style), soft_wrap=True)
