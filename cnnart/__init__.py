"""cnnart: neural image stylization, any size, offline, on the hardware you have.

>>> import cnnart
>>> cnnart.stylize("photo.jpg", "painting.jpg").save("out.png")

Importing the package costs nothing: torch is loaded by the first call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnart.api import stylize
    from cnnart.config import DreamConfig, StylizeConfig, TextureConfig
    from cnnart.dreaming.api import dream
    from cnnart.engine import Engine
    from cnnart.errors import CnnartError
    from cnnart.fast.api import fast_stylize, styles
    from cnnart.textures.api import texture

__version__ = "0.1.0"
__all__ = [
    "CnnartError",
    "DreamConfig",
    "Engine",
    "StylizeConfig",
    "TextureConfig",
    "__version__",
    "dream",
    "fast_stylize",
    "styles",
    "stylize",
    "texture",
]

_HOME = {
    "stylize": "cnnart.api",
    "texture": "cnnart.textures.api",
    "dream": "cnnart.dreaming.api",
    "fast_stylize": "cnnart.fast.api",
    "styles": "cnnart.fast.api",
    "Engine": "cnnart.engine",
    "StylizeConfig": "cnnart.config",
    "TextureConfig": "cnnart.config",
    "DreamConfig": "cnnart.config",
    "CnnartError": "cnnart.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cnnart' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
