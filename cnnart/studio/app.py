"""What is answered at which address; ``openapi.py`` describes it for programs."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import json
import mimetypes
import re
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cnnart.builtin_styles import builtin_networks, builtin_styles
from cnnart.commands.fast_stylize import arbitrary_network, trained_styles
from cnnart.commands.style_args import named_mask_input
from cnnart.errors import CnnartError, ImageError, UsageError, in_words
from cnnart.files import FORMATS, json_line
from cnnart.methods.dream.presets import DREAMS
from cnnart.run.inputs import Source
from cnnart.run.outputs import OutputOptions, Task
from cnnart.settings import CLASS_MASK, NAMED_MASKS, is_number, one_of, settings_of
from cnnart.studio.folders import Folders
from cnnart.studio.guard import Access, Guard, Refused, body_chunks, body_of, told
from cnnart.studio.inspections import inspect, read_inspection
from cnnart.studio.openapi import describe
from cnnart.studio.paintings import Painting, Paintings
from cnnart.studio.pictures import PREVIEW_SIDE, KnownPicture, Pictures
from cnnart.studio.plan import plan
from cnnart.studio.request import CONFIGS, Asked, read_request
from cnnart.studio.worker import LATEST, Worker
from cnnart.version import __version__
from cnnart.video.formats import CLIPS
from cnnart.weights.embedded import imagenet_classes

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.commands.style_args import MaskInput
    from cnnart.run.command import Run
    from cnnart.runtime import Runtime

PAGE = Path(__file__).parent / "page"
MOST_JSON = 1 << 16  # bytes of a request
AT_ONCE = 8  # uploads
TICK = 0.1  # seconds between two looks for events
BEAT = 15.0  # seconds after which a silent stream says that it lives
SIDES = (16, 2048)  # pixels of the long side, of a picture that is shown
MIME = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "tiff": "image/tiff"}


@dataclass
class Studio:
    """What the answers share.

    ``page``: serve the page, too. ``given``: pictures named at the start, which are known when
    ``loading`` is done; ``warnings``: about those that cannot be read. ``earlier``: what
    sessions before this one have left. ``stop``: ends the server.
    """

    access: Access
    worker: Worker
    pictures: Pictures
    paintings: Paintings
    most_upload: int
    page: bool = True
    given: list[KnownPicture] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    loading: asyncio.Future[None] | None = None
    closing: bool = False
    stop: Callable[[], None] = lambda: None
    uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    decoding: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))


def make_app(studio: Studio) -> Starlette:
    """The application, behind its guard."""
    answers = Answers(studio)
    routes = [
        Route("/openapi.json", answers.openapi),
        Route("/api/facts", answers.facts),
        Route("/api/styles/{name}", answers.style),
        Route("/api/pictures", answers.upload, methods=["POST"]),
        Route("/api/clips", answers.bring_clip, methods=["POST"]),
        Route("/api/pictures/{id}", answers.picture),
        Route("/api/pictures/{id}", answers.remove, methods=["DELETE"]),
        Route("/api/pictures/{id}/file", answers.file),
        Route("/api/preview", answers.preview, methods=["POST"]),
        Route("/api/mask", answers.mask, methods=["POST"]),
        Route("/api/plan", answers.plan, methods=["POST"]),
        Route("/api/command-line", answers.command_line, methods=["POST"]),
        Route("/api/inspect", answers.inspect, methods=["POST"]),
        Route("/api/inspect/command-line", answers.inspect_line, methods=["POST"]),
        Route("/api/folders", answers.new_folder, methods=["POST"]),
        Route("/api/folders/{id}/pictures", answers.to_folder, methods=["POST"]),
        Route("/api/fast-stylize", answers.fast_stylize, methods=["POST"]),
        Route("/api/jobs", answers.paint, methods=["POST"]),
        Route("/api/jobs", answers.jobs),
        Route("/api/jobs/{id}", answers.job),
        Route("/api/jobs/{id}/stop", answers.stop, methods=["POST"]),
        Route("/api/jobs/{id}/preview", answers.job_preview),
        Route("/api/jobs/{id}/events", answers.events),
        Route("/api/events", answers.events),
    ]
    if studio.page:
        routes += [_static(path) for path in sorted(PAGE.iterdir()) if path.is_file()]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, access=studio.access)],
        exception_handlers={
            Refused: _refused,
            CnnartError: _could_not,
            ClientDisconnect: _gone_away,
            Exception: _bug,
        },
    )


def _static(path: Path) -> Route:
    """A file of the page, read now: no request ever opens one."""
    content, kind = path.read_bytes(), mimetypes.guess_type(path.name)[0]

    def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route("/" if path.name == "index.html" else f"/{path.name}", answer)


# Errors


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return told(error)


def _could_not(request: Request, error: Exception) -> Response:
    status = 422 if isinstance(error, UsageError) else 415 if isinstance(error, ImageError) else 500
    return JSONResponse({"error": str(error)}, status)


def _gone_away(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


def _bug(request: Request, error: Exception) -> Response:
    why = in_words(error) or f"a bug in cnnart ({type(error).__name__}: {error})"
    return JSONResponse({"error": why}, 500)


class Answers:
    """An answer for each address."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._folders = Folders(studio.pictures.folder)

    # What there is

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(describe(self._studio.access.address))

    async def facts(self, request: Request) -> Response:
        """Styles, settings, limits: what a page is drawn from."""
        studio = self._studio
        if studio.loading:
            await studio.loading
        return JSONResponse(
            {
                "cnnart": __version__,
                "styles": list_styles(),
                "any_style": arbitrary_network() is not None,
                "settings": {name: list_settings(config) for name, config in CONFIGS.items()},
                "dreams": [
                    {"name": name, "about": preset.description} for name, preset in DREAMS.items()
                ],
                "masks": NAMED_MASKS,
                "classes": imagenet_classes(),
                "max_upload": studio.most_upload,
                "max_pixels": studio.pictures.max_pixels,
                "folder": str(studio.paintings.folder),
                "given": [known.facts() for known in studio.given],
                "warnings": studio.warnings,
                "earlier": studio.earlier,
                "last_event": studio.paintings.events.last,
            }
        )

    async def style(self, request: Request) -> Response:
        """The picture of a built-in style."""
        known = builtin_styles()
        if (name := request.path_params["name"]) not in known:
            raise Refused(404, "No such style has a picture.")
        side = _side(request)
        return await run_in_threadpool(lambda: _jpeg(_read_style(known[name].path, side)))

    # Pictures

    async def upload(self, request: Request) -> Response:
        known = await self._take_in(request)
        return JSONResponse(known.facts(), 201)

    async def bring_clip(self, request: Request) -> Response:
        known = await self._take_in(request, clip=True)
        return JSONResponse(known.facts(), 201)

    async def _take_in(self, request: Request, *, clip: bool = False) -> KnownPicture:
        """The picture, or the clip, in a request's body."""
        studio = self._studio
        async with studio.uploads:
            name = request.query_params.get("name", "clip" if clip else "photo")
            if clip and Path(name).suffix.lower() not in CLIPS:
                name += ".webm"  # by which it is known for a clip; it is read by its content
            path = studio.pictures.place(name)
            try:
                with path.open("wb") as file:
                    async for chunk in body_chunks(request, studio.most_upload):
                        file.write(chunk)
                if not path.stat().st_size:
                    raise Refused(400, "The body is empty: send the bytes of a picture.")
            except BaseException:
                shutil.rmtree(path.parent, ignore_errors=True)
                raise
        add = functools.partial(studio.pictures.add, path, clip=clip)
        return await anyio.to_thread.run_sync(add, limiter=studio.decoding)

    async def picture(self, request: Request) -> Response:
        """A picture at a size to look at."""
        id, side = request.path_params["id"], _side(request)
        small = self._studio.pictures.small
        known = self._studio.pictures.any(id)
        if side > PREVIEW_SIDE and known.seconds is None:
            read = lambda: _jpeg(_read_style(known.path, side))  # noqa: E731
        else:
            read = lambda: _jpeg(_fitted(small(id), side))  # noqa: E731
        return await anyio.to_thread.run_sync(read, limiter=self._studio.decoding)

    async def remove(self, request: Request) -> Response:
        self._studio.pictures.remove(request.path_params["id"])
        return Response(status_code=204)

    async def file(self, request: Request) -> Response:
        """The file itself, with the record in it."""
        known = self._studio.pictures.any(request.path_params["id"])
        return await run_in_threadpool(_download, known)

    # Previews

    async def preview(self, request: Request) -> Response:
        """One fast pass at a preview's size."""
        given = await _json(request)
        slot, rank = _slot(given), given.pop("rank", 0)
        if rank not in (0, 1):
            raise UsageError("`rank` is 0 or 1.")
        pictures = self._studio.pictures
        asked = read_request(given, pictures)
        if asked.command.name != "fast-stylize" or asked.photo.seconds is not None:
            raise UsageError(
                "Previews are of photos by fast-stylize; paint to see another command's."
            )
        future = self._studio.worker.preview(
            lambda runtime: _jpeg(_preview(asked, pictures, runtime)), slot, rank
        )
        answer: Response = await _awaited(request, future)
        return answer

    async def mask(self, request: Request) -> Response:
        """Where a mask by name applies: a gray picture at the previews' size."""
        given = await _json(request)
        slot, name = _slot(given), given.pop("mask", None)
        if unknown := [key for key in given if key != "photo"]:
            raise UsageError(f"Unknown key {unknown[0]!r} of a mask.")
        mask = named_mask_input(name) if isinstance(name, str) else None
        if mask is None:
            raise UsageError(f"`mask` is {', '.join(NAMED_MASKS)} or {CLASS_MASK}NAME.")
        pictures = self._studio.pictures
        known = pictures[given.get("photo")]
        future = self._studio.worker.preview(
            lambda runtime: _png(_found_mask(mask, known, pictures)), slot
        )
        answer: Response = await _awaited(request, future)
        return answer

    async def plan(self, request: Request) -> Response:
        """What a painting would take: time and memory, measured now."""
        given = await _json(request)
        slot = _slot(given)
        asked, worker = read_request(given, self._studio.pictures), self._studio.worker
        future = worker.preview(
            lambda runtime: plan(asked, runtime, lambda: worker.do_previews(LATEST)), slot, LATEST
        )
        return JSONResponse(await _awaited(request, future))

    async def command_line(self, request: Request) -> Response:
        """The command line that does the same."""
        asked = read_request(await _json(request), self._studio.pictures)
        return JSONResponse({"command_line": asked.command_line()})

    async def inspect(self, request: Request) -> Response:
        """What a classifier looks at in a picture, or what is like it: a labelled sheet."""
        studio, gone = self._studio, threading.Event()
        asked = read_inspection(await _json(request), studio.pictures, self._folders)

        def between() -> None:
            if gone.is_set() or studio.closing:
                raise ClientDisconnect  # the search ends, and a later one goes on from there
            studio.worker.do_previews(1)

        future = studio.worker.preview(
            lambda runtime: _jpeg(inspect(asked, runtime, studio.pictures.max_pixels, between)),
            rank=1,
        )
        try:
            answer: Response = await _awaited(request, future)
        except ClientDisconnect:
            gone.set()
            raise
        return answer

    async def inspect_line(self, request: Request) -> Response:
        given = await _json(request)
        asked = read_inspection(given, self._studio.pictures, self._folders)
        return JSONResponse({"command_line": asked.command_line})

    # Folders to look for neighbors in

    async def new_folder(self, request: Request) -> Response:
        query = request.query_params
        made = self._folders.new(query.get("name", ""), query.get("recursive") == "1")
        return JSONResponse(made.facts(), 201)

    async def to_folder(self, request: Request) -> Response:
        """One more picture of a folder; what is none is passed over when the folder is searched."""
        folder = self._folders[request.path_params["id"]]
        async with self._studio.uploads:
            path = folder.place(request.query_params.get("name", "picture"))
            try:
                with path.open("wb") as file:
                    async for chunk in body_chunks(request, self._studio.most_upload):
                        file.write(chunk)
            except BaseException:
                folder.failed(path)
                raise
            folder.came(path)
        return JSONResponse(folder.facts(), 201)

    async def fast_stylize(self, request: Request) -> Response:
        """A photo in, the picture out, at full size and with its record."""
        format = request.query_params.get("format", "png")
        one_of("format", format, FORMATS)
        known = await self._take_in(request)
        pictures = self._studio.pictures

        def forget(done: object = None) -> None:
            with contextlib.suppress(Refused):  # it may have gone by itself
                pictures.remove(known.id)

        try:
            asked = read_request(_from_query(request, known.id), pictures)
            future = self._studio.worker.preview(
                lambda runtime: _painted(asked, format, runtime), rank=1
            )
        except BaseException:
            forget()
            raise
        future.add_done_callback(forget)  # not sooner, even if nobody waits any more
        return Response(await _awaited(request, future), media_type=MIME[format])

    # Paintings

    async def paint(self, request: Request) -> Response:
        given = await _json(request)
        painting = await run_in_threadpool(self._studio.paintings.new, given)
        self._studio.worker.paint(painting)
        return JSONResponse(painting.facts(), 202)

    async def jobs(self, request: Request) -> Response:
        return JSONResponse([painting.facts() for painting in self._studio.paintings])

    async def job(self, request: Request) -> Response:
        return JSONResponse(self._painting(request).facts())

    async def stop(self, request: Request) -> Response:
        painting = self._painting(request)
        self._studio.worker.stop(painting)
        return JSONResponse(painting.facts())

    async def job_preview(self, request: Request) -> Response:
        """What a painting looks like so far."""
        path = self._painting(request).preview
        try:
            content = path.read_bytes() if path else None
        except OSError:
            content = None
        if content is None:
            raise Refused(404, "There is no preview at the moment.")
        return Response(content, media_type="image/jpeg")

    async def events(self, request: Request) -> Response:
        """Server-sent events, from ``after`` or ``Last-Event-ID`` on, else from the first kept."""
        studio, only = self._studio, request.path_params.get("id")
        if only is not None:
            studio.paintings[only]
        after = request.headers.get("last-event-id") or request.query_params.get("after", "0")
        seen = int(after) if re.fullmatch(r"\d{1,15}", after) else 0

        async def stream() -> AsyncIterator[str]:
            nonlocal seen
            silent = 0.0
            yield "retry: 2000\n\n"
            while not studio.closing:
                for number, facts in studio.paintings.events.since(seen, only):
                    seen, silent = number, 0.0
                    yield f"id: {number}\nevent: {facts['event']}\ndata: {json_line(facts)}\n\n"
                    if only is not None and facts["event"] == "ended":
                        return
                await asyncio.sleep(TICK)
                silent += TICK
                if silent >= BEAT:
                    silent = 0.0
                    yield ": still here\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    def _painting(self, request: Request) -> Painting:
        return self._studio.paintings[request.path_params["id"]]


async def _json(request: Request) -> dict[str, Any]:
    """A request's body as a JSON object. Raises Refused."""
    try:
        given = json.loads(await body_of(request, MOST_JSON))
    except (ValueError, RecursionError):
        raise Refused(400, "The body is no JSON.") from None
    if not isinstance(given, dict):
        raise Refused(400, "The body is no JSON object.")
    return given


def _slot(given: dict[str, Any]) -> str:
    """Which requests take each other's place; taken out. Raises UsageError."""
    slot = given.pop("slot", "")
    if not isinstance(slot, str) or len(slot) > 64:
        raise UsageError("`slot` is a short text.")
    return slot


def _from_query(request: Request, photo: str) -> dict[str, Any]:
    """``?style=great-wave:2&strength=0.7`` as ``read_request`` takes it."""
    styles, settings = [], {}
    for key, text in request.query_params.multi_items():
        if key == "style":
            name, colon, weight = text.rpartition(":")
            weighted = colon and is_number(weight)
            style = {"name": name, "weight": float(weight)} if weighted else {"name": text}
            styles.append(style)
        elif key not in ("name", "format", "token"):
            settings[key] = _number_or_text(text)
    return {"command": "fast-stylize", "photo": photo, "styles": styles, "settings": settings}


def _number_or_text(text: str) -> int | float | str:
    if re.fullmatch(r"\d{1,9}", text):
        return int(text)
    return float(text) if is_number(text) else text


async def _awaited(request: Request, future: Future[Any]) -> Any:
    """What a future gives, unless the client goes away meanwhile: then it is cancelled."""
    result = asyncio.wrap_future(future)
    leaving = asyncio.ensure_future(_leaving(request))
    try:
        await asyncio.wait({result, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            result.add_done_callback(lambda left: left.cancelled() or left.exception())
            raise ClientDisconnect
        return result.result()
    except (asyncio.CancelledError, CancelledError):
        if future.cancelled():
            raise Refused(409, "A newer one took its place.") from None
        raise
    finally:
        future.cancel()
        leaving.cancel()


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


# What the answers are made of


def list_styles() -> list[dict[str, Any]]:
    """Every style that cnnart brings: those with a picture first."""
    trained = trained_styles()
    told = {name: about for net in builtin_networks() for name, about in net.styles.items()}
    styles = [
        {"name": s.name, "title": s.title, "about": s.description, "picture": True}
        for s in builtin_styles().values()
    ]
    named = {style["name"] for style in styles}
    for name in trained:
        if name not in named:
            title = name.replace("-", " ").capitalize()
            styles.append(
                {"name": name, "title": title, "about": told.get(name, ""), "picture": False}
            )
    return [style | {"trained": style["name"] in trained} for style in styles]


def list_settings(config: type) -> dict[str, Any]:
    """The settings of a config, for programs."""
    found = {}
    for each, known in settings_of(config):
        default = None if callable(each.default_factory) else each.default
        found[each.name] = {
            "help": known.help,
            "default": default,
            "low": known.low if known.low is not None else known.above,
            "high": known.high if known.high is not None else known.below,
            "choices": list(known.choices),
            "type": known.kind or str(each.type),
        }
    return found


def _preview(asked: Asked, pictures: Pictures, runtime: Runtime) -> Tensor:
    """One pass over a small version of the photo."""
    from dataclasses import replace

    command: Any = asked.command
    side = command.config.size
    small = pictures.small(asked.photo.id)
    side = min(side, PREVIEW_SIDE) if isinstance(side, int) else PREVIEW_SIDE
    small = _fitted(small, side)
    command = replace(command, config=replace(command.config, size=None))
    run = command.open(runtime)(Task(Source(None, "photo", picture=small), None, "png"))
    painted: Tensor = run.work.pictures()
    return painted


def _painted(asked: Asked, format: str, runtime: Runtime) -> bytes:
    """The picture at full size, as a file's content."""
    from cnnart.optim.memory import memory_errors_named

    source = Source(asked.photo.path, asked.photo.given)
    task = Task(source, None, format, OutputOptions())
    run: Run = asked.command.open(runtime)(task)
    with memory_errors_named():
        for step in run.steps():
            image = step.image
        written = io.BytesIO()
        run.write(written, run.finish(image), None)
    return written.getvalue()


def _side(request: Request) -> int:
    """The long side that is asked for. Raises Refused."""
    text = request.query_params.get("size", str(PREVIEW_SIDE))
    low, high = SIDES
    if not re.fullmatch(r"\d{1,5}", text) or not low <= int(text) <= high:
        raise Refused(422, f"The size of a picture to look at is {low} to {high} pixels.")
    return int(text)


def _fitted(rgb: Tensor, side: int) -> Tensor:
    """A picture with this long side, or its own if that is shorter."""
    from cnnart.image.picture import fit_long_side, resize

    height, width = rgb.shape[-2:]
    return resize(rgb, *fit_long_side(height, width, min(side, max(height, width))))


def _read_style(path: Path, side: int) -> Tensor:
    from cnnart.image.read import read_image

    return _fitted(read_image(path).rgb, side)


def _found_mask(mask: MaskInput, known: KnownPicture, pictures: Pictures) -> Tensor:
    """What is found in a photo, white on black. Raises ImageError where there is none of it."""
    from cnnart.image.picture import Picture

    return mask.over(Picture(pictures.small(known.id)), None, known.name).expand(-1, 3, -1, -1)


def _jpeg(rgb: Tensor) -> Response:
    return _file(rgb, "jpg", quality=88)


def _png(rgb: Tensor) -> Response:
    return _file(rgb, "png")


def _file(rgb: Tensor, format: str, **options: Any) -> Response:
    from cnnart.image.write import write_image

    written = io.BytesIO()
    write_image(written, rgb, format=format, **options)
    return Response(written.getvalue(), media_type=MIME[format])


def _download(known: KnownPicture) -> Response:
    """A file's content, to be saved under its name."""
    try:
        content = known.path.read_bytes()
    except OSError:
        raise Refused(404, "The file is not there any more.") from None
    name = re.sub(r"[^A-Za-z0-9._-]", "_", known.name)
    kind = mimetypes.guess_type(known.name)[0] or "application/octet-stream"
    return Response(
        content,
        media_type=kind
        if kind.startswith(("image/", "video/")) and "svg" not in kind
        else "image/png",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
