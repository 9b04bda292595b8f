"""Exemplars of which one knows what a texture of them must look like."""

import math

import torch


def grain(height, width, channels=3, seed=0):
    """Noise: no pixel is like another, so that every copy can be told."""
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def stripes(height, width, period=8):
    """Diagonal waves in three colors; every row and every column has the same gradient."""
    y, x = torch.arange(height)[:, None], torch.arange(width)[None]
    phase = 2 * math.pi * (x + y) / period
    waves = [torch.sin(phase + shift) for shift in (0.0, 2.0, 4.0)]
    return (torch.stack(waves) * 0.4 + 0.5)[None].float()


def flat(height, width, color=(0.2, 0.5, 0.8)):
    return torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, height, width).clone()


def bricks(height=128, width=128, tall=16, wide=32, seed=0):
    """A wall with joints, its bricks of several tones, and a little grain."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(height)[:, None].expand(height, width)
    x = torch.arange(width)[None] + (y // tall % 2) * (wide // 2)
    tones = torch.rand(99, 99, generator=rng)[y // tall, x // wide]
    joint = (y % tall < 2) | (x % wide < 2)
    gray = torch.where(joint, torch.ones(()), 0.2 + 0.4 * tones)
    return (gray + 0.03 * torch.randn(3, height, width, generator=rng)).clamp(0, 1)[None]
