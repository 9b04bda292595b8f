"""Pictures on the way: the live preview beside the result, and a snapshot every N steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cnnart.errors import ImageError, in_words
from cnnart.files import identity
from cnnart.run.inputs import PREVIEW_SUFFIX

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.optim.steps import Step

PREVIEW_SECONDS = 2.0
PREVIEW_SHARE = 20  # a preview that took a second to write is renewed 20 seconds later at most


def preview_path(target: Path) -> Path:
    """``out/photo.png`` -> ``out/photo.preview.jpg``."""
    return target.with_name(target.stem + PREVIEW_SUFFIX)


def snapshot_path(target: Path, index: int) -> Path:
    """``out/photo.png`` -> ``out/photo-step0040.png``."""
    return target.with_name(f"{target.stem}-step{index:04d}{target.suffix}")


class Previews:
    """Writes what a run looks like so far.

    Args:
        target: the result's path.
        finish: from a step's image to the picture at its final size.
        write: takes a path, a finished picture and the number of its step.
        preview: keep a preview file while the run lasts.
        every: also keep a snapshot of every so many steps; 0: none.
        guarded: ``identity`` of the files that must not be written over.
        warn: told, once, that a preview or snapshot could not be written; the run goes on.
    """

    def __init__(
        self,
        target: Path,
        finish: Callable[[Tensor], Tensor],
        write: Callable[[Path, Tensor, int], None],
        *,
        preview: bool,
        every: int = 0,
        guarded: Collection[object] = (),
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        path = preview_path(target)
        self.preview = path if preview and identity(path) not in guarded else None
        self._guarded = guarded
        self._warn = warn
        self._target = target
        self._finish = finish
        self._write = write
        self._every = every
        self._next_preview = 0.0
        self._first_look: tuple[int, int] | None = None  # its size
        self._coarsest: tuple[int, int] | None = None

    def show_first(self, picture: Tensor) -> None:
        """Begin the preview with a finished picture.

        It stays while the run is at the coarsest of its sizes, where it would show less.
        """
        self._write_preview(picture)
        self._first_look = (picture.shape[-2], picture.shape[-1])

    def step(self, step: Step) -> Path | None:
        """Note a step; returns the snapshot written for it, if one was due."""
        due = self.preview and time.monotonic() >= self._next_preview
        if due and not self._shows_less(step):
            began = time.monotonic()
            self._write_preview(self._finish(step.image))
            took = time.monotonic() - began
            self._next_preview = began + took + max(PREVIEW_SECONDS, PREVIEW_SHARE * took)
        if not self._every or step.index % self._every:
            return None
        path = snapshot_path(self._target, step.index)
        if identity(path) in self._guarded:
            return None
        try:
            self._write(path, self._finish(step.image), step.index)
        except (ImageError, OSError) as error:
            self._every = 0
            self._warn(f"{in_words(error)} No more snapshots are kept; the run goes on.")
            return None
        return path

    def _shows_less(self, step: Step) -> bool:
        """Whether a step shows less than the first look."""
        if self._first_look is None:
            return False
        self._coarsest = self._coarsest or step.scale
        return step.scale == self._coarsest != self._first_look

    def _write_preview(self, picture: Tensor) -> None:
        from cnnart.image.write import write_image

        assert self.preview
        try:
            write_image(self.preview, picture, format="jpg", quality=85)
        except ImageError as error:
            self.close()
            self.preview = None
            self._warn(f"{error} There is no preview; the run goes on.")

    def close(self) -> None:
        """Remove the preview: by now the result is there, or there will be none."""
        if self.preview:
            with suppress(OSError):
                self.preview.unlink(missing_ok=True)
