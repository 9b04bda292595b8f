"""A 3x3 convolution whose weights never change, computed in the way that is fastest here."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.files import cache_folder, open_file, without_waiting, write_atomically

CHANNELS_LAST = torch.channels_last
FUSED_TOLERANCE = 0.01  # of bfloat16; float32 differs by 1e-6

# Winograd's way, F(4x4, 3x3): see the class.
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
SIDE = len(POINTS) + 1  # of a tile's inputs, in pixels
STEP = SIDE - 2  # of its outputs
CONSTANT = SIDE + 1  # at (1, 1): a constant there comes out as the same constant everywhere
BLOCK = 1 << 15  # values at a point of a block's spectra: they are to stay in the cache

# It is taken where it needs less than this share of the direct convolution's time. For fewer
# positions than the least its larger weights would have to be read for too little.
WORTH = 0.85
FEWEST_CHANNELS, FEWEST_POSITIONS = 32, 192
LONGEST_MEASUREMENT, LOOK_AGAIN = 5.0, 0.05  # seconds that another process is waited for
LARGEST_FILE = 1 << 20  # bytes of recorded choices
TIMED_SIDE, ROUNDS = 28, 3  # of a measurement: pixels, repetitions
LIMITS = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")  # what keeps libraries from using all


class FrozenConvolution:
    """A 3x3 convolution of stride 1, and its way back, without autograd.

    Because its weights are frozen, what it sees need not be kept: the gradient of its input is the
    output's convolved with the weights turned by 180 degrees, input and output channels swapped.

    Args:
        weight: OIHW, float32.
        bias: O, float32.
        device: where it computes.
        dtype: in which it computes.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, device: torch.device, dtype: torch.dtype
    ) -> None:
        self._weight, self._bias = weight, bias
        self._device, self._dtype = device, dtype
        self._channels = min(weight.shape[:2])
        self._may_choose = (
            device.type == "cpu" and dtype == torch.float32 and self._channels >= FEWEST_CHANNELS
        )
        self._own = threading.local()  # a thread's ways: they keep what the last size needed

    def __call__(
        self,
        x: Tensor,
        *,
        padding: int = 1,
        wrap: tuple[bool, bool] = (False, False),
        relu: bool = False,
    ) -> Tensor:
        """The output, a new tensor, and its ReLU if asked for.

        ``padding``: zeros around ``x``, but along the axes ``wrap`` (vertical, horizontal): there
        its other side is beyond the border.
        """
        x, zeros = _surrounded(x, padding, wrap)
        if self._prefers_winograd(x):
            return self._winograd.forward(x, zeros, self._bias, relu=relu)
        return self._forward(x, zeros, relu=relu)

    def back(
        self, gradient: Tensor, *, padding: int = 1, wrap: tuple[bool, bool] = (False, False)
    ) -> Tensor:
        """The gradient of ``x``, a new tensor, from the output's; the arguments as they were."""
        g, zeros = _surrounded(gradient, 2 - padding, wrap)
        if self._prefers_winograd(g):
            return self._winograd.back(g, zeros)
        return self._back(g, zeros)

    def _prefers_winograd(self, seen: Tensor) -> bool:
        if not self._may_choose or seen.shape[2] * seen.shape[3] < FEWEST_POSITIONS:
            return False
        return not getattr(_thread, "direct", False) and prefers_winograd(self._channels)

    # Made when first needed: few networks are used to their last layer, or go back.

    @property
    def _forward(self) -> Direct:
        if (way := getattr(self._own, "forward", None)) is None:
            bias = self._bias.to(self._device, self._dtype)
            way = Direct(lambda: self._weight.to(self._device, self._dtype), bias)
            self._own.forward = way
        return way

    @property
    def _back(self) -> Direct:
        if (way := getattr(self._own, "back", None)) is None:
            way = Direct(lambda: turned(self._weight.to(self._device, self._dtype)))
            self._own.back = way
        return way

    @functools.cached_property
    def _winograd(self) -> Winograd:
        return Winograd(self._weight)


_thread = threading.local()  # what belongs to one thread: how it computes, and its work space


@contextlib.contextmanager
def only_direct() -> Iterator[None]:
    """Convolutions are the device's own, and nothing is measured: for what runs once."""
    _thread.direct = True
    try:
        yield
    finally:
        _thread.direct = False


def _surrounded(x: Tensor, padding: int, wrap: tuple[bool, bool]) -> tuple[Tensor, tuple[int, int]]:
    """``x`` with its other side around it along ``wrap``, and the zeros that it still needs."""
    down, across = (padding * w for w in wrap)
    if down or across:
        x = _wrapped(x, down, across)
    return x, (padding - down, padding - across)


def _wrapped(x: Tensor, down: int, across: int) -> Tensor:
    """``F.pad(mode="circular")``, but channels_last as ``x`` is: that one transposes twice."""
    height, width = x.shape[-2:]
    y = _empty(x, x.shape[1], (height + 2 * down, width + 2 * across))
    y[..., down : down + height, across : across + width] = x
    if across:
        y[..., :across] = y[..., width : width + across]
        y[..., width + across :] = y[..., across : 2 * across]
    if down:
        y[..., :down, :] = y[..., height : height + down, :]
        y[..., height + down :, :] = y[..., down : 2 * down, :]
    return y


def turned(weight: Tensor) -> Tensor:
    """The weights of a convolution's way back."""
    return weight.flip(2, 3).transpose(0, 1)


class Direct:
    """The device's own convolution.

    On the CPU oneDNN applies the ReLU while it writes, on a GPU cuDNN both bias and ReLU: alone,
    each is a pass through memory. And oneDNN gets the weights, from a size's second time on, in the
    layout that it wants for that size. It would else reorder them in every call, which at small
    sizes takes as long as the arithmetic.

    Args:
        weight: makes the weights, OIHW.
        bias: O.
    """

    def __init__(self, weight: Callable[[], Tensor], bias: Tensor | None = None) -> None:
        self._make, self._bias = weight, bias
        self._weight: Tensor | None = None
        self._packed_for: torch.Size | None = None
        self._seen: torch.Size | None = None

    def __call__(self, x: Tensor, padding: tuple[int, int], *, relu: bool = False) -> Tensor:
        if x.device.type == "cuda" and relu and self._bias is not None and cudnn_fuses(x.dtype):
            return _convolve_by_cudnn(x, self._plain(), self._bias, padding)
        if x.device.type != "cpu" or not fuses(x.dtype):
            y = F.conv2d(x, self._plain(), self._bias, padding=padding)
            return F.relu_(y) if relu else y
        if self._packed_for is None or x.shape != self._packed_for:
            if x.shape == self._seen:
                self._weight = _pack(self._plain(), padding, x.shape)
                self._packed_for = x.shape
            elif self._packed_for is not None:
                self._weight = self._packed_for = None
            self._seen = x.shape
        weight = self._plain() if self._packed_for is None else self._weight
        assert weight is not None
        return _convolve_fused(x, weight, self._bias, padding, relu)

    def _plain(self) -> Tensor:
        if self._weight is None:
            self._weight = self._make().contiguous(memory_format=CHANNELS_LAST)
        return self._weight


@functools.cache
def fuses(dtype: torch.dtype) -> bool:
    """Whether torch offers oneDNN's convolution with a ReLU here, and it computes rightly.

    ``torch.compile`` is built on these operators, but they are not documented.
    """
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    x, weight, bias = _sample(dtype)
    expected = F.conv2d(x.float(), weight.float(), bias.float(), padding=(1, 0)).relu()
    try:
        packed = _pack(weight, (1, 0), x.shape)
        found = [_convolve_fused(x, w, bias, (1, 0), True).float() for w in (weight, packed)]
    except (AttributeError, RuntimeError, TypeError):
        return False
    return all(bool((y - expected).norm() < FUSED_TOLERANCE * expected.norm()) for y in found)


@functools.cache
def cudnn_fuses(dtype: torch.dtype) -> bool:
    """Whether torch offers cuDNN's convolution with bias and ReLU here, and it computes rightly.

    Used in half precision alone, where it was found to be faster and to give the same bytes again
    and again. Asks the GPU once, and waits for its answer.
    """
    if dtype.itemsize != 2 or torch.version.hip or not torch.backends.cudnn.is_available():
        return False
    x, weight, bias = _sample(dtype)
    weight = weight.contiguous(memory_format=CHANNELS_LAST)
    expected = F.conv2d(x.float(), weight.float(), bias.float(), padding=1).relu()
    try:
        x, weight, bias = (t.cuda() for t in (x, weight, bias))
        found = _convolve_by_cudnn(x, weight, bias, (1, 1)).float().cpu()
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool((found - expected).norm() < FUSED_TOLERANCE * expected.norm())


def _sample(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Activations (channels_last), a weight and a bias to try an operator with."""
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (
        torch.randn(shape, generator=generator).to(dtype)
        for shape in ((1, 16, 9, 11), (32, 16, 3, 3), (32,))
    )
    return x.contiguous(memory_format=CHANNELS_LAST), weight, bias


def _convolve_by_cudnn(x: Tensor, weight: Tensor, bias: Tensor, padding: tuple[int, int]) -> Tensor:
    y: Tensor = torch.ops.aten.cudnn_convolution_relu(x, weight, bias, (1, 1), padding, (1, 1), 1)
    return y


def _pack(weight: Tensor, padding: tuple[int, int], size: torch.Size) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, padding, (1, 1), (1, 1), 1, size
    )
    return packed


def _convolve_fused(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, int], relu: bool
) -> Tensor:
    after = "relu" if relu else "none"
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, (1, 1), (1, 1), 1, after, [], ""
    )
    return y


class Winograd:
    """F(4x4, 3x3): a quarter of the multiplications (Lavin and Gray 2016), for float32 on the CPU.

    A tile of 4 x 4 outputs depends on 6 x 6 inputs. Both are transformed so that the convolution
    becomes 36 products of matrices (tiles x channels). A block of tiles is worked on at a time. The
    transforms are matrix products, too, along both axes at once (Kronecker products): sums of
    slices, with fewer operations, would go through memory many times.

    The way back is the transpose of the same steps, so it needs no weights of its own. With these
    points (Alam et al. 2022) the relative error is 2e-6, where oneDNN's is up to 1e-6.

    Args:
        weight: OIHW, float32.

    Activations are channels_last, coming and going.
    """

    def __init__(self, weight: Tensor) -> None:
        outputs, kernel, inputs = (torch.kron(m, m) for m in toom_cook(POINTS))
        self._outputs, self._inputs = outputs, inputs
        self._outputs_back, self._inputs_back = outputs.T.contiguous(), inputs.T.contiguous()
        flat = weight.permute(2, 3, 1, 0).reshape(9, -1)
        self._weight = (kernel @ flat).view(SIDE**2, weight.shape[1], weight.shape[0])
        self._weight_back = self._weight.transpose(1, 2)

    def forward(
        self, x: Tensor, padding: tuple[int, int], bias: Tensor, *, relu: bool = False
    ) -> Tensor:
        """The output of ``BxIxHxW`` with so many zeros around it (above and below, at the sides),
        and its ReLU.
        """
        down, across = padding
        n_in, n_out = self._weight.shape[1:]
        most = max(1, BLOCK // max(n_in, n_out))
        size = (x.shape[2] + 2 * down - 2, x.shape[3] + 2 * across - 2)
        y = _empty(x, n_out, size)
        for image, result in zip(_pixels(x), _pixels(y), strict=True):
            for b in blocks(*size, most):
                seen = _scratch("pixels", b.rows * STEP + 2, b.columns * STEP + 2, n_in)
                _cut(image, b.top - down, b.left - across, seen)
                tiles = _scratch("first", SIDE, SIDE, b.rows, b.columns, n_in)
                tiles.copy_(_tiles(seen, SIDE, SIDE, b))
                spectra = _scratch("second", SIDE**2, b.tiles, n_in)
                torch.mm(self._inputs, tiles.view(SIDE**2, -1), out=spectra.view(SIDE**2, -1))
                products = _scratch("first", SIDE**2, b.tiles, n_out)
                torch.bmm(spectra, self._weight, out=products)
                products[CONSTANT].add_(bias)
                tiles = _scratch("second", STEP, STEP, b.rows, b.columns, n_out)
                torch.mm(self._outputs, products.view(SIDE**2, -1), out=tiles.view(STEP**2, -1))
                if relu:
                    tiles.relu_()
                place = result[b.top : b.top + b.rows * STEP, b.left : b.left + b.columns * STEP]
                if place.shape[:2] == (b.rows * STEP, b.columns * STEP):
                    _tiles(place, STEP, STEP, b).copy_(tiles)
                    continue
                made = _scratch("pixels", b.rows * STEP, b.columns * STEP, n_out)
                _tiles(made, STEP, STEP, b).copy_(tiles)
                place.copy_(made[: place.shape[0], : place.shape[1]])
        return y

    def back(self, gradient: Tensor, padding: tuple[int, int]) -> Tensor:
        """The gradient of ``x``, ``gradient`` being ``BxOxHxW`` with so many zeros around it."""
        crop_down, crop_across = (2 - zeros for zeros in padding)
        n_in, n_out = self._weight.shape[1:]
        most = max(1, BLOCK // max(n_in, n_out))
        height, width = gradient.shape[2:]
        x = _empty(
            gradient, n_in, (height + 2 - 2 * crop_down, width + 2 - 2 * crop_across)
        ).zero_()
        for image, result in zip(_pixels(gradient), _pixels(x), strict=True):
            for b in blocks(height, width, most):
                seen = _scratch("pixels", b.rows * STEP, b.columns * STEP, n_out)
                _cut(image, b.top, b.left, seen)
                tiles = _scratch("first", STEP, STEP, b.rows, b.columns, n_out)
                tiles.copy_(_tiles(seen, STEP, STEP, b))
                spectra = _scratch("second", SIDE**2, b.tiles, n_out)
                torch.mm(self._outputs_back, tiles.view(STEP**2, -1), out=spectra.view(SIDE**2, -1))
                products = _scratch("first", SIDE**2, b.tiles, n_in)
                torch.bmm(spectra, self._weight_back, out=products)
                tiles = _scratch("second", SIDE, SIDE, b.rows, b.columns, n_in)
                torch.mm(self._inputs_back, products.view(SIDE**2, -1), out=tiles.view(SIDE**2, -1))
                made = _scratch("pixels", b.rows * STEP + 2, b.columns * STEP + 2, n_in).zero_()
                for i, down in ((0, STEP), (STEP, 2)):  # a tile's last two rows are the next one's
                    for j, across in ((0, STEP), (STEP, 2)):
                        overlap = tiles[i : i + down, j : j + across]
                        _tiles(made[i:, j:], down, across, b).add_(overlap)
                _add(result, b.top - crop_down, b.left - crop_across, made)
        return x


def toom_cook(points: Sequence[Fraction]) -> tuple[Tensor, Tensor, Tensor]:
    """The matrices of F(m, 3) at n - 1 points and infinity: of outputs, kernel and inputs.

    ``m x n``, ``n x 3`` and ``n x n``, with m = n - 2. The convolution of d with g is
    outputs ((kernel g) * (inputs d)).
    """
    m = len(points) - 1
    outputs = [[p**i for p in points] + [Fraction(i == m - 1)] for i in range(m)]
    kernel = []
    for p in points:
        scale = math.prod((p - q for q in points if q != p), start=Fraction(1))
        kernel.append([p**i / scale for i in range(3)])
    kernel.append([Fraction(0), Fraction(0), Fraction(1)])
    inputs = [[*_roots([q for q in points if q != p]), Fraction(0)] for p in points]
    inputs.append(_roots(points))
    first, second, third = (
        torch.tensor([[float(v) for v in row] for row in rows])
        for rows in (outputs, kernel, inputs)
    )
    return first, second, third


def _roots(roots: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients of the polynomial with these roots, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted, same = [Fraction(0), *found], [*found, Fraction(0)]
        found = [s - root * c for s, c in zip(shifted, same, strict=True)]
    return found


class Block(NamedTuple):
    """Tiles worked on together: where their outputs begin, in pixels, and how many there are."""

    top: int
    left: int
    rows: int
    columns: int

    @property
    def tiles(self) -> int:
        return self.rows * self.columns


def blocks(height: int, width: int, most: int) -> Iterator[Block]:
    """The tiles of so many outputs, in blocks of at most ``most``."""
    down, across = -(-height // STEP), -(-width // STEP)
    columns = -(-across // -(-across // most))  # even parts
    rows = max(1, most // columns)
    for i in range(0, down, rows):
        for j in range(0, across, columns):
            yield Block(i * STEP, j * STEP, min(rows, down - i), min(columns, across - j))


def _tiles(pixels: Tensor, height: int, width: int, block: Block) -> Tensor:
    """A view of ``HxWxC``: from each of a block's tiles ``height`` x ``width`` pixels, those first.

    ``height x width x rows x columns x C``.
    """
    down, across, channel = pixels.stride()
    return pixels.as_strided(
        (height, width, block.rows, block.columns, pixels.shape[2]),
        (down, across, STEP * down, STEP * across, channel),
        pixels.storage_offset(),
    )


def _overlap(start: int, length: int, whole: int) -> tuple[slice, slice]:
    """What ``length`` pixels from ``start`` have in common with [0, whole): there, and here."""
    low, high = max(start, 0), min(start + length, whole)
    return slice(low, high), slice(low - start, high - start)


def _cut(pixels: Tensor, top: int, left: int, piece: Tensor) -> None:
    """Fill ``piece`` with the pixels from there on; what is beyond the picture is zero."""
    rows, rows_here = _overlap(top, piece.shape[0], pixels.shape[0])
    columns, columns_here = _overlap(left, piece.shape[1], pixels.shape[1])
    seen = pixels[rows, columns]
    if seen.shape != piece.shape:
        piece.zero_()
    piece[rows_here, columns_here] = seen


def _add(pixels: Tensor, top: int, left: int, piece: Tensor) -> None:
    """Add ``piece`` to the pixels from there on; what is beyond the picture is left out."""
    rows, rows_here = _overlap(top, piece.shape[0], pixels.shape[0])
    columns, columns_here = _overlap(left, piece.shape[1], pixels.shape[1])
    pixels[rows, columns].add_(piece[rows_here, columns_here])


def _pixels(x: Tensor) -> Tensor:
    """``BxCxHxW`` as ``BxHxWxC``: a view, where x is channels_last."""
    return x.contiguous(memory_format=CHANNELS_LAST).permute(0, 2, 3, 1)


def _empty(like: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    shape = (len(like), channels, *size)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=CHANNELS_LAST)


def _scratch(name: str, *shape: int) -> Tensor:
    """An uninitialized float32 tensor, which the thread's next call with this name overwrites.

    Kept, because fresh memory takes as long as the arithmetic.
    """
    wanted, held = math.prod(shape), getattr(_thread, name, None)
    if held is None or held.numel() < wanted:
        held = torch.empty(wanted)
        setattr(_thread, name, held)
    return held[:wanted].view(shape)


# Which way is faster is measured, once on a machine: the other one rounds otherwise, and the same
# seed is to give the same picture. So the choice is kept in the user's cache.

_choices: dict[str, bool] = {}


def prefers_winograd(channels: int) -> bool:
    """Whether Winograd's way is clearly faster here between layers of at least so many channels."""
    if not _choices:
        _choices.update(_recorded().get(machine(), {}))
    key = f"{channels} channels"
    if key not in _choices:
        with _one_at_a_time():  # of several first runs one measures, and the others do as it does
            _choices.update(_recorded().get(machine(), {}))
            if key not in _choices:
                direct, winograd = timed(channels)
                _choices[key] = winograd < WORTH * direct
                _record()
    return _choices[key]


def choices_made() -> dict[str, bool]:
    """Whether Winograd's way is taken here, by ``N channels``, as far as that was measured."""
    return {**_recorded().get(machine(), {}), **_choices}


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """Within it nothing that is measured is kept in the cache."""
    global _records
    _records, before = False, _records
    try:
        yield
    finally:
        _records = before


_records = True


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep other processes of the user's from measuring meanwhile, where files can be locked.

    Another one is waited for as long as measuring can take, and no longer.
    """
    path = _choices_file().with_suffix(".lock")
    if not _records:
        yield
        return
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "ab", opener=without_waiting)  # noqa: SIM115
    except (ImportError, OSError):  # Windows; a cache that cannot be written
        yield
        return
    with lock:
        for _ in range(round(LONGEST_MEASUREMENT / LOOK_AGAIN)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOOK_AGAIN)
            except OSError:  # a network drive without locks
                break
            else:
                break
        yield


def timed(channels: int) -> tuple[float, float]:
    """Seconds of the direct and of Winograd's way, there and back.

    Of a single thread and of its own time, which other work on the machine changes least.
    """
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(channels, channels, 3, 3, generator=generator)
    bias = torch.zeros(channels)
    x = torch.rand(1, channels, TIMED_SIDE, TIMED_SIDE, generator=generator)
    x = x.contiguous(memory_format=CHANNELS_LAST)
    there, back = Direct(lambda: weight, bias), Direct(lambda: turned(weight))
    winograd = Winograd(weight)
    ways: tuple[Callable[[], object], ...] = (
        lambda: (there(x, (1, 1), relu=True), back(x, (1, 1))),
        lambda: (winograd.forward(x, (1, 1), bias, relu=True), winograd.back(x, (1, 1))),
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for way in ways:
                way(), way()  # the first times are slower
            rounds = [[_seconds(way) for way in ways] for _ in range(ROUNDS)]
    finally:
        torch.set_num_threads(threads)
    direct, other = (min(times) for times in zip(*rounds, strict=True))
    return direct, other


def _seconds(way: Callable[[], object]) -> float:
    begun = time.thread_time()
    way()
    return time.thread_time() - begun


def machine() -> str:
    """What a measured choice holds for: the processor, what of it is used, and torch's version."""
    used = [torch.backends.cpu.get_cpu_capability()]
    used += [f"{name}={os.environ[name]}" for name in LIMITS if name in os.environ]
    return f"torch {torch.__version__}, {_processor()}, {', '.join(used)}"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _choices_file() -> Path:
    return cache_folder() / "convolutions.json"


def _recorded() -> dict[str, dict[str, bool]]:
    """What the cache says, for each machine; nothing if it is missing or damaged."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        with open_file(_choices_file()) as file:
            found = json.loads(file.read(LARGEST_FILE))
        if isinstance(found, dict) and all(_are_choices(each) for each in found.values()):
            return found
    return {}


def _are_choices(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(choice, bool) for choice in found.values())


def _record() -> None:
    """Keep the choices, as far as the cache can be written. What is recorded already stands."""
    recorded = _recorded()
    _choices.update(recorded.get(machine(), {}))
    if not _records:
        return
    recorded[machine()] = dict(sorted(_choices.items()))
    with contextlib.suppress(OSError):
        write_atomically(_choices_file(), (json.dumps(recorded, indent=1) + "\n").encode())
