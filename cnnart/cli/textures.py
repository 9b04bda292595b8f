"""From the options of ``cnnart texture`` to its tasks: which exemplars, into how many textures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnart.cli.options import FileOptions, RunOptions, TalkOptions
from cnnart.cli.paint import check_options, work_through
from cnnart.errors import UsageError
from cnnart.jobs.files import Source, expand
from cnnart.jobs.naming import WRITABLE, plan
from cnnart.jobs.texturing import (
    TextureRecipe,
    check_texture_recipe,
    existing_file,
    existing_files,
    make_texture_config,
    split_weight,
)

INPUTS = ("tiles", "mix", "guides", "guide_target", "inpaint", "companions", "ladder")


def work_on(
    given: Mapping[str, Any], files: FileOptions, run: RunOptions, talk: TalkOptions
) -> int:
    """Make the textures asked for; returns the exit code. Raises UsageError."""
    check_options(files, talk)
    exemplars = find_exemplars(files.photos, files.recursive)
    sources = [source for source, _ in exemplars]
    if given["mix"]:
        weights = [1.0 if weight is None else weight for _, weight in exemplars]
    else:
        _check_single(exemplars, files)
        weights = [1.0]
    recipe = TextureRecipe(
        make_texture_config({k: v for k, v in given.items() if k not in INPUTS}),
        mixed=_paths(sources[1:]) if given["mix"] else (),
        weights=tuple(weights),
        guides=existing_files(given["guides"], "--guide"),
        guide_target=existing_file(given["guide_target"], "--guide-target"),
        inpaint=existing_file(given["inpaint"], "--inpaint"),
        companions=existing_files(given["companions"], "--companion"),
        tiles=given["tiles"],
        ladder=given["ladder"],
    )
    check_texture_recipe(recipe)
    if files.output == "-" and (recipe.companions or recipe.tiles):
        raise UsageError(
            "--companion and --preview-tiled write beside the result: give -o a file, not -."
        )
    tasks = plan(
        sources[:1] if given["mix"] else sources,
        files.output,
        style=recipe.label,
        format=files.format,
        protected=recipe.files(),
    )
    return work_through(tasks, recipe, files, run, talk)


def find_exemplars(
    names: Sequence[str], recursive: bool = False
) -> list[tuple[Source, float | None]]:
    """The pictures meant by ``EXEMPLAR[:WEIGHT]``, each with its weight (a folder's: each)."""
    result: dict[str, tuple[Source, float | None]] = {}
    for text in names:
        name, weight = split_weight(text)
        for source in expand([name], recursive=recursive):
            result.setdefault(source.given, (source, weight))
    return list(result.values())


def _check_single(exemplars: Sequence[tuple[Source, float | None]], files: FileOptions) -> None:
    """Refuse what only makes sense for a mixture."""
    for source, weight in exemplars:
        if weight is not None:
            raise UsageError(
                f"{source.given}:{weight:g} has a weight, but there is no mixture: add --mix."
            )
    output = files.output
    if len(exemplars) > 1 and output and output != "-" and "{" not in output:
        path = Path(output)
        if path.suffix.lower() in WRITABLE and not path.is_dir() and not output.endswith("/"):
            raise UsageError(
                f"{len(exemplars)} exemplars for the one file {output!r}: add --mix to make one "
                "texture of them all, or give a folder (out/)."
            )


def _paths(sources: Sequence[Source]) -> tuple[Path, ...]:
    """The files to mix in. Raises UsageError for standard input, which can only come first."""
    if any(source.path is None for source in sources):
        raise UsageError("With --mix, standard input (-) must be the first exemplar.")
    return tuple(source.path for source in sources if source.path)
