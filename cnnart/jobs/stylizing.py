"""``cnnart stylize`` from files to files: one recipe for any number of photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from cnnart.api import begin, check_settings, style_mask
from cnnart.config import StylizeConfig
from cnnart.device import device_reason
from cnnart.engine import Engine
from cnnart.errors import ImageError
from cnnart.image import Picture
from cnnart.jobs.batch import Run
from cnnart.jobs.memory import guarded
from cnnart.jobs.naming import Task
from cnnart.jobs.recipe import StyleChoice, StylizeRecipe, replay_mask
from cnnart.jobs.record import build_record, describe_file, describe_photo
from cnnart.jobs.replay import RecordedFiles
from cnnart.jobs.report import Start
from cnnart.jobs.writing import Writing, precision_name
from cnnart.stylization import StyleImage, Stylization


class StylizeStudio:
    """Makes the pictures of a recipe.

    The style pictures, masks and the picture to start from are read here, so that what is wrong
    with them is said before the network is loaded or a photo is touched. Raises CnnartError.
    """

    def __init__(self, recipe: StylizeRecipe, engine: Engine, writing: Writing) -> None:
        check_settings(engine, recipe.config)
        self._recipe = recipe
        self._engine = engine
        self._writing = writing
        self._styles = [writing.read(s.path).rgb for s in recipe.styles]
        self._masks = [
            style_mask(s.mask.path, inverse=s.mask.inverse) if s.mask and s.mask.path else None
            for s in recipe.styles
        ]
        self._facts = describe(recipe)
        self._init = writing.read(recipe.init).rgb if recipe.init else None

    def open(self, task: Task) -> Run:
        """Read a task's photo and make ready to paint it. Raises CnnartError."""
        photo = self._writing.read(task.source.open())
        about = describe_photo(task.source)
        styles = [
            StyleImage(image, choice.weight, self._mask(i, photo, task))
            for i, (choice, image) in enumerate(zip(self._recipe.styles, self._styles, strict=True))
        ]
        work = begin(self._engine, photo.rgb, styles, self._recipe.config, init=self._init)

        def record(rgb: Tensor, interrupted_at: int | None) -> str:
            run = self._writing.run_facts(self._engine, work.features, rgb)
            return build_record("stylize", about, self._facts, run, interrupted_at=interrupted_at)

        write = self._writing.writer(task, photo, record)
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
        styles = [style.label for style in self._recipe.styles]
        return Start(
            command="stylize",
            input=task.source.given,
            output=str(task.target or "-"),
            size=(height, width),
            about=f"style {' + '.join(styles)}",
            details={"styles": styles},
            device=str(self._engine.device),
            device_reason=device_reason(self._engine.device),
            precision=precision_name(self._engine.dtype),
            seed=self._recipe.config.seed,
            memory=work.memory.peak,
            tile=work.memory.tile,
            schedule=[((s.height, s.width), s.evaluations) for s in work.schedule],
        )


def describe(recipe: StylizeRecipe) -> dict[str, Any]:
    """Styles, masks and settings, for the record. Reads files, so it belongs before a long run."""
    init = recipe.init
    return {
        "styles": [_describe_style(style) for style in recipe.styles],
        "init": describe_file(str(init), init) if init else None,
        "settings": asdict(recipe.config),
    }


def _describe_style(style: StyleChoice) -> dict[str, Any]:
    given = style.builtin or str(style.path)
    facts: dict[str, Any] = {"builtin": style.builtin, **describe_file(given, style.path)}
    facts["weight"] = style.weight
    if style.mask:
        path = style.mask.path
        mask = describe_file(str(path), path) if path else {}
        facts["mask"] = {**mask, "alpha": path is None, "inverse": style.mask.inverse}
    return facts


def replay(
    record: Mapping[str, Any], files: RecordedFiles, styles: Sequence[StyleChoice] = ()
) -> StylizeRecipe:
    """The recipe of a record; ``styles`` given anew replace what it names, under its masks."""
    recorded = record["styles"]
    masks = [replay_mask(facts.get("mask"), files) for facts in recorded]
    chosen = styles or [_replay_style(facts, files) for facts in recorded]
    masks += [None] * (len(chosen) - len(masks))
    made_of = [replace(s, mask=mask) for s, mask in zip(chosen, masks, strict=False)]
    init = record["init"] and files.find(record["init"], "the file back")
    config = files.config(StylizeConfig, record["settings"])
    return StylizeRecipe(tuple(made_of), config, init or None)


def _replay_style(facts: Mapping[str, Any], files: RecordedFiles) -> StyleChoice:
    if facts["builtin"]:
        from cnnart.style_pictures import find_style

        path = find_style(facts["builtin"]).path
        files.compare(facts, path)
    else:
        path = files.find(facts, "--style FILE")
    return StyleChoice(str(path), path, facts["weight"], builtin=facts["builtin"])
