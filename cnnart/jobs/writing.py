"""How pictures are read and written, as the file options say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from cnnart.device import PRECISIONS
from cnnart.engine import Engine
from cnnart.image import MAX_PIXELS, Picture, read_image, resize, write_image
from cnnart.jobs.naming import Task

Write = Callable[[Path | BinaryIO, Tensor, int | None], None]


@dataclass(frozen=True)
class Writing:
    """``quality`` None is ``write_image``'s own, ``max_pixels`` None ``read_image``'s."""

    quality: int | None = None
    metadata: bool = True
    max_pixels: int | None = None

    def read(self, source: Path | BinaryIO) -> Picture:
        """Read an input. Raises ImageError."""
        return read_image(source, max_pixels=self.max_pixels or MAX_PIXELS)

    def writer(
        self,
        task: Task,
        photo: Picture,
        record: Callable[[Tensor, int | None], str],
        alpha: Callable[[Tensor], Tensor | None] | None = None,
    ) -> Write:
        """The function that writes a task's results, with what carries over from its photo.

        Args:
            record: from the picture and the step of an interruption (or None) to the record's text.
            alpha: from the picture to its alpha; None: the photo's, at the picture's size.
        """
        find_alpha = alpha or (lambda rgb: alpha_like(photo.alpha, rgb))

        def write(target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
            options: dict[str, Any] = {"format": task.format, "dpi": photo.dpi}
            if self.quality is not None:
                options["quality"] = self.quality
            if self.metadata:
                options["exif"] = photo.exif
                options["record"] = record(rgb, interrupted_at)
            write_image(target, rgb, alpha=find_alpha(rgb), **options)

        return write

    def run_facts(self, engine: Engine, network: Any, rgb: Tensor) -> dict[str, Any]:
        """What a picture was made on, for its record.

        ``network``: with ``sha256``, ``device`` and ``dtype``; None for methods without one.
        """
        return {
            "backbone": engine.backbone,
            "weights_sha256": network.sha256 if network else None,
            "device": str(network.device if network else engine.device),
            "precision": precision_name(network.dtype if network else engine.dtype),
            "torch": torch.__version__,
            "size": list(rgb.shape[-2:]),
            "quality": self.quality,
        }


def alpha_like(alpha: Tensor | None, rgb: Tensor) -> Tensor | None:
    """A photo's alpha at the size of its result."""
    return None if alpha is None else resize(alpha, *rgb.shape[-2:])


def precision_name(dtype: torch.dtype) -> str:
    """``fp32``, ``bf16`` or ``fp16``."""
    return next(name for name, known in PRECISIONS.items() if known == dtype)
