"""cnnart: neural image stylization, any size, offline, on the hardware you have.

>>> import cnnart
>>> cnnart.stylize("photo.jpg", "painting.jpg").save("out.png")

Importing the package costs nothing: torch is loaded by the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnart.version import __version__

if TYPE_CHECKING:
    from cnnart.api import (
        dream,
        dream_clip,
        fast_stylize,
        fast_stylize_clip,
        styles,
        stylize,
        stylize_clip,
        texture,
    )
    from cnnart.errors import CnnartError
    from cnnart.methods.dream.config import DreamConfig
    from cnnart.methods.stylize.config import StylizeConfig
    from cnnart.methods.texture.config import TextureConfig
    from cnnart.runtime import Runtime

__all__ = [
    "CnnartError",
    "DreamConfig",
    "Runtime",
    "StylizeConfig",
    "TextureConfig",
    "__version__",
    "dream",
    "dream_clip",
    "fast_stylize",
    "fast_stylize_clip",
    "styles",
    "stylize",
    "stylize_clip",
    "texture",
]


def __getattr__(name: str) -> Any:
    """What the package offers, imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'cnnart' has no attribute {name!r}")
    value: Any
    if name == "CnnartError":
        from cnnart.errors import CnnartError

        value = CnnartError
    elif name == "Runtime":
        from cnnart.runtime import Runtime

        value = Runtime
    elif name == "StylizeConfig":
        from cnnart.methods.stylize.config import StylizeConfig

        value = StylizeConfig
    elif name == "TextureConfig":
        from cnnart.methods.texture.config import TextureConfig

        value = TextureConfig
    elif name == "DreamConfig":
        from cnnart.methods.dream.config import DreamConfig

        value = DreamConfig
    else:
        from cnnart import api

        value = getattr(api, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
