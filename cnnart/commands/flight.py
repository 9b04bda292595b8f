"""``cnnart dream PHOTO --frames N``: animations that fly into the dream of a photo."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from cnnart.commands.dream import Dream, Dreamer
from cnnart.errors import UsageError
from cnnart.files import (
    ANIMATIONS,
    as_path,
    identity,
    is_file,
    is_folder,
    is_there,
    resolved,
    write_atomically,
)
from cnnart.image.formats import check_writable_format
from cnnart.image.parts import part_name, parts_folder
from cnnart.methods.dream.config import FlightConfig
from cnnart.run.inputs import Source, expand
from cnnart.run.outputs import (
    AS_USUAL,
    OutputOptions,
    Task,
    checked,
    overwritten,
    refuse_clashes,
    refuse_overwriting,
)
from cnnart.run.record import RecordedFiles, describe_source

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.image.picture import Picture
    from cnnart.methods.dream.dream import DeepDream
    from cnnart.methods.dream.flight import FlightFrames, FrameMaker
    from cnnart.optim.memory import Limits
    from cnnart.run.command import Run
    from cnnart.runtime import Runtime

FRAMES = "frames"  # the format of a folder of numbered pictures


@dataclass(frozen=True)
class FlightTask(Task):
    """A photo, and where the ``frames`` of its flight go."""

    frames: int = 0

    @property
    def first_file(self) -> Path | None:
        """The first file that is written."""
        if self.target is None or self.format != FRAMES:
            return self.target
        return self.target / part_name(0)

    def is_done(self) -> bool:
        """Whether all frames are there; what is unfinished has a folder of frames beside it."""
        if self.target is None or not is_there(self.target):
            return False
        beside = parts_folder(self.target, FRAMES)
        if beside != self.target and is_folder(beside):
            return False
        if self.format != FRAMES:
            return super().is_done()
        return all(is_file(self.target / part_name(k)) for k in range(self.frames))


@dataclass(frozen=True)
class Flight:
    """Flights into the dreams of photos; see ``run.command.Command``."""

    name: ClassVar[str] = "flight"
    program: ClassVar[str] = "dream"

    dream: Dream
    config: FlightConfig

    @property
    def label(self) -> str:
        """What stands for it in file names."""
        return self.dream.label

    def inputs(self) -> list[Path]:
        return self.dream.inputs()

    def plan(
        self,
        photos: Sequence[str],
        output: str | None,
        *,
        format: str | None = None,
        options: OutputOptions = AS_USUAL,
        protected: Sequence[Path] = (),
        recursive: bool = False,
    ) -> list[Task]:
        """Give every photo's flight its file, or its folder of numbered frames.

        Args:
            output: a .webp, .gif or .mp4 file or a folder (one photo only), a pattern with
                ``{stem}`` or ``{style}``, ``-`` for standard output (WebP), or None for
                ``{stem}-{label}.webp``.
            protected: further files that must not be written over.

        Raises UsageError before anything is computed: for another suffix, .mp4 without PyAV, two
        flights with one name, an input that would be overwritten.
        """
        if format is not None:
            raise UsageError(
                "`format` is for pictures: end a flight's output with "
                f"{', '.join(ANIMATIONS)}, or with a slash for a folder of frames."
            )
        sources = expand(photos, recursive=recursive)
        guarded = [*self.inputs(), *protected]
        return plan_flights(sources, output, self.label, guarded, self.config.frames, options)

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        from cnnart.image.parts import Parts
        from cnnart.methods.dream.flight import FlightFrames
        from cnnart.run.parts_run import PartsRun, folder_for
        from cnnart.runtime import precision_name

        dreamer = Dreamer(self.dream, runtime)
        flight = self.config

        def open_one(task: Task) -> Run:
            photo = task.source.read(runtime.max_pixels)
            network = runtime.network()
            # A folder asked for keeps the frames itself, unless a loop changes them.
            own = task.target if task.format == FRAMES and not flight.loop else None
            all_that_decides = {
                "photo": describe_source(task.source)["sha256"],
                "dream": dreamer.recorded,
                "flight": [flight.zoom, flight.rotate, flight.octaves, flight.steps],
                "weights_sha256": network.sha256,
                "precision": precision_name(network.dtype),
            }
            only = {"read_only": runtime.read_only}
            folder = own or folder_for(task, FRAMES, **only)
            parts = Parts(folder, all_that_decides, fresh=task.fresh, **only)
            limits = runtime.limits()
            maker = self._frame_maker(dreamer, photo, task.source.given, limits)
            frames = FlightFrames(maker, flight, parts, limits.seconds)
            header = self.dream.header(frames.first)
            header["about"] += f", {flight.frames} frames"
            header["details"] |= {"frames": flight.frames}
            return PartsRun(
                command=self,
                recorded={**dreamer.recorded, "flight": asdict(flight)},
                runtime=runtime,
                task=task,
                work=frames,
                photo=photo,
                parts=parts,
                encode=lambda *given: write_frames(frames, task, *given),
                **header,
            )

        return open_one

    def _frame_maker(
        self, dreamer: Dreamer, photo: Picture, name: str, limits: Limits
    ) -> FrameMaker[DeepDream]:
        """The first frame is the photo's dream, the others follow with fewer octaves and steps."""
        from cnnart.methods.dream.flight import FrameMaker

        config, mask = self.dream.config, dreamer.mask_over(photo, name)
        limits = replace(limits, seconds=None)  # the flight itself looks at the time

        def following(picture: Tensor, number: int) -> DeepDream:
            few = replace(config, octaves=self.config.octaves, steps=self.config.steps, size=None)
            return dreamer.dream(picture, replace(few, seed=config.seed + number), mask, limits)

        return FrameMaker(lambda: dreamer.dream(photo.rgb, config, mask, limits), following)

    def record(self) -> dict[str, Any]:
        return {**self.dream.record(), "flight": asdict(self.config)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], files: RecordedFiles) -> Flight:
        """What a record was made with."""
        flight = files.config(FlightConfig, record["flight"])
        return cls(Dream.from_record(record, files), flight)


def write_frames(
    frames: FlightFrames[Any],
    task: Task,
    target: Path | BinaryIO,
    rgb: Tensor,
    record: str | None,
) -> None:
    """Write all frames there are, as the task asks for; the unfinished first one if there are none.

    Raises ImageError.
    """
    from cnnart.image.animation import write_animation
    from cnnart.image.write import to_pil

    images = frames.images() if frames.done else iter([to_pil(rgb)])
    if task.format != FRAMES:
        write_animation(
            target,
            images,
            fps=frames.flight.fps,
            format=task.format,
            quality=task.options.quality,
            record=record,
        )
    elif frames.parts.folder != target:
        assert isinstance(target, Path)
        for number, image in enumerate(images):
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            write_atomically(target / frames.parts.path(number).name, buffer.getvalue())


def plan_flights(
    sources: Sequence[Source],
    output: str | None,
    label: str,
    protected: Sequence[Path] = (),
    frames: int = 0,
    options: OutputOptions = AS_USUAL,
) -> list[Task]:
    """Give every photo's flight its place; see ``Flight.plan``."""
    check_writable_format(FRAMES, options.bit_depth)
    if output == "-":
        if len(sources) > 1:
            raise UsageError(f"Only one flight fits on standard output, not {len(sources)}.")
        return [FlightTask(sources[0], None, "webp", options, frames=frames)]
    pattern = f"{{stem}}-{label}.webp" if output is None else output
    if len(sources) > 1 and "{stem}" not in pattern:
        raise UsageError(
            f"{len(sources)} flights cannot go into {pattern!r}: give a pattern, '{{stem}}.mp4', "
            "or '{stem}/' for folders of frames."
        )
    tasks: list[Task] = []
    for source in sources:
        path, format = _target(_fill(pattern, source, label))
        tasks.append(FlightTask(source, path, format, options, frames=frames))
    refuse_clashes(tasks, "fly into them one by one", lambda target: target.with_suffix(""))
    _refuse_overwriting(tasks, protected)
    return checked(tasks)


def _fill(pattern: str, source: Source, label: str) -> str:
    for field in re.findall(r"\{\w*\}", pattern):
        if field not in ("{stem}", "{style}"):
            raise UsageError(
                f"Unknown field {field} in the output pattern; there is {{stem}}, {{style}}."
            )
    return pattern.replace("{stem}", source.stem).replace("{style}", label)


def _target(name: str) -> tuple[Path, str]:
    """The path and format that an output's name means."""
    path = as_path(name)
    suffix = path.suffix.lower()
    if name.endswith(("/", os.sep)) or not suffix or is_folder(path):
        return path, FRAMES
    if suffix not in ANIMATIONS:
        raise UsageError(
            f"A flight is written as {', '.join(ANIMATIONS)}, not {suffix} ({name}); end the "
            "output with a slash for a folder of frames."
        )
    if suffix == ".mp4" and find_spec("av") is None:
        from cnnart.image.animation import import_av

        import_av()  # which says so
    return path, suffix[1:]


def _refuse_overwriting(tasks: Sequence[Task], protected: Sequence[Path]) -> None:
    """As for pictures, and for those that lie where a frame may come to lie."""
    refuse_overwriting([task for task in tasks if task.format != FRAMES], protected)
    inputs = [task.source.path for task in tasks if task.source.path]
    for task in tasks:
        assert task.target
        for path in [*inputs, *protected]:
            if identity(path) == identity(task.target) or (
                task.format == FRAMES
                and resolved(path).parent == resolved(task.target)
                and path.stem.isdecimal()
            ):
                raise UsageError(overwritten(path))
