"""``cnnart stylize``: neural style transfer of photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from cnnart.commands.clips import open_clip
from cnnart.commands.style_args import (
    MaskInput,
    StyleInput,
    blend_label,
    describe_input,
    files_of,
    read_input,
    recorded_mask,
    recorded_style,
    with_masks,
)
from cnnart.errors import CnnartError, UsageError
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.run.record import RecordedFiles
from cnnart.settings import make_config
from cnnart.video.config import ClipConfig

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.image.picture import Picture
    from cnnart.methods.stylize.transfer import TargetCache
    from cnnart.optim.regions import StyleImage
    from cnnart.run.clip_task import ClipTask
    from cnnart.run.command import Run
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime

WHOLE_CLIP = ClipConfig()
TRAINED_AT = 448  # long side of the style pictures whose strokes the built-in networks paint


@dataclass(frozen=True)
class Inputs:
    """A command's files, read: of each style the picture on the device and the mask; what to start
    from; and what is found out about the styles on the way."""

    images: Sequence[Tensor]
    masks: Sequence[Tensor | None]
    init: Tensor | None
    targets: TargetCache


@dataclass(frozen=True)
class Stylize:
    """Photos in the style of one picture, or a blend of several; see ``run.command.Command``.

    ``init``: the picture to start from (a path, or in memory), if ``config.init`` is ``picture``.
    ``clip``: what is taken of clips, and how they are written.
    """

    name: ClassVar[str] = "stylize"
    program: ClassVar[str] = "stylize"

    styles: tuple[StyleInput, ...]
    config: StylizeConfig
    init: Any = None
    clip: ClipConfig = WHOLE_CLIP

    @classmethod
    def make(
        cls,
        styles: Sequence[StyleInput],
        masks: Sequence[MaskInput | None],
        settings: Mapping[str, Any],
        init: Any = None,
        clip: ClipConfig = WHOLE_CLIP,
    ) -> Stylize:
        """Pair styles with masks, the first with the first, and settle the settings.

        What all built-in styles recommend alike lies under what was asked for. Raises UsageError.
        """
        if not styles:
            raise UsageError("No style: give a picture or the name of a built-in style.")
        paired = with_masks(styles, masks)
        config = make_config(StylizeConfig, settings, [s.settings for s in styles])
        if init is not None:
            config = replace(config, init="picture")
        return cls(paired, config, init, clip)

    @property
    def label(self) -> str:
        """``mosaic``, or ``mosaic+waves`` for a blend, fit for a file name."""
        return blend_label([style.label for style in self.styles])

    def inputs(self) -> list[Path]:
        return files_of(*self.styles, *(style.mask for style in self.styles), self.init)

    def read(self, runtime: Runtime) -> Inputs:
        """The files, and all that commands share which differ in their settings alone."""
        from cnnart.methods.stylize.transfer import TargetCache

        return Inputs(
            [read_input(style.picture, runtime).rgb.to(runtime.device) for style in self.styles],
            [style.mask.read() if style.mask else None for style in self.styles],
            None if self.init is None else read_input(self.init, runtime).rgb,
            TargetCache(),
        )

    def open(self, runtime: Runtime, inputs: Inputs | None = None) -> Callable[[Task], Run]:
        """``inputs``: the files, where they have been read already."""
        from cnnart.methods.stylize.transfer import StyleTransfer
        from cnnart.optim.memory import memory_errors_named
        from cnnart.optim.regions import StyleImage
        from cnnart.run.command import Run

        config = self.config
        runtime.check_layers([*config.content_layers, *config.style_layers])
        read = inputs or self.read(runtime)
        recorded = self.record()
        names = [style.label for style in self.styles]

        def over(photo: Picture, name: str, moves: bool = False) -> list[StyleImage]:
            """The styles, where they apply to a photo."""
            return [
                StyleImage(
                    image,
                    style.weight,
                    style.mask.over(photo, mask, name, moves) if style.mask else None,
                )
                for style, image, mask in zip(self.styles, read.images, read.masks, strict=True)
            ]

        def open_one(task: Task) -> Run:
            if task.is_clip:
                return self._open_clip(cast("ClipTask", task), runtime, read, over)
            photo = task.source.read(runtime.max_pixels)
            styles = over(photo, task.source.given)
            with memory_errors_named():
                features = runtime.features(config.pooling)
                limits = runtime.limits()
                work = StyleTransfer(
                    photo.rgb,
                    styles,
                    config,
                    features,
                    init=read.init,
                    limits=limits,
                    cache=read.targets,
                )
            height, width = work.photo.shape[-2:]
            return Run(
                command=self,
                recorded=recorded,
                runtime=runtime,
                task=task,
                work=work,
                about=f"style {' + '.join(names)}",
                details={"styles": names},
                size=(height, width),
                asked=config.size,
                seed=config.seed,
                photo=photo,
                first_look=lambda: first_look(self, runtime, photo.rgb, styles, (height, width)),
            )

        return open_one

    def _open_clip(
        self,
        task: ClipTask,
        runtime: Runtime,
        read: Inputs,
        over: Callable[[Picture, str, bool], list[StyleImage]],
    ) -> Run:
        from cnnart.methods.stylize.frames import FramePainter

        features = runtime.features(self.config.pooling)

        def painter(frame: Picture) -> FramePainter:
            made = FramePainter(
                over(frame, task.source.given, True),
                self.config,
                features,
                init=read.init,
                limits=runtime.limits,
                cache=read.targets,
            )
            made.work(frame.rgb)  # what cannot be painted is said before the first frame
            return made

        names = [style.label for style in self.styles]
        return open_clip(
            *(self, self.record(), runtime, task, self.clip, self.config.size, painter),
            f"style {' + '.join(names)}",
            {"styles": names},
            masks=[style.mask for style in self.styles],
            guided=True,
            features=features,
        )

    def record(self) -> dict[str, Any]:
        return {
            "styles": [style.record() for style in self.styles],
            "init": None if self.init is None else describe_input(self.init),
            "settings": asdict(self.config),
        }

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], files: RecordedFiles, styles: Sequence[StyleInput] = ()
    ) -> Stylize:
        """What a record was made with; ``styles`` given anew replace what it names, under its
        masks."""
        masks = [recorded_mask(facts.get("mask"), files) for facts in record["styles"]]
        chosen = styles or [recorded_style(facts, files) for facts in record["styles"]]
        made_of = with_masks(chosen, masks[: len(chosen)])
        init = record["init"] and files.find(record["init"], "the file back")
        settings = {"faces": "paint", **record["settings"]}  # there was a time without the setting
        config = files.config(StylizeConfig, settings)
        clip = files.config(ClipConfig, record.get("clip", {}))
        return cls(made_of, config, init or None, clip)


def first_look(
    command: Stylize,
    runtime: Runtime,
    photo: Tensor,
    styles: Sequence[StyleImage],
    size: tuple[int, int],
) -> Tensor | None:
    """What the painting will be like, by one pass of the network trained in its styles.

    Args:
        styles: the command's, with their masks.
        size: (height, width) of the painting, and of what is returned, ``1x3xHxW``.

    None where a style has no trained network, or the pass fails: it is not worth an error.
    """
    from cnnart.commands.fast_stylize import network_runner, open_checkpoint, trained_styles
    from cnnart.methods.fast.config import STROKES, FastConfig
    from cnnart.methods.fast.stylize import STROKE_SIDE, FastStyle, FastStylization
    from cnnart.optim.memory import memory_errors_named

    trained, config = trained_styles(), command.config
    names = [style.builtin for style in command.styles if style.builtin in trained]
    if len(names) < len(styles):
        return None
    low, high = STROKES
    stroke = min(max(config.style_scale * STROKE_SIDE / TRAINED_AT, low), high)
    look = FastConfig(size=size, strength=config.strength, stroke=stroke, color=config.color)
    try:
        with memory_errors_named():
            chosen = [
                FastStyle(open_checkpoint(trained[name]), name, style.weight, style.mask)
                for name, style in zip(names, styles, strict=True)
            ]
            runner = network_runner(runtime.device, runtime.dtype, False)
            return FastStylization(photo, chosen, look, runner, runtime.limits()).pictures()
    except CnnartError:
        return None
