"""The network of pytorch/examples' fast_neural_style, in torch's own modules: a reference.

As a program (``python -m benchmarks.johnson THREADS [DEVICE]``), it reads lines of ``height width``
and answers each with the seconds of one pass.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor, nn


class TransformerNet(nn.Module):
    """Photos in 0..255 to pictures about 0..255, ``Bx3xHxW`` of sides divisible by 4."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.in1 = _Conv(3, 32, 9, 1), nn.InstanceNorm2d(32, affine=True)
        self.conv2, self.in2 = _Conv(32, 64, 3, 2), nn.InstanceNorm2d(64, affine=True)
        self.conv3, self.in3 = _Conv(64, 128, 3, 2), nn.InstanceNorm2d(128, affine=True)
        for index in range(1, 6):
            setattr(self, f"res{index}", _Residual(128))
        self.deconv1, self.in4 = _Conv(128, 64, 3, 1, 2), nn.InstanceNorm2d(64, affine=True)
        self.deconv2, self.in5 = _Conv(64, 32, 3, 1, 2), nn.InstanceNorm2d(32, affine=True)
        self.deconv3 = _Conv(32, 3, 9, 1)

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in ((self.conv1, self.in1), (self.conv2, self.in2), (self.conv3, self.in3)):
            x = norm(conv(x)).relu()
        for index in range(1, 6):
            x = getattr(self, f"res{index}")(x)
        for conv, norm in ((self.deconv1, self.in4), (self.deconv2, self.in5)):
            x = norm(conv(x)).relu()
        return self.deconv3(x)


class _Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, up: int = 1) -> None:
        super().__init__()
        self.up = up
        self.pad = nn.ReflectionPad2d(kernel // 2)
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.up > 1:
            x = nn.functional.interpolate(x, mode="nearest", scale_factor=self.up)
        return self.conv2d(self.pad(x))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.in1 = (
            _Conv(channels, channels, 3, 1),
            nn.InstanceNorm2d(channels, affine=True),
        )
        self.conv2, self.in2 = (
            _Conv(channels, channels, 3, 1),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(self.in1(self.conv1(x)).relu()))


def finished(device: torch.device) -> None:
    """Wait for what the device was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    device = torch.device(sys.argv[2] if len(sys.argv) > 2 else "cpu")
    network = TransformerNet().eval().to(device)
    for line in sys.stdin:
        height, width = (int(part) for part in line.split())
        photo = 255 * torch.rand(1, 3, height, width, device=device)
        finished(device)
        begun = time.perf_counter()
        with torch.no_grad():
            network(photo).clamp(0, 255)
        finished(device)
        print(time.perf_counter() - begun, flush=True)


if __name__ == "__main__":
    main()
