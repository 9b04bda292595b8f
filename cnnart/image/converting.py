"""From whatever a Python program has at hand to a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import Picture
from cnnart.image.pixels import bleed
from cnnart.image.reading import damaged, decode, read_image, unpacked
from cnnart.image.writing import is_stream, shape_text


def to_picture(obj: Any) -> Picture:
    """A Picture of whatever a Python program has at hand.

    A path or binary stream (see read_image); a PIL image; a numpy array HxW, HxWx3 or HxWx4 (the
    fourth channel is alpha) of bool, uint8, uint16 or float in [0, 1]; a tensor 3xHxW or 1x3xHxW
    (or with one channel) of uint8 or float in [0, 1]; a Picture, returned as it is. HxWx3 tensors
    are not accepted. Raises UsageError for anything else and for values out of range.
    """
    if isinstance(obj, Picture):
        return obj
    if isinstance(obj, Image.Image):
        name = str(getattr(obj, "filename", "") or "<image>")
        if 0 in obj.size:
            raise UsageError(f"{name}: the picture is empty.")
        try:
            image = obj.copy()  # which decodes it
        except (OSError, SyntaxError, ValueError) as error:
            raise damaged(name, error) from error
        decode(image, name)
        return unpacked(image, name)
    if isinstance(obj, np.ndarray):
        return array_picture(obj)
    if isinstance(obj, Tensor):
        return tensor_picture(obj)
    if isinstance(obj, str | Path) or is_stream(obj):
        return read_image(obj)
    raise UsageError(
        f"A picture is a path, a PIL image, an array or a tensor, not {type(obj).__name__}."
    )


def array_picture(array: np.ndarray) -> Picture:
    grey = array.ndim == 2
    if 0 in array.shape or not (grey or (array.ndim == 3 and array.shape[2] in (3, 4))):
        shape = "x".join(map(str, array.shape))
        raise UsageError(f"A picture array must be HxW, HxWx3 or HxWx4, not {shape}.")
    scales = {"bool": 1, "uint8": 255, "uint16": 65535, "float16": 1, "float32": 1, "float64": 1}
    if array.dtype.name not in scales:
        raise UsageError(
            f"A picture array must be uint8, uint16 or float in [0, 1], not {array.dtype.name}."
        )
    values = np.ascontiguousarray(array, dtype=np.float32) / scales[array.dtype.name]
    planes = torch.from_numpy(values[None] if grey else values.transpose(2, 0, 1))[None]
    planes = in_range(planes)
    if planes.shape[1] < 4:
        return Picture(planes.expand(-1, 3, -1, -1).contiguous(), source="<array>", grey=grey)
    alpha = planes[:, 3:].contiguous()
    return Picture(bleed(planes[:, :3].contiguous(), alpha), alpha, source="<array>")


def tensor_picture(tensor: Tensor) -> Picture:
    batch = tensor[None] if tensor.ndim == 3 else tensor
    if batch.ndim != 4 or batch.shape[0] != 1 or batch.shape[1] not in (1, 3) or 0 in batch.shape:
        raise UsageError(f"A picture tensor must be 3xHxW or 1x3xHxW, not {shape_text(tensor)}.")
    if tensor.dtype != torch.uint8 and not tensor.dtype.is_floating_point:
        raise UsageError(f"A picture tensor must be uint8 or float in [0, 1], not {tensor.dtype}.")
    values = batch.detach().float().cpu() / (255 if tensor.dtype == torch.uint8 else 1)
    grey = batch.shape[1] == 1
    rgb = in_range(values).expand(-1, 3, -1, -1).contiguous()
    return Picture(rgb, source="<tensor>", grey=grey)


def in_range(values: Tensor) -> Tensor:
    """values clamped to [0, 1]; UsageError if they miss it by more than rounding explains."""
    low, high = float(values.min()), float(values.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # written so that NaN fails too
        raise UsageError(
            f"Float pictures must lie in [0, 1], and this one spans {low:g}..{high:g}."
        )
    return values.clamp(0, 1)
