"""Pictures from a seed: a photo-like one and a painting-like one."""

import torch


def generator(seed):
    return torch.Generator().manual_seed(seed)


def make_photo(height=64, width=80, seed=0):
    """A sky over a dark hill with a bright disc, and a little noise: smooth areas and edges."""
    y = torch.linspace(0, 1, height)[:, None].expand(height, width)
    x = torch.linspace(0, 1, width)[None].expand(height, width)
    sky = torch.stack((0.45 + 0.2 * y, 0.6 + 0.1 * x, 0.85 - 0.2 * y))
    hill = torch.stack((0.25 + 0.1 * x, 0.35 - 0.1 * y, 0.2 + 0.1 * x))
    disc = torch.tensor([0.9, 0.8, 0.4]).view(3, 1, 1)
    picture = torch.where(y > 0.6 + 0.15 * torch.sin(5 * x), hill, sky)
    picture = torch.where((x - 0.7) ** 2 + (y - 0.3) ** 2 < 0.02, disc, picture)
    noise = 0.02 * torch.randn(3, height, width, generator=generator(seed))
    return (picture + noise).clamp(0, 1)[None]


def make_painting(height=72, width=60, seed=1, color=(0.7, 0.4, 0.15)):
    """Diagonal strokes in one color, of random lightness: a texture with a palette of its own."""
    y = torch.arange(height)[:, None]
    x = torch.arange(width)[None]
    lightness = 0.4 + 0.8 * torch.rand(16, generator=generator(seed))
    strokes = lightness[((x + 2 * y) // 5 % 16).flatten()].view(1, height, width)
    noise = 0.05 * torch.randn(3, height, width, generator=generator(seed + 1))
    return (torch.tensor(color).view(3, 1, 1) * strokes + noise).clamp(0, 1)[None]
