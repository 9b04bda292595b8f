"""One texture about to be made, and what is written beside it: companions and a tiled preview."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from torch import Tensor

from cnnart.image.write import write_image
from cnnart.methods.texture.seam_error import seam_error
from cnnart.methods.texture.synthesis import TextureSynthesis
from cnnart.run.command import Run
from cnnart.run.report import Finding

if TYPE_CHECKING:
    from cnnart.image.picture import Picture
    from cnnart.run.predict import Prediction


@dataclass(kw_only=True)
class TextureRun(Run):
    """A run that writes more than its result, and tells how visible the result's seam is.

    ``companions``: a name and a map (``1x3xhxw``) of each, to be copied like the exemplar.
    ``tiles``: (rows, columns) of the preview. ``axes``: those along which the result repeats.
    """

    work: TextureSynthesis
    companions: Sequence[tuple[str, Tensor]] = ()
    tiles: tuple[int, int] | None = None
    axes: str = ""

    def _check_detail(self, photo: Picture) -> None:
        """Nothing: the exemplar is not enlarged, there is more of it."""

    def predict(self, between_steps: Callable[[], None] | None = None) -> Prediction | None:
        """That of the method at work."""
        from cnnart.run.predict import nothing, predict

        return predict(self.work.work, between_steps or nothing)

    def alpha(self, rgb: Tensor) -> Tensor | None:
        """The texture's own alpha, made with it."""
        return self.work.alpha

    def write(self, target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
        """Write a picture, and beside the result (not beside a snapshot) what belongs to it."""
        super().write(target, rgb, interrupted_at)
        if self.task.target is None or target == self.task.target:
            self.findings.extend(self._beside(rgb, is_complete=interrupted_at is None))

    def _beside(self, rgb: Tensor, *, is_complete: bool) -> Iterator[Finding]:
        target, alpha = self.task.target, self.work.alpha
        if target is not None and is_complete:
            for name, companion in self.companions:
                path = beside(target, name)
                write_image(path, self.work.follow(companion))
                yield Finding(f"companion: {path}", {"companion": str(path)})
        if target is not None and self.tiles:
            path, repeats = tiled_path(target), (1, 1, *self.tiles)
            tiled_alpha = None if alpha is None else alpha.repeat(repeats)
            write_image(path, rgb.repeat(repeats), alpha=tiled_alpha)
            yield Finding(f"tiled preview: {path}", {"tiled": str(path)})
        if self.axes:
            errors = {axis: seam_error(rgb, axis) for axis in self.axes}
            text = ", ".join(f"{axis} {error:+.1%}" for axis, error in errors.items())
            yield Finding(f"seam error against the interior: {text}", {"seam_error": errors})


def tiled_path(target: Path) -> Path:
    """``out.png`` -> ``out-tiled.png``."""
    return beside(target, "tiled")


def beside(target: Path, name: str) -> Path:
    """``out.png`` -> ``out-NAME.png``."""
    return target.with_stem(f"{target.stem}-{name}")
