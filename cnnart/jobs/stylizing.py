"""From files to files: one recipe for any number of photos, with the network loaded once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from cnnart.api import Stylizer, alpha_like, style_mask
from cnnart.device import PRECISIONS, device_reason
from cnnart.errors import ImageError
from cnnart.image import MAX_PIXELS, Picture, read_image, write_image
from cnnart.jobs.batch import Run
from cnnart.jobs.memory import guarded
from cnnart.jobs.naming import Task
from cnnart.jobs.recipe import Recipe
from cnnart.jobs.record import build_record, describe_photo, describe_recipe
from cnnart.jobs.report import Start
from cnnart.stylization import StyleImage, Stylization


@dataclass(frozen=True)
class Writing:
    """How pictures are read and written; ``quality`` None is ``write_image``'s own."""

    quality: int | None = None
    metadata: bool = True
    max_pixels: int | None = None


class Studio:
    """Makes the pictures of a recipe.

    The style pictures, masks and the picture to start from are read here, so that what is wrong
    with them is said before the network is loaded or a photo is touched. Raises CnnartError.
    """

    def __init__(self, recipe: Recipe, stylizer: Stylizer, writing: Writing) -> None:
        stylizer.check(recipe.config)
        self._recipe = recipe
        self._stylizer = stylizer
        self._writing = writing
        self._limit = writing.max_pixels or MAX_PIXELS
        self._styles = [read_image(s.path, max_pixels=self._limit).rgb for s in recipe.styles]
        self._masks = [
            style_mask(s.mask.path, inverse=s.mask.inverse) if s.mask and s.mask.path else None
            for s in recipe.styles
        ]
        self._facts = describe_recipe(recipe)
        self._init = read_image(recipe.init, max_pixels=self._limit).rgb if recipe.init else None

    def open(self, task: Task) -> Run:
        """Read a task's photo and make ready to paint it. Raises CnnartError."""
        photo = read_image(task.source.open(), max_pixels=self._limit)
        about = describe_photo(task.source)
        styles = [
            StyleImage(image, choice.weight, self._mask(i, photo, task))
            for i, (choice, image) in enumerate(zip(self._recipe.styles, self._styles, strict=True))
        ]
        work = self._stylizer.begin(photo.rgb, styles, self._recipe.config, init=self._init)

        def write(target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
            options: dict[str, Any] = {"format": task.format, "dpi": photo.dpi}
            if self._writing.quality is not None:
                options["quality"] = self._writing.quality
            if self._writing.metadata:
                options["exif"] = photo.exif
                options["record"] = self._record(about, work, rgb, interrupted_at)
            write_image(target, rgb, alpha=alpha_like(photo.alpha, rgb), **options)

        return Run(self._start(task, work), guarded(work.steps()), work.finish, write, work.notes)

    def _mask(self, index: int, photo: Picture, task: Task) -> Tensor | None:
        choice = self._recipe.styles[index].mask
        if choice is None or choice.path is not None:
            return self._masks[index]
        if photo.alpha is None:
            raise ImageError(f"{task.source.given}: no transparency in it for --mask alpha.")
        return 1 - photo.alpha if choice.inverse else photo.alpha

    def _start(self, task: Task, work: Stylization) -> Start:
        height, width = work.photo.shape[-2:]
        return Start(
            input=task.source.given,
            output=str(task.target or "-"),
            size=(height, width),
            styles=[style.label for style in self._recipe.styles],
            device=str(self._stylizer.device),
            device_reason=device_reason(self._stylizer.device),
            precision=precision_name(self._stylizer.dtype),
            seed=self._recipe.config.seed,
            memory=work.memory.peak,
            tile=work.memory.tile,
            schedule=[((s.height, s.width), s.evaluations) for s in work.schedule],
        )

    def _record(
        self, photo: dict[str, str], work: Stylization, rgb: Tensor, interrupted_at: int | None
    ) -> str:
        run = {
            "backbone": self._stylizer.backbone,
            "weights_sha256": work.features.weights.sha256,
            "device": str(work.features.device),
            "precision": precision_name(work.features.dtype),
            "torch": torch.__version__,
            "size": list(rgb.shape[-2:]),
            "quality": self._writing.quality,
        }
        return build_record(photo, self._facts, run, interrupted_at=interrupted_at)


def precision_name(dtype: torch.dtype) -> str:
    """``fp32``, ``bf16`` or ``fp16``."""
    return next(name for name, known in PRECISIONS.items() if known == dtype)
