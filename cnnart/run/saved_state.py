"""Where a picture in progress stands, as a file: tensors and plain values, nothing that is run.

A safetensors file. Written tensor by tensor, as a run at 2048 px has 2 GB of them, of which there
may be no second copy in memory.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cnnart.files import open_file
from cnnart.optim.steps import State

FORMAT = 1
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
TENSOR = "tensor "  # and its number: in place of a tensor among the plain values


class DamagedState(Exception):
    """A file that is no whole state."""


def write_state(path: Path, facts: Mapping[str, Any], state: State) -> None:
    """Write a state with the ``facts`` to know it by, whole or not at all. Raises OSError."""
    tensors: list[Tensor] = []
    plain = _taken_apart(state, tensors)
    text = json.dumps({"format": FORMAT, "facts": dict(facts), "state": plain})
    numbers = sorted(range(len(tensors)), key=lambda i: -tensors[i].element_size())  # aligned
    needed = sum(tensor.nbytes for tensor in tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < 1.1 * needed:
        raise OSError(ENOSPC, os.strerror(ENOSPC), str(path))
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # what a kill has left; or a link, which is not to be followed
        with part.open("xb") as file:
            file.write(_header(text, 0, tensors, numbers))
            check = zlib.crc32(text.encode())
            for i in numbers:
                data = _bytes_of(tensors[i])
                check = zlib.crc32(data, check)
                file.write(data)
            file.seek(0)
            file.write(_header(text, check, tensors, numbers))  # of the same length
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def read_state(path: Path) -> tuple[dict[str, Any], State]:
    """The facts and the state in a file. Raises DamagedState, and OSError."""
    open_file(path).close()  # safetensors would wait for whoever writes into a pipe
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies, where torch has them in memory: of what is mapped from a file some kernels
            # would add up the values in another order.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        text = metadata["cnnart"]
        check = zlib.crc32(text.encode())
        for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), int(name))):
            check = zlib.crc32(_bytes_of(tensors[name]), check)
        if f"{check:08x}" != metadata["crc32"]:
            raise DamagedState("its checksum is another one")
        kept = json.loads(text)
        if kept["format"] != FORMAT:
            raise DamagedState("another version of cnnart wrote it")
        return dict(kept["facts"]), _put_together(kept["state"], tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedState(" ".join(str(error).split())) from None


def _header(text: str, check: int, tensors: Sequence[Tensor], numbers: Sequence[int]) -> bytes:
    """The first part of the file: what the tensors are called, and where they lie."""
    facts: dict[str, Any] = {"__metadata__": {"cnnart": text, "crc32": f"{check:08x}"}}
    begin = 0
    for i in numbers:
        end = begin + tensors[i].nbytes
        kind, shape = DTYPES[tensors[i].dtype], list(tensors[i].shape)
        facts[str(i)] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    data = json.dumps(facts).encode()
    data += b" " * (-len(data) % 8)
    return len(data).to_bytes(8, "little") + data


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().view(-1)
    return flat.view(torch.uint8).numpy().data


def _taken_apart(value: Any, tensors: list[Tensor]) -> Any:
    """The same without the tensors in it, which are added to ``tensors``."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return f"{TENSOR}{len(tensors) - 1}"
    if isinstance(value, Mapping):
        return {key: _taken_apart(each, tensors) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_taken_apart(each, tensors) for each in value]
    return value


def _put_together(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, str) and value.startswith(TENSOR):
        return tensors[value.removeprefix(TENSOR)]
    if isinstance(value, dict):
        return {key: _put_together(each, tensors) for key, each in value.items()}
    if isinstance(value, list):
        return [_put_together(each, tensors) for each in value]
    return value
