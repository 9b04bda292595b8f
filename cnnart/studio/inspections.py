"""``inspect saliency`` and ``inspect occlusion`` of a picture, for the page's last tab."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnnart.commands.inspect import occlusion_of, saliency_of
from cnnart.errors import UsageError
from cnnart.methods.inspect.config import SaliencyConfig
from cnnart.settings import one_of
from cnnart.studio.pictures import Pictures

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.networks.base import Classifier
    from cnnart.runtime import Runtime

INSPECTIONS = ("saliency", "occlusion")
NETWORK = "efficientnet-lite0"  # as the commands', unless another is asked for
METHODS = ("gradient", "guided-backprop", "smoothgrad", "grad-cam")  # likewise
KEYS = ("what", "photo", "named")


def check_inspection(given: Mapping[str, Any], pictures: Pictures) -> str:
    """The command line of what is asked for. Raises UsageError, Refused."""
    if unknown := [key for key in given if key not in KEYS]:
        raise UsageError(f"Unknown key {unknown[0]!r} of an inspection.")
    what, named = given.get("what"), given.get("named")
    one_of("inspection", what if isinstance(what, str) else repr(what), INSPECTIONS)
    if named is not None and not isinstance(named, str):
        raise UsageError("`named` is the name of a class.")
    words = ["cnnart", "inspect", str(what), pictures[given.get("photo")].given]
    return shlex.join([*words, "--class", named] if named else words)


def inspect(given: Mapping[str, Any], pictures: Pictures, runtime: Runtime) -> Tensor:
    """The labelled sheet, ``1x3xHxW``; after ``check_inspection``. Raises CnnartError."""
    from cnnart.image.contact_sheet import draw_sheet
    from cnnart.image.read import read_image
    from cnnart.methods.inspect.target import TargetQuery

    picture = read_image(pictures[given["photo"]].path, max_pixels=pictures.max_pixels).rgb
    network, query = _network(runtime), TargetQuery(given.get("named") or None)
    if given["what"] == "saliency":
        report = saliency_of(picture, network, query, SaliencyConfig())
        for _ in report.parts(METHODS):
            pass
        found = report.result()
    else:
        work, conclude = occlusion_of(picture, network, query)
        for _ in work.parts():
            pass
        found = conclude()
    return draw_sheet(found.cells, found.columns, title=found.title)


@functools.lru_cache(maxsize=1)
def _network(runtime: Runtime) -> Classifier:
    from cnnart.networks.zoo import open_network

    return open_network(NETWORK, device=runtime.device, dtype=runtime.dtype, classifier=True)
