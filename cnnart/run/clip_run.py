"""A clip, frame by frame: reading, finding what moved, painting, holding steady and encoding
overlap, in a thread each.

What is between them is bounded, so memory does not grow with the clip.
"""

from __future__ import annotations

import io
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from cnnart.errors import CnnartError, ImageError, reason
from cnnart.files import Scratch, is_file, resolved, sha256_of, write_atomically
from cnnart.image.write import stream_name
from cnnart.optim.memory import memory_errors_named
from cnnart.optim.steps import MemoryPlan, PyramidLevel, Step
from cnnart.run.clip_task import NUMBERED, ClipTask, numbered_path
from cnnart.run.command import Run
from cnnart.run.inputs import Source
from cnnart.run.lanes import fitting
from cnnart.run.pieces import Pieces
from cnnart.run.record import describe_source
from cnnart.run.report import Finding, Start
from cnnart.video.formats import numbered
from cnnart.video.read import ClipReader, Frame
from cnnart.video.write import ClipFormat, Piece, frames_of, join

PIECE = 48  # frames: two seconds or so, which is what a run that was killed may have to make again
AHEAD = 4  # frames read, and as many painted, that may wait

T = TypeVar("T")

# Is given what makes a picture, has it begun, and gives what waits for it.
Begin = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]


class Painter(Protocol):
    """Paints frame after frame: ``1x3xHxW`` in [0, 1] on the device -> the same.

    ``ahead_of_results``: whether ``paint_ahead`` paints, and needs no result of a frame before, so
    that it may be called in a thread of its own.
    """

    ahead_of_results: bool

    def look_ahead(self) -> Callable[[np.ndarray], Any]:
        """What is to be known of each frame to come (``HxWx3`` uint8), in its order, and needs no
        network: called in another thread, a few frames ahead.
        """
        ...

    def paint_ahead(self, frame: Tensor, seen: Any, begin: Begin) -> Any:
        """What can be done for a frame before those before it are done, in the frames' order.

        ``seen``: what ``look_ahead`` gave for it. ``begin``: for what may be done beside the same
        of other frames.
        """
        ...

    def __call__(self, frame: Tensor, ahead: Any) -> Tensor:
        """``ahead``: what ``paint_ahead`` gave for it."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """What the frames to come depend on, of those before."""
        ...

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from there; frames will come on ``device``."""
        ...

    def findings(self) -> list[Finding]:
        """What is to be told of the whole clip."""
        ...


class ReadAhead(Generic[T]):
    """Goes through ``items`` in a thread, ``count`` ahead of whoever takes them; to be closed.

    ``threads``: that torch has there; None: as many as it is given.
    """

    def __init__(
        self, items: Iterator[T], name: str, count: int = AHEAD, threads: int | None = None
    ) -> None:
        self._items, self._threads, self._stopped = items, threads, threading.Event()
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(count)
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            if self._threads is not None:
                torch.set_num_threads(self._threads)
            for item in self._items:
                if not self._put((item, None)):
                    return
            self._put((None, None))
        except BaseException as error:
            self._put((None, error))

    def _put(self, entry: tuple[T | None, BaseException | None]) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._ready.put(entry, timeout=0.1)
                return True
        return False

    def next(self) -> T | None:
        """The next one; None after the last. Raises what reading raises."""
        item, error = self._ready.get()
        if error is not None:
            raise error
        return item

    def __iter__(self) -> Iterator[T]:
        while (item := self.next()) is not None:
            yield item

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()


class Encoder:
    """Encodes what it is given in a thread, into pieces; to be closed.

    What it cannot write is raised by the call after.
    """

    def __init__(self, pieces: Pieces, made: ClipFormat) -> None:
        self._pieces, self._made = pieces, made
        self._piece: Piece | None = None
        self.begun: Path | None = None  # a piece that is closed but not full
        self._error: BaseException | None = None
        self._todo: queue.Queue[Any] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._work, name="encode clip", daemon=True)
        self._thread.start()

    def add(self, frame: Frame) -> None:
        self._put(frame)

    def keep(self, state: Mapping[str, Any]) -> None:
        """The frames so far make a piece."""
        self._put(state)

    def close(self) -> None:
        """Wait until all is written. Raises OSError."""
        self.finish()
        self._raise()

    def finish(self) -> None:
        """The same, leaving it to ``close`` to say what went wrong."""
        if self._thread.is_alive():
            self._todo.put(None)
            self._thread.join()

    def _put(self, what: object) -> None:
        self._raise()
        self._todo.put(what)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (what := self._todo.get()) is not None:
            if self._error is None:
                try:
                    self._do(what)
                except BaseException as error:
                    self._error = _named(error, self._pieces.folder)
        try:
            if self._piece is not None:
                piece, self._piece = self._piece, None
                piece.close()
        except BaseException as error:
            self.begun = None
            self._error = self._error or _named(error, self._pieces.folder)

    def _do(self, what: Any) -> None:
        if isinstance(what, Frame):
            if self._piece is None:
                self.begun = self._pieces.begin()
                self._piece = Piece(self.begun, self._made)
            self._piece.add(what.pixels, what.ticks, what.duration)
        else:
            piece, self._piece = self._piece, None
            assert piece is not None
            piece.close()
            self.begun = None
            self._pieces.keep(what)


def _named(error: BaseException, folder: Path) -> BaseException:
    """The error, saying where; libav's own kinds are both OSErrors and not."""
    if isinstance(error, OSError):
        return OSError(error.errno, reason(error), str(resolved(folder.parent)))
    if isinstance(error, ValueError | RuntimeError):
        return ImageError(f"{folder.parent}: the clip cannot be encoded: {reason(error)}.")
    return error


class ClipPainting:
    """A clip being painted: a ``Synthesis`` with a Step for each frame.

    Args:
        made: how it is encoded.
        pieces: where what is finished is kept; work goes on after it.
        features: what the record says of the network.
        memory: what painting a frame takes.
        limit: of memory, in bytes; None: what is free.
    """

    def __init__(
        self,
        reader: ClipReader,
        painter: Painter,
        pieces: Pieces,
        made: ClipFormat,
        device: torch.device,
        *,
        features: Any = None,
        memory: MemoryPlan | None = None,
        limit: int | None = None,
    ) -> None:
        self._limit = limit
        self.reader, self.pieces, self.made, self.painter = reader, pieces, made, painter
        self.features, self.memory, self._device = features, memory or MemoryPlan(), device
        self.schedule: list[PyramidLevel] = []  # frames are of one size
        self.warnings = reader.source.warnings
        self.warnings += pieces.warnings
        self.end = 0  # of the last frame, in ticks
        self._encoder: Encoder | None = None

    def steps(self) -> Iterator[Step]:
        """Paint and encode. Raises CnnartError, and OSError where the disk is full."""
        begun, done, after = time.monotonic(), 0, None
        if (state := self.pieces.state) is not None:
            done, after, self.end = state["frames"], state["ticks"], state["end"]
            self.painter.load_state_dict(state["painter"], self._device)
            self.warnings.append(f"going on from frame {done} (`fresh` begins anew).")
        look = self.painter.look_ahead()
        encoder = self._encoder = Encoder(self.pieces, self.made)
        size, in_piece = self.reader.size, 0
        with ExitStack() as threads:
            threads.callback(encoder.finish)

            def thread(items: Iterator[T], *how: Any) -> ReadAhead[T]:
                made = ReadAhead(items, *how)
                threads.callback(made.close)  # before the one that it may be waiting for
                return made

            # On a card the work itself is ahead of this thread, and needs no other one.
            apart = self.painter.ahead_of_results and self._device.type == "cpu"
            count = torch.get_num_threads() if apart else None
            if count:
                threads.callback(torch.set_num_threads, count)
                torch.set_num_threads(1)
            read = thread(self.reader.frames(after), "read clip")
            seen = thread(
                ((frame, look(frame.pixels)) for frame in read), "look ahead", AHEAD, count
            )
            if count:
                # A network's layers are too small to be shared by threads: two cores paint two
                # frames at once, on one thread each, and come to the same bits as any others.
                beside = 1 if self.memory.tile else min(count, self._that_fit())
                pool = ThreadPoolExecutor(beside, "paint", torch.set_num_threads, (1,))
                threads.callback(pool.shutdown, cancel_futures=True)
                painted = self._painted_ahead(seen, lambda make: pool.submit(make).result)
                entries = iter(thread(painted, "paint", beside, 1))
            else:
                entries = self._painted_ahead(seen, lambda make: make)
            if (entry := next(entries, None)) is None:
                yield Step(done, done, {}, self._last_picture(), size, 0.0)
            while entry is not None:
                frame, source, ahead = entry
                with memory_errors_named():
                    result = self.painter(source, ahead)
                    pixels = _levels(result)
                encoder.add(Frame(pixels, frame.ticks, frame.duration))
                self.end, after = frame.ticks + frame.duration, frame.ticks
                done, in_piece = done + 1, in_piece + 1
                if in_piece == PIECE:
                    encoder.keep(self._state(done, after))
                    in_piece = 0
                entry = next(entries, None)
                if entry is None and in_piece:
                    encoder.keep(self._state(done, after))
                # A clip tells how long it is, but not always the truth.
                steps = max(self.reader.expected, done + 1) if entry else done
                yield Step(done, steps, {}, result, size, time.monotonic() - begun)

    def _painted_ahead(
        self, seen: Iterable[tuple[Frame, Any]], begin: Begin
    ) -> Iterator[tuple[Frame, Tensor, Any]]:
        for frame, found in seen:
            with memory_errors_named():
                source = self._tensor(frame.pixels)
                ahead = self.painter.paint_ahead(source, found, begin)
            yield frame, source, ahead

    def _that_fit(self) -> int:
        """How many frames can be painted at a time, as memory goes."""
        return fitting(self.memory.peak, self._device, self._limit)

    def _tensor(self, pixels: np.ndarray) -> Tensor:
        levels = torch.from_numpy(np.ascontiguousarray(pixels)).to(self._device)
        return levels.permute(2, 0, 1)[None].float().div_(255)

    def _last_picture(self) -> Tensor:
        """Of a clip whose pieces are all there."""
        if not self.pieces.count:
            raise ImageError("The clip has no frames in the part that was asked for.")
        *_, last = frames_of(self.pieces.all()[-1:])
        height, width = self.reader.size
        return self._tensor(last[:height, :width])

    def _state(self, done: int, ticks: int) -> dict[str, Any]:
        painter = _copied(self.painter.state_dict())
        return {"frames": done, "ticks": ticks, "end": self.end, "painter": painter}

    def close(self) -> None:
        """Wait until what was painted is encoded. Raises OSError."""
        if self._encoder is not None:
            self._encoder.close()

    @property
    def all_pieces(self) -> list[Path]:
        """All that is encoded, with a piece that is not full, after ``close``."""
        begun = self._encoder.begun if self._encoder else None
        return [*self.pieces.all(), *([begun] if begun else [])]

    def finish(self, image: Tensor) -> Tensor:
        """A frame as a picture, for the preview."""
        return image.clamp(0, 1).cpu()


def _copy(path: Path, stream: BinaryIO) -> None:
    """Write a file into a stream. Raises ImageError, as for a picture."""
    try:
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)
        stream.flush()
    except OSError as error:
        raise ImageError(
            f"{stream_name(stream)}: cannot write the clip ({reason(error)})."
        ) from error


def _levels(painted: Tensor) -> np.ndarray:
    # By NumPy: its conversion to bytes is twice as quick as torch's.
    levels = painted[0].detach().permute(1, 2, 0).contiguous().cpu().numpy() * np.float32(255)
    np.rint(levels, out=levels)
    return np.clip(levels, 0, 255, out=levels).astype(np.uint8)


def _copied(value: Any) -> Any:
    """A state whose tensors do not change any more."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(each) for each in value]
    return value


def describe_clip(source: Source) -> dict[str, str]:
    """Name, path as given and SHA-256 of a clip; of numbered pictures, of their names and times."""
    assert source.path is not None
    if is_file(source.path):
        return describe_source(source)
    seen = [
        (each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in numbered(source.path)
    ]
    return {"name": source.name, "path": source.given, "sha256": sha256_of(repr(seen).encode())}


@dataclass(kw_only=True)
class ClipRun(Run):
    """A clip about to be painted. ``scratch``: where it grows, for standard output."""

    work: ClipPainting
    task: ClipTask
    scratch: Scratch | None = None
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._source = describe_clip(self.task.source)

    def start(self) -> Start:
        return replace(super().start(), unit="frame")

    def write(self, target: Path | BinaryIO, rgb: Tensor, interrupted_at: int | None) -> None:
        """Join what there is into the result. Raises ImageError and OSError."""
        work, task = self.work, self.task
        work.close()
        if not isinstance(target, Path):
            # A file first: what is told at a clip's beginning is known in the end.
            assert self.scratch is not None
            whole = self.scratch.folder / "result"
            self.write(whole, rgb, interrupted_at)
            _copy(whole, target)
            return
        record = None
        if task.options.metadata != "none":
            record = self.record(rgb, interrupted_at)
        if not work.all_pieces:
            raise CnnartError("There is nothing to write yet: no frame is finished.")
        if task.codec is None:
            self._write_pictures(target, record)
        else:
            source = work.reader.source
            notes = join(
                target,
                work.all_pieces,
                work.made,
                work.end,
                sound_of=source.tracks,
                start=work.reader.start + source.origin,
                record=record,
                metadata=task.options.metadata,
            )
            self.findings += [Finding(line, {"note": line}) for line in notes]
        self.findings += work.painter.findings()
        if interrupted_at is None or self.scratch:
            work.pieces.remove()
        else:
            line = "the same command goes on from there (`fresh` begins anew)."
            self.findings.append(Finding(line, {"resumable": interrupted_at}))

    def _write_pictures(self, target: Path, record: str | None) -> None:
        from PIL import Image

        from cnnart.image.animation import write_animation

        images = (Image.fromarray(pixels) for pixels in frames_of(self.work.all_pieces))
        if self.task.format == NUMBERED:
            for number, image in enumerate(images, start=1):
                buffer = io.BytesIO()
                image.save(buffer, "PNG", compress_level=1)
                write_atomically(numbered_path(target, number), buffer.getvalue())
            return
        write_animation(
            target,
            images,
            fps=float(self.work.reader.rate),
            format=self.task.format,
            quality=self.task.options.quality,
            record=record,
        )
