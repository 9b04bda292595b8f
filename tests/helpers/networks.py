"""Small networks with everything that makes a receptive field hard to tell."""

import torch
import torch.nn.functional as F
from torch import nn


class Branches(nn.Module):
    """Four ways through a map, joined: a point, a dilated one, two slits, and a pool."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(inputs, 2, 1)
        self.dilated = nn.Conv2d(inputs, 2, 3, padding=2, dilation=2)
        self.slits = nn.Sequential(
            nn.Conv2d(inputs, 2, (5, 1), padding=(2, 0)), nn.Conv2d(2, 2, (1, 5), padding=(0, 2))
        )
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)

    def forward(self, x):
        ways = (self.point(x), self.dilated(x), self.slits(x), self.pool(x))
        return F.relu(torch.cat(ways, 1), inplace=True)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        out = self.norm(self.conv(x))
        out += x
        return F.relu_(out)


class Tangled(nn.Module):
    """Strides, ceil-mode and padded pools, branches, a residual block, padding on one side only."""

    input_size = 160
    classes = ("cat", "dog", "newt")

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 5, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.branches = Branches(4)
        self.residual = Residual(10)
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.last = nn.Conv2d(10, 3, 3, stride=2)
        self.mean_pool = nn.AvgPool2d(2, 2)
        self.dropout = nn.Dropout()

    def forward(self, x):
        x = self.relu(self.pool(self.relu(self.first(x))))
        x = self.residual(self.branches(x))
        x = self.mean_pool(self.relu(self.last(self.pad(x))))
        return self.dropout(x).mean((2, 3))


class Gated(nn.Module):
    """A map that is weighted by its own average (squeeze and excitation)."""

    input_size = 32

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 1)
        self.after = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
        x = x * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        return self.after(x)


class ChannelsLast(nn.Module):
    """A block as in ConvNeXt, where channels come last in between."""

    input_size = 32

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.norm = nn.LayerNorm(6)
        self.linear = nn.Linear(6, 8)

    def forward(self, x):
        return self.linear(self.norm(self.stem(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Colors(nn.Module):
    """A classifier that can be checked by eye: red, green or blue, and once more in German."""

    input_size, resize = 16, 16
    mean, std = (0, 0, 0), (1, 1, 1)
    classes = ("red", "green", "blue", "rot", "gruen", "blau")

    def forward(self, x):
        average = 10 * x.mean((2, 3))
        return torch.cat([average, average - 1], 1)


def random_model(kind, seed=0, positive=False):
    """A model with random weights; ``positive``: all of them above 0, so that nothing cancels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind()
        for tensor in model.parameters():
            nn.init.normal_(tensor, std=0.3)
            if positive:
                tensor.data.abs_().add_(0.05)
    return model.eval()


def tangled():
    """For ``module:function``."""
    return random_model(Tangled)
