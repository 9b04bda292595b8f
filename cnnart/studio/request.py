"""What is asked for as JSON -> the command that the shell would make, and its command line.

::

    {"command": "stylize", "photo": ID, "settings": {"strength": 0.7, "size": 1024},
     "styles": [{"name": "night-swirls", "weight": 2, "mask": "subject"},
                {"picture": ID, "mask": ID}]}

Pictures are named by id, styles by id or as one that cnnart brings, masks by id or by the name of
what is found in the photo: a path is never taken.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.builtin_styles import builtin_styles
from cnnart.commands.clips import check_clip_masks, plan_clips
from cnnart.commands.dream import Dream
from cnnart.commands.fast_stylize import FastStylize, TrainedStyle, picture_style, trained_styles
from cnnart.commands.style_args import MaskInput, StyleInput, named_mask_input
from cnnart.commands.stylize import Stylize
from cnnart.commands.texture import Texture
from cnnart.errors import UsageError, did_you_mean
from cnnart.methods.dream.config import DreamConfig
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.texture.config import TextureConfig
from cnnart.run.inputs import Source
from cnnart.run.outputs import Task
from cnnart.settings import make_config, one_of, parse_weight, setting_of
from cnnart.studio.clips import LONGEST_CLIP
from cnnart.studio.pictures import KnownPicture, Pictures
from cnnart.video.config import ClipConfig

if TYPE_CHECKING:
    from cnnart.run.command import Command

CONFIGS: dict[str, Any] = {
    "stylize": StylizeConfig,
    "fast-stylize": FastConfig,
    "dream": DreamConfig,
    "texture": TextureConfig,
}
TAKES = {  # beside photo and settings
    "stylize": ("styles",),
    "fast-stylize": ("styles", "clip", "seconds"),
    "dream": ("guide", "mask"),
    "texture": (),
}
MOST_STYLES = 8

Keep = Callable[[KnownPicture], KnownPicture]


@dataclass(frozen=True)
class Asked:
    """A command, and the photo that it is to work on. ``words``: its command line so far."""

    command: Command
    photo: KnownPicture
    words: tuple[str, ...]

    def task(self, target: Path) -> Task:
        """The photo or the clip, and where its result goes. Raises UsageError."""
        source = Source(self.photo.path, self.photo.given)
        if self.photo.seconds is None or not isinstance(self.command, FastStylize):
            return Task(source, target, "png")
        command = self.command
        (task,) = plan_clips([source], str(target), command.clip, style=command.label)
        return task

    def command_line(self, output: Path | None = None) -> str:
        """What the shell takes."""
        more = [] if output is None else ["-o", str(output)]
        return shlex.join(["cnnart", *self.words, *more])


def read_request(given: Any, pictures: Pictures, keep: Keep | None = None) -> Asked:
    """The command that ``given`` asks for.

    Args:
        given: out of JSON.
        keep: from a picture that came in to the same as a file that stays.

    Raises UsageError for what makes no sense, Refused for a picture that is not there.
    """
    keep = keep or (lambda known: known)
    if not isinstance(given, Mapping):
        raise UsageError("What is asked for is a JSON object.")
    name = _text(given.get("command"))
    one_of("command", name, CONFIGS)
    allowed = ("command", "photo", "settings", *TAKES[name])
    for key in given:
        if key not in allowed:
            hint = did_you_mean(str(key), list(allowed))
            raise UsageError(f"Unknown key {key!r} of a request.{hint}")
    settings = given.get("settings", {})
    if not isinstance(settings, Mapping):
        raise UsageError("`settings` is an object: names and values.")
    config = CONFIGS[name]
    settings = {str(key): _value(each) for key, each in settings.items() if each is not None}
    make_config(config, settings)  # so that an unknown one is told before its option is made
    clip = given.get("clip")
    if clip is not None and given.get("photo") is not None:
        raise UsageError("Either `photo` or `clip`: one is painted.")
    photo = keep(pictures[given.get("photo")] if clip is None else pictures.clip(clip))
    words = [name, _operand(photo.given)]
    command: Any
    if "styles" in TAKES[name]:
        styles, masks, more = _styles(name, given.get("styles"), pictures, keep)
        words += more
        if photo.seconds is not None:
            config_of_clip = _clip_config(given.get("seconds"), photo.seconds)
            command = FastStylize.make(styles, masks, settings, clip=config_of_clip)
            words += [] if config_of_clip.end is None else ["--end", f"{config_of_clip.end:g}"]
        else:
            kind: Any = Stylize if name == "stylize" else FastStylize
            command = kind.make(styles, masks, settings)
    elif name == "dream":
        guide = None if (id := given.get("guide")) is None else keep(pictures[id])
        mask = _mask(given.get("mask"), pictures, keep)
        words += ["--guide", guide.given] if guide else []
        words += ["--mask", mask.given] if mask else []
        command = Dream.make(settings, guide.path if guide else None, mask)
    else:
        command = Texture(make_config(TextureConfig, settings))
    asked = Asked(command, photo, (*words, *option_words(config, settings)))
    if photo.seconds is not None:
        check_clip_masks(masks, [asked.task(Path(f"{photo.path.stem}.mp4"))])
    return asked


def _clip_config(seconds: Any, known: float) -> ClipConfig:
    """How much of a clip is painted: of one whose length nobody knows, so much at the most.

    A browser that records does not write how long it was.
    """
    if seconds is None:
        return ClipConfig() if known else ClipConfig(end=LONGEST_CLIP)
    if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_CLIP:
        raise UsageError(f"`seconds` of a clip is a number up to {LONGEST_CLIP:.0f}.")
    return ClipConfig(end=float(seconds))


def _text(given: Any) -> str:
    """A name; of anything else what is shown in the message that it is none."""
    return given if isinstance(given, str) else repr(given)


def _value(given: Any) -> Any:
    """A setting's value; a pair of sides is (height, width), as in Python."""
    if isinstance(given, list):
        if len(given) > 2 or not all(isinstance(each, int | float) for each in given):
            raise UsageError("A list of more than two numbers is no setting.")
        return tuple(given)
    return given


def _styles(
    command: str, given: Any, pictures: Pictures, keep: Keep
) -> tuple[list[Any], list[MaskInput | None], list[str]]:
    """Styles, their masks, and the words of the command line for both."""
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_STYLES:
        raise UsageError(f"`styles` is a list of one to {MOST_STYLES} styles.")
    styles: list[Any] = []
    masks: list[MaskInput | None] = []
    words: list[str] = []
    for each in given:
        if not isinstance(each, Mapping) or ("name" in each) == ("picture" in each):
            raise UsageError("A style is an object with a `name`, or the id of a `picture`.")
        if unknown := [key for key in each if key not in ("name", "picture", "weight", "mask")]:
            raise UsageError(f"Unknown key {unknown[0]!r} of a style.")
        if "name" in each:
            style, text = _named(command, _text(each["name"])), _text(each["name"])
        else:
            picture = keep(pictures[each["picture"]])
            text = picture.given
            if command == "stylize":
                style = StyleInput(text, picture.path)
            else:
                style = picture_style(picture.path, picture.path.stem)
        weight = parse_weight(str(each.get("weight", 1)), text)
        styles.append(replace(style, weight=weight))
        words += ["--style", text if weight == 1 else f"{text}:{weight:g}"]
        masks.append(_mask(each.get("mask"), pictures, keep))
    while masks and masks[-1] is None:
        masks.pop()
    if None in masks:
        raise UsageError("The styles with a mask come first.")
    words += [word for mask in masks if mask for word in ("--mask", mask.given)]
    return styles, masks, words


def _named(command: str, name: str) -> StyleInput | TrainedStyle:
    """A style that cnnart brings."""
    if command == "stylize":
        known = builtin_styles()
        one_of("style", name, known)
        found = known[name]
        return StyleInput(name, found.path, builtin=name, settings=found.settings)
    trained = trained_styles()
    one_of("trained style", name, trained)
    return TrainedStyle(name, trained[name], builtin=True)


def _mask(given: Any, pictures: Pictures, keep: Keep) -> MaskInput | None:
    """A mask by its name, as ``--mask`` takes it, or by the id of a picture."""
    if given is None:
        return None
    if isinstance(given, str) and (named := named_mask_input(given)):
        return named
    picture = keep(pictures[given])
    return MaskInput(picture.given, picture.path)


def option_words(config: type, settings: Mapping[str, Any]) -> list[str]:
    """Settings as the command line spells them; those that are as usual are left out."""
    words: list[str] = []
    for name, value in settings.items():
        default, known = setting_of(config, name)
        flag = f"--{name.replace('_', '-')}"
        if value == default:
            continue
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
            continue
        if known.kind == "size" and isinstance(value, tuple):
            text = f"{value[1]}x{value[0]}"
        elif isinstance(value, tuple):
            text = ",".join(f"{each:g}" for each in value)
        elif isinstance(value, float):
            text = f"{value:g}"
        else:
            text = str(value)
        words += ["--layer" if name == "layers" and config is DreamConfig else flag, text]
    return words


def _operand(name: str) -> str:
    """A file's name that no shell's program takes for an option."""
    return f"./{name}" if name.startswith("-") else name
