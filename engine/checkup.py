"""What can this Python do? Asked when the artist enters one in the preferences. Standard library only at the top:
it must also answer in a Python that has nothing."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from . import machine
from .protocol import Checked, CheckRequest, Done, Event

NEEDED = ("numpy", "onnxruntime", "OpenEXR", "PIL")
FOR_TRAINING = ("torch", "onnx", "safetensors")


def check(request: CheckRequest) -> Iterator[Event]:
    missing = _missing(NEEDED)
    problem = f"It lacks {', '.join(missing)}." if missing else ""
    training = not missing and not _missing(FOR_TRAINING)
    yield Checked(request.job, not missing and _cuda(), training, machine.versions(), problem)
    yield Done(request.job)


def _missing(modules: tuple[str, ...]) -> list[str]:
    """Looked for, not imported: torch alone takes seconds and a gigabyte."""
    return [name for name in modules if find_spec(name) is None]


def _cuda() -> bool:
    """onnxruntime was built for CUDA, and the driver sees a device."""
    from .runtime import cuda_listed

    return cuda_listed() and _devices() > 0


def _devices() -> int:
    """Devices that NVIDIA's driver sees; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
