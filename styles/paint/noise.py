"""Smooth random fields. All are square float32 arrays; lengths are pixels of a 1024-px picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

GRID = 512  # noise is made on one fixed grid, so that a small picture is the large one, reduced


def resize(field: np.ndarray, size: int) -> np.ndarray:
    """Bicubic resize of a square HxW field to size x size."""
    picture = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))


def fbm(rng: np.random.Generator, size: int, largest: float, smallest: float, slope: float = 2.0):
    """Fractal noise with zero mean and unit deviation, features from `largest` to `smallest` px.

    The power falls with frequency to the power of `slope`: 0 is white, 2 is cloud-like.
    """
    white = np.fft.rfft2(rng.standard_normal((GRID, GRID)))
    fy = np.fft.fftfreq(GRID)[:, None] * GRID
    fx = np.fft.rfftfreq(GRID)[None, :] * GRID
    frequency = np.hypot(fy, fx)
    low, high = 1024 / largest, 1024 / smallest
    gain = np.maximum(frequency, 1e-6) ** (-slope / 2)
    gain *= 1 / (1 + np.exp(np.clip(-(frequency - low * 0.7) / (low * 0.15), -50, 50)))
    gain *= 1 / (1 + np.exp(np.clip((frequency - high) / (high * 0.15), -50, 50)))
    field = np.fft.irfft2(white * gain, s=(GRID, GRID))
    field = (field - field.mean()) / field.std()
    return resize(field, size)


def blur(field: np.ndarray, radius: float) -> np.ndarray:
    """Gaussian blur (wrapping at the borders) of an HxW or HxWx3 array; radius in array pixels."""
    height, width = field.shape[:2]
    fy = np.fft.fftfreq(height).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(width).astype(np.float32)[None, :]
    gain = np.exp(-2 * (np.pi * radius) ** 2 * (fx**2 + fy**2)).astype(np.float32)
    if field.ndim == 3:
        return np.stack([blur(field[..., c], radius) for c in range(field.shape[2])], axis=-1)
    return np.fft.irfft2(np.fft.rfft2(field) * gain, s=(height, width)).astype(np.float32)


def grain(rng: np.random.Generator, size: int, radius: float) -> np.ndarray:
    """Fine noise of unit deviation, blurred by `radius` px of a 1024-px picture."""
    field = blur(rng.standard_normal((size, size), dtype=np.float32), radius * size / 1024)
    return field / field.std()


def streaks(rng: np.random.Generator, shape: tuple[int, int], across: float, along: float):
    """Noise drawn out along the second axis (bristles, wood, fibres), uniform in [0, 1]."""
    white = rng.standard_normal(shape, dtype=np.float32)
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    gain = np.exp(-2 * np.pi**2 * ((fy * across) ** 2 + (fx * along) ** 2))
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, s=shape)
    order = np.sort(field, axis=None)[:: max(1, field.size // 4096)]
    return (np.searchsorted(order, field) / len(order)).astype(np.float32)


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between (low > high turns it round)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel in [0, 1], as two HxW arrays; y grows downwards."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.broadcast_to(line[None, :], (size, size)), np.broadcast_to(
        line[:, None], (size, size)
    )
