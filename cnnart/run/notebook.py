"""In a Jupyter notebook: under the bar the picture so far."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnart.run.bar import Bar

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.optim.steps import Step
    from cnnart.run.report import Start

EVERY = 2.0  # seconds between two previews
SHARE = 0.1  # of the time that previews may take at the most
LONG_SIDE = 512  # pixels of a preview


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this program; a terminal's IPython has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


class NotebookBar(Bar):
    """A bar, and under it a picture that changes; it goes when the work is done.

    ``finish``: from a Step's image to what it would be as a result, ``1x3xHxW``.
    """

    def __init__(self, finish: Callable[[Tensor], Tensor]) -> None:
        super().__init__(paths=False)
        self._finish = finish
        self._display: Any = None
        self._due = 0.0

    def start(self, start: Start) -> None:
        super().start(start)
        self._due = time.monotonic()

    def step(self, step: Step) -> None:
        super().step(step)
        if (now := time.monotonic()) < self._due:
            return
        self._show(step.image)
        taken = time.monotonic() - now
        self._due = now + taken + max(EVERY, taken / SHARE)

    def _show(self, image: Tensor) -> None:
        from IPython.display import display

        from cnnart.image.picture import fit_long_side, resize
        from cnnart.image.write import to_pil

        rgb = self._finish(image)
        height, width = rgb.shape[-2:]
        if max(height, width) > LONG_SIDE:
            rgb = resize(rgb, *fit_long_side(height, width, LONG_SIDE))
        picture = to_pil(rgb)
        if self._display is None:
            self._display = display(picture, display_id=True)
        else:
            self._display.update(picture)

    def stop(self) -> None:
        super().stop()
        if self._display is not None:  # the cell shows the result
            self._display.update({"text/plain": ""}, raw=True)
            self._display = None
