"""The benchmarks' charts as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnnart.image import chart
from cnnart.image.chart import Panel

__all__ = ["Panel", "draw_charts"]


def draw_charts(
    panels: Sequence[Panel], target: Path, columns: int = 2, *, quiet: bool = False
) -> None:
    """Draw the panels into one PNG, ``columns`` in a row."""
    target.parent.mkdir(parents=True, exist_ok=True)
    chart.draw_charts(panels, columns).save(target, optimize=True)
    if not quiet:
        print(f"written: {target}")
