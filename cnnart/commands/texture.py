"""``cnnart texture``: more of a texture, or one texture of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from cnnart.commands.style_args import (
    MaskInput,
    describe_input,
    files_of,
    read_input,
    recorded_mask,
)
from cnnart.errors import UsageError
from cnnart.files import as_path, identity, is_there
from cnnart.methods.texture.config import TextureConfig
from cnnart.run.inputs import Source, expand
from cnnart.run.record import RecordedFiles
from cnnart.settings import is_number, parse_weight

if TYPE_CHECKING:
    from cnnart.run.command import Run
    from cnnart.run.outputs import Task
    from cnnart.runtime import Runtime


@dataclass(frozen=True)
class Texture:
    """Textures of one exemplar each, or one of a mixture; see ``run.command.Command``.

    Pictures are paths, or in memory. ``mixed``: the further exemplars of a mixture; ``weights``:
    first the exemplar's own, then theirs. ``guides``: a map for each exemplar, ``guide_target`` the
    result's. ``inpaint``: the mask of what to make anew. ``companions``: maps to be transformed
    like the exemplar; ``tiles`` (rows, columns): a preview of the result side by side with itself;
    both are written beside the result. ``ladder``: a sheet of the layers' shares instead of the
    texture. Raises UsageError for what contradicts itself.
    """

    name: ClassVar[str] = "texture"
    program: ClassVar[str] = "texture"

    config: TextureConfig
    mixed: tuple[Any, ...] = ()
    weights: tuple[float, ...] = (1.0,)
    guides: tuple[Any, ...] = ()
    guide_target: Any = None
    inpaint: Any = None
    companions: tuple[Any, ...] = ()
    tiles: tuple[int, int] | None = None
    ladder: bool = False

    def __post_init__(self) -> None:
        method, has_mask = self.config.method, self.inpaint is not None
        if bool(self.guides) != (self.guide_target is not None):
            raise UsageError("`guide` and `guide_target` belong together: give both maps.")
        if self.guides and len(self.guides) != len(self.weights):
            raise UsageError(
                f"{len(self.guides)} guide maps for {len(self.weights)} exemplars: one each, in "
                "the same order."
            )
        if has_mask and self.guides:
            raise UsageError("`inpaint` and `guide` do not go together: use one of them.")
        if has_mask and self.config.size is not None:
            raise UsageError("`inpaint` keeps the picture's size: leave `size` away.")
        if self.companions and method == "gram":
            raise UsageError(
                "`companion` needs a method that copies pixels: `method` quilting or efros-leung."
            )
        if self.companions and self.mixed:
            raise UsageError("`companion` goes with one exemplar: leave `mix` away.")
        if self.ladder and method not in ("auto", "gram"):
            raise UsageError(
                f"`ladder` shows layers of the network: it has no meaning for {method}."
            )
        if self.ladder and (self.companions or has_mask):
            raise UsageError("`ladder` makes a sheet: leave `companion` and `inpaint` away.")

    @property
    def label(self) -> str:
        """``texture``, ``ladder`` or ``inpainted``."""
        if self.ladder:
            return "ladder"
        return "texture" if self.inpaint is None else "inpainted"

    def inputs(self) -> list[Path]:
        single = (self.guide_target, self.inpaint)
        return files_of(*self.mixed, *self.guides, *self.companions, *single)

    def open(self, runtime: Runtime) -> Callable[[Task], Run]:
        from cnnart.commands.texture_run import TextureRun
        from cnnart.image.read import read_mask
        from cnnart.methods.texture.canvas import check_companion
        from cnnart.methods.texture.synthesis import TextureInputs, TextureSynthesis

        config, target = self.config, self.guide_target
        mixed = [read_input(each, runtime) for each in self.mixed]
        guides = [read_input(each, runtime).rgb for each in self.guides]
        target = None if target is None else read_input(target, runtime).rgb
        found = self.inpaint if isinstance(self.inpaint, MaskInput) else None
        given = None if found or self.inpaint is None else read_mask(self.inpaint)
        companions = [read_input(each, runtime).rgb for each in self.companions]
        names = [
            each.stem if isinstance(each, Path) else f"companion {index}"
            for index, each in enumerate(self.companions, start=1)
        ]
        recorded = self.record()

        def open_one(task: Task) -> Run:
            exemplar = task.source.read(runtime.max_pixels)
            for companion, each, name in zip(companions, self.companions, names, strict=True):
                shown = str(each) if isinstance(each, Path) else name
                check_companion(companion, exemplar.rgb, shown)
            mask = found.over(exemplar, None, task.source.given) if found else given
            self._refuse_overwriting(task, names)
            inputs = TextureInputs(
                [exemplar, *mixed],
                self.weights,
                guides,
                target,
                mask,
                companions=bool(companions),
                ladder=self.ladder,
            )
            work = TextureSynthesis(runtime, inputs, config)
            how = f"{work.method} ({work.reason})" if config.method == "auto" else work.method
            kind = "ladder of layers" if self.ladder else "texture"
            axes = config.tileable.replace("both", "xy").replace("none", "")
            repeats = f", tileable {config.tileable}" if axes else ""
            return TextureRun(
                command=self,
                recorded=recorded,
                runtime=runtime,
                task=task,
                work=work,
                about=f"{kind} by {how}{repeats}",
                details={
                    "method": work.method,
                    "method_reason": work.reason,
                    "tileable": config.tileable,
                },
                size=work.size,
                asked=config.size,
                seed=config.seed,
                photo=exemplar,
                facts={"method": work.method},
                companions=list(zip(names, companions, strict=True)),
                tiles=self.tiles,
                axes="" if self.ladder else axes,
            )

        return open_one

    def _refuse_overwriting(self, task: Task, companions: Sequence[str]) -> None:
        """Raise UsageError where what lies beside the result would replace an input."""
        from cnnart.commands.texture_run import beside, tiled_path

        if task.target is None:
            return
        taken = {identity(path) for path in [*self.inputs(), *files_of(task.source.path)]}
        tiled = [tiled_path(task.target)] if self.tiles else []
        for path in [*tiled, *(beside(task.target, name) for name in companions)]:
            if identity(path) in taken:
                raise UsageError(f"{str(path)!r} would be overwritten: choose another -o.")

    def record(self) -> dict[str, Any]:
        def facts(picture: Any) -> dict[str, Any] | None:
            return None if picture is None else describe_input(picture)

        return {
            "mixed": [facts(each) for each in self.mixed],
            "weights": list(self.weights),
            "guides": [facts(each) for each in self.guides],
            "guide_target": facts(self.guide_target),
            "inpaint": self.inpaint.record()
            if isinstance(self.inpaint, MaskInput)
            else facts(self.inpaint),
            "ladder": self.ladder,
            "settings": asdict(self.config),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], files: RecordedFiles) -> Texture:
        """What a record was made with, but for what lay beside the result."""

        def find(facts: Mapping[str, Any] | None) -> Any:
            if facts and "named" in facts:
                return recorded_mask(facts, files)
            return files.find(facts, "the file back") if facts else None

        return cls(
            files.config(TextureConfig, record["settings"]),
            mixed=tuple(find(facts) for facts in record["mixed"]),
            weights=tuple(record["weights"]),
            guides=tuple(find(facts) for facts in record["guides"]),
            guide_target=find(record["guide_target"]),
            inpaint=find(record["inpaint"]),
            ladder=record["ladder"],
        )


def find_exemplars(
    names: Sequence[str], recursive: bool = False, notes: list[str] | None = None
) -> list[tuple[Source, float | None]]:
    """The pictures meant by ``EXEMPLAR[:WEIGHT]``, each with its weight (a folder's: each)."""
    result: dict[str, tuple[Source, float | None]] = {}
    for text in names:
        name, weight = split_weight(text)
        for source in expand([name], recursive=recursive, notes=notes):
            result.setdefault(source.given, (source, weight))
    return list(result.values())


def split_weight(text: str) -> tuple[str, float | None]:
    """``EXEMPLAR[:WEIGHT]`` -> the exemplar and its weight, None where none is given.

    A colon belongs to the name where such a file exists or no number follows (``C:\\bark.jpg``).
    Raises UsageError for a weight that is not above zero.
    """
    name, colon, weight = text.rpartition(":")
    if not colon or not name or is_there(as_path(text)) or not is_number(weight):
        return text, None
    return name, parse_weight(weight, name)
