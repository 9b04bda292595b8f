"""``cnnart.texture``: what the command line does, for other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cnnart.engine import Engine
from cnnart.errors import UsageError
from cnnart.image import read_mask, to_picture, to_pil
from cnnart.jobs.memory import last_image
from cnnart.jobs.recipe import parse_weight
from cnnart.jobs.texturing import make_texture_config
from cnnart.optimize import Step
from cnnart.textures.making import Ingredients, Texture
from cnnart.textures.origin import check_companions
from cnnart.weights import EMBEDDED

if TYPE_CHECKING:
    from PIL.Image import Image


def texture(
    exemplars: Any,
    *,
    guide: Any = None,
    guide_target: Any = None,
    inpaint: Any = None,
    companions: Sequence[Any] = (),
    ladder: bool = False,
    callback: Callable[[Step], object] | None = None,
    device: str = "auto",
    precision: str = "auto",
    backbone: str = EMBEDDED,
    max_memory: float | None = None,
    time_budget: float | None = None,
    **settings: Any,
) -> Any:
    """Make more of a texture, or one texture of several.

    Args:
        exemplars: one or a list of: a path, a PIL image, an array (HxWx3 or 4, uint8 or float in
            [0, 1]), a tensor (``1x3xHxW`` in [0, 1]), or an (exemplar, weight) pair of those.
        guide: what is where in the exemplar, in colours; of several exemplars a list.
        guide_target: what is to be where in the result; both or none.
        inpaint: a mask: what is white there is made anew in the (first) exemplar, all else stays.
        companions: maps of the exemplar's size that are to be copied as it is (patch methods).
        ladder: a sheet of what each layer contributes in place of the texture.
        callback: called with each ``Step``; returning False stops early and keeps the texture.
        device, precision, backbone, max_memory, time_budget: see ``cnnart.engine.Engine``.
        settings: the fields of ``TextureConfig``: ``size=(768, 1024)``, ``tileable="both"``, ...

    Returns an RGB image, RGBA if an exemplar has alpha; with ``companions`` a list of images, the
    texture first. Raises CnnartError with one clear line.
    """
    pairs = [_pair(e) for e in (exemplars if isinstance(exemplars, list) else [exemplars])]
    if (guide is None) != (guide_target is None):
        raise UsageError("guide and guide_target belong together: give both maps.")
    config = make_texture_config(settings)
    pictures = [to_picture(exemplar) for exemplar, _ in pairs]
    others = [to_picture(companion).rgb for companion in companions]
    for index, other in enumerate(others, start=1):
        check_companions([other], [p.rgb for p in pictures], f"companion {index}")
    guides = [] if guide is None else guide if isinstance(guide, list) else [guide]
    made_of = Ingredients(
        pictures,
        [weight for _, weight in pairs],
        [to_picture(g).rgb for g in guides],
        None if guide_target is None else to_picture(guide_target).rgb,
        None if inpaint is None else read_mask(inpaint),
        bool(others),
    )
    engine = Engine(
        device=device,
        precision=precision,
        backbone=backbone,
        max_memory=max_memory,
        time_budget=time_budget,
    )
    work = Texture(engine, made_of, config, ladder=ladder)
    rgb = work.finish(last_image(work.steps(), callback))
    result: Image = to_pil(rgb, work.alpha)
    if not others:
        return result
    return [result, *(to_pil(work.follow(other)) for other in others)]


def _pair(exemplar: Any) -> tuple[Any, float]:
    """An exemplar as given -> (exemplar, weight)."""
    if isinstance(exemplar, tuple) and len(exemplar) == 2:
        return exemplar[0], parse_weight(str(exemplar[1]), "an exemplar")
    return exemplar, 1.0
