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
from cnnart.video.config import WHOLE_CLIP, ClipConfig

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.commands.fast_stylize import TrainedStyle
    from cnnart.image.picture import Picture
    from cnnart.methods.fast.stylize import FastStyle
    from cnnart.methods.stylize.transfer import TargetCache
    from cnnart.optim.regions import StyleImage
    from cnnart.run.clip_task import ClipTask
    from cnnart.run.command import Run
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime

START_SIDE = 1024  # pixels; what is finer the painting takes from the photo
TRAINED_AT = 448  # long side of the style pictures whose strokes the built-in networks paint


@dataclass(frozen=True)
class Inputs:
    """A command's files, read: of each style the picture on the device and the mask; what to start
    from; what is found out about the styles on the way; and, to start from a fast network's
    pictures, the styles as it has them."""

    images: Sequence[Tensor]
    masks: Sequence[Tensor | None]
    init: Tensor | None
    targets: TargetCache
    fast: Sequence[FastStyle] = ()


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
            self._fast_styles(runtime) if self.config.init == "fast" else (),
        )

    def _fast_styles(self, runtime: Runtime) -> list[FastStyle]:
        """The styles in a fast network. Raises UsageError where there is none."""
        from cnnart.commands.fast_stylize import open_checkpoint, open_style

        return [open_style(s, open_checkpoint(s.path), runtime) for s in self._trained()]

    def _trained(self) -> list[TrainedStyle]:
        """What paints the styles fast: the network trained in them, or by their pictures."""
        from cnnart.commands.fast_stylize import (
            TrainedStyle,
            arbitrary_network,
            picture_style,
            trained_styles,
        )

        known = trained_styles()
        if arbitrary_network() is None:
            raise UsageError(
                "No fast network came with cnnart, whose picture `init` fast starts from: leave it "
                "out."
            )
        return [
            TrainedStyle(style.label, known[style.builtin], style.weight, builtin=True)
            if style.builtin in known
            else replace(picture_style(style.picture, style.label), weight=style.weight)
            for style in self.styles
        ]

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
                init = read.init
                if config.init == "fast":
                    init = fast_start(config, runtime, photo.rgb, read.fast, styles)
                work = StyleTransfer(
                    photo.rgb,
                    styles,
                    config,
                    features,
                    init=init,
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
        facts = {
            "styles": [style.record() for style in self.styles],
            "init": None if self.init is None else describe_input(self.init),
            "settings": asdict(self.config),
        }
        if self.config.init == "fast":
            facts["fast"] = [style.record() for style in self._trained()]
        return facts

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
        made = cls(made_of, config, init or None, clip)
        if config.init == "fast" and not styles:
            for facts, style in zip(record["fast"], made._trained(), strict=True):
                files.compare(facts, style.path)
        return made


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
    from cnnart.commands.fast_stylize import open_checkpoint, trained_styles
    from cnnart.methods.fast.stylize import FastStyle
    from cnnart.optim.memory import memory_errors_named

    trained = trained_styles()
    names = [style.builtin for style in command.styles if style.builtin in trained]
    if len(names) < len(styles):
        return None
    try:
        with memory_errors_named():
            chosen = [FastStyle(open_checkpoint(trained[name]), name) for name in names]
            return _painted_fast(command.config, runtime, photo, chosen, styles, size)
    except CnnartError:
        return None


def fast_start(
    config: StylizeConfig,
    runtime: Runtime,
    photo: Tensor,
    chosen: Sequence[FastStyle],
    styles: Sequence[StyleImage],
) -> Tensor:
    """The picture that ``init`` fast starts from, ``1x3xHxW``, no larger than ``START_SIDE``.

    Args:
        chosen: the styles as a fast network has them.
        styles: the same, with their weights and masks.

    Raises UsageError and OutOfMemory.
    """
    from cnnart.image.picture import fit_long_side, output_size

    size = output_size(photo.shape[-2], photo.shape[-1], config.size)
    size = fit_long_side(*size, min(START_SIDE, max(size)))
    # Colors that the finished painting is brought to: until then it is in the style's.
    color = "style" if config.color == "histogram" else config.color
    return _painted_fast(replace(config, color=color), runtime, photo, chosen, styles, size)


def _painted_fast(
    config: StylizeConfig,
    runtime: Runtime,
    photo: Tensor,
    chosen: Sequence[FastStyle],
    styles: Sequence[StyleImage],
    size: tuple[int, int],
) -> Tensor:
    """A photo as a fast network paints it, as near to the painting as its settings allow."""
    from cnnart.commands.fast_stylize import network_runner
    from cnnart.methods.fast.config import STROKES, FastConfig
    from cnnart.methods.fast.stylize import STROKE_SIDE, FastStylization

    low, high = STROKES
    stroke = min(max(config.style_scale * STROKE_SIDE / TRAINED_AT, low), high)
    look = FastConfig(size=size, strength=config.strength, stroke=stroke, color=config.color)
    placed = [
        replace(style, weight=image.weight, mask=image.mask)
        for style, image in zip(chosen, styles, strict=True)
    ]
    runner = network_runner(runtime.device, runtime.dtype, False)
    return FastStylization(photo, placed, look, runner, runtime.limits()).pictures()
