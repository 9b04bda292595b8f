"""Frames of YUV to RGB and back: the right matrix and range, rounded and not cut off; HDR to SDR.

swscale does the arithmetic. Left to itself it takes everything for BT.601 and loses up to three
levels of 255 on the way.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from cnnart.image.animation import import_av

EXACT = "accurate_rnd+full_chroma_int"  # half a level at the most
FULL_RANGE = 2  # AVCOL_RANGE_JPEG
HD_HEIGHT = 576  # rows, above which what does not say so is BT.709, as players have it

# ITU-T H.273.
MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
BT709, BT2020 = 1, 9
PQ, HLG = 16, 18  # transfer characteristics: SMPTE ST 2084, ARIB STD-B67

# BT.2020's primaries in terms of BT.709's (ITU-R BT.2087).
TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
WHITE = 203.0  # cd/m2 of a white sheet in HDR (ITU-R BT.2408)
BRIGHTEST = 1000.0  # cd/m2 that become white; what is brighter is cut off
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2


def matrix_of(frame: Any) -> str:
    """The matrix of a frame's YUV: what it says, else what is usual at its size."""
    return MATRICES.get(int(frame.colorspace)) or (
        "bt709" if frame.height > HD_HEIGHT else "smpte170m"
    )


def is_hdr(frame: Any) -> bool:
    return int(frame.color_trc) in (PQ, HLG)


def bits_of(frame: Any) -> int:
    """Of a channel."""
    return max(component.bits for component in frame.format.components)


class ToRgb:
    """Turns PyAV's frames into ``HxWx3`` uint8, sRGB, at one size (height, width)."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._graph: Any = None
        self._made_for: Any = None

    def __call__(self, frame: Any) -> np.ndarray:
        hdr = is_hdr(frame)
        shape = frame.width, frame.height, frame.format.name
        made_for = (*shape, matrix_of(frame), _is_full(frame), hdr)
        if made_for != self._made_for:
            self._graph = self._conversion(frame, "rgb48le" if hdr else "rgb24")
            self._made_for = made_for
        found: np.ndarray = through(self._graph, frame).to_ndarray()
        return tone_mapped(found, int(frame.color_trc)) if hdr else found

    def _conversion(self, frame: Any, format: str) -> Any:
        height, width = self.size
        # At its own size only the coarser color is scaled: that bilinear is as good, and quicker.
        same = (frame.height, frame.width) == self.size
        way = f"w={width}:h={height}:flags={'bilinear' if same else 'bicubic'}+{EXACT}"
        if not frame.format.is_rgb:
            way += f":in_color_matrix={matrix_of(frame)}"
            way += f":in_range={'pc' if _is_full(frame) else 'tv'}"
        return graph(frame.width, frame.height, frame.format.name, way, format)


class FromRgb:
    """Turns ``HxWx3`` uint8 into frames of a YUV format, BT.709 in the limited range; of an RGB
    format they stay as they are.
    """

    def __init__(self, size: tuple[int, int], format: str) -> None:
        self._format = format
        way = f"flags=bilinear+{EXACT}:out_color_matrix=bt709:out_range=tv"
        self._graph = None if format == "rgb24" else graph(size[1], size[0], "rgb24", way, format)

    def __call__(self, pixels: np.ndarray) -> Any:
        frame = import_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        if self._graph is None:
            return frame
        made = through(self._graph, frame)
        made.colorspace, made.color_range = BT709, 1
        made.color_primaries = made.color_trc = BT709
        return made


def graph(width: int, height: int, given: str, way: str, wanted: str) -> Any:
    """A filter graph that scales from one pixel format to another."""
    found = import_av().filter.Graph()
    first = found.add("buffer", f"video_size={width}x{height}:pix_fmt={given}:time_base=1/25")
    parts = [first, found.add("scale", way), found.add("format", wanted), found.add("buffersink")]
    found.link_nodes(*parts).configure()
    return found


def through(graph: Any, frame: Any) -> Any:
    """A frame out of a graph; the one that goes in is left without a time."""
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    # What it says of itself would take precedence over what the graph was told.
    frame.colorspace, frame.color_range = 2, 0
    graph.push(frame)
    return graph.pull()


def _is_full(frame: Any) -> bool:
    return int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")


# HDR


def tone_mapped(pixels: np.ndarray, transfer: int) -> np.ndarray:
    """BT.2020 in PQ or HLG (``HxWx3`` uint16) -> sRGB uint8.

    Light is made linear, highlights are compressed (extended Reinhard of the brightest channel, so
    that hues stay), and colors outside BT.709 are cut off.
    """
    light = _to_light(transfer)[pixels]  # 1 is a white sheet
    if transfer == HLG:
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (np.maximum(luminance, 1e-6) ** (HLG_GAMMA - 1))[..., None]
        light *= HLG_PEAK / WHITE
    light = np.maximum(light @ TO_BT709.T, 0)
    peak = np.maximum(light.max(-1, keepdims=True), 1e-6)
    most = BRIGHTEST / WHITE
    light *= (1 + peak / most**2) / (1 + peak)
    light = np.minimum(light, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray((srgb * 255).round(), np.uint8)


@lru_cache(maxsize=2)
def _to_light(transfer: int) -> np.ndarray:
    """Linear light for each of 65,536 levels: of PQ in terms of a white sheet, of HLG 0 to 1."""
    signal = np.linspace(0, 1, 1 << 16)
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = signal ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10000 / WHITE
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return np.asarray(light, np.float32)
