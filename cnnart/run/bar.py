"""A plain progress bar: for notebooks and programs, and for terminals that rich cannot draw on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import TqdmWarning

from cnnart.errors import on_one_line
from cnnart.run.report import Plain, Start

with warnings.catch_warnings():  # a notebook without ipywidgets has a bar of text
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

if TYPE_CHECKING:
    from cnnart.optim.steps import Step


class Bar(Plain):
    """One tqdm bar for each picture, on standard error or as a notebook's widget."""

    def __init__(self, *, paths: bool = True, **options: Any) -> None:
        super().__init__(paths=paths)
        self._options = options
        self._bar: Any = None

    def start(self, start: Start) -> None:
        self.stop()
        number = f"[{start.index}/{start.count}] " if start.count > 1 else ""
        self._bar = tqdm(
            desc=on_one_line(f"{number}{start.input}"), unit=start.unit, **self._options
        )

    def step(self, step: Step) -> None:
        if self._bar is None:
            return
        if self._bar.total != step.steps:
            self._bar.total = step.steps
        losses = {name: f"{value:.3g}" for name, value in step.losses.items()}
        self._bar.set_postfix({"size": f"{max(step.scale)} px", **losses}, refresh=False)
        self._bar.update(step.index - self._bar.n)

    def saved(self, path: Path | None, kind: str, seconds: float) -> None:
        if kind != "snapshot":
            self.stop()
        super().saved(path, kind, seconds)

    def failed(self, name: str, error: str, exit_code: int) -> None:
        self.stop()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def count_bar(total: int, unit: str) -> Any:
    """A bar for so many things, to ``update`` and ``close``."""
    return tqdm(total=total, unit=unit)
