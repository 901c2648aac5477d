"""What can this Python do? Asked when the artist enters one in the preferences. Standard library only at the top:
it must also answer in a Python that has nothing."""

from __future__ import annotations

import ctypes
import importlib
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import machine
from .protocol import Checked, CheckRequest, Device, Done, Event

NEEDED = ("numpy", "onnxruntime", "OpenEXR", "PIL")
FOR_TRAINING = ("torch", "onnx", "safetensors")


@dataclass(frozen=True)
class Card:
    name: str
    memory: int
    """Bytes"""


@dataclass(frozen=True)
class Cards:
    """What NVIDIA's driver sees."""

    found: tuple[Card, ...]
    why: str = ""
    """Why there is none"""


def check(request: CheckRequest) -> Iterator[Event]:
    cards, problem = _cards(), _problem()
    why = problem or _no_cuda(cards)
    training = not problem and not _missing(FOR_TRAINING)
    yield Checked(
        request.job,
        not why,
        training,
        machine.versions(),
        problem,
        sys.executable,
        _device(cards, why),
        training and torch_has_cuda() and bool(cards.found),
        cards.found[0].name if cards.found else "",
    )
    yield Done(request.job)


def _problem() -> str:
    """Why it cannot even stylize; empty when it can. Packages for another Python or processor are there and do not
    load."""
    if missing := _missing(NEEDED):
        return f"It lacks {', '.join(missing)}."
    try:
        importlib.import_module(".runtime", __package__)
        for name in NEEDED:
            importlib.import_module(name)
    except ImportError as error:
        return f"Its packages cannot be loaded: they are for another Python or computer ({str(error)[:200]})."
    return ""


def _missing(modules: tuple[str, ...]) -> list[str]:
    """Looked for, not imported: torch alone takes seconds and a gigabyte."""
    return [name for name in modules if find_spec(name) is None]


def _device(cards: Cards, why: str) -> Device:
    free = machine.available_memory()
    if why:
        return Device(f"Processor, {machine.cores()} cores", why, 0, free)
    return Device(cards.found[0].name, "", cards.found[0].memory, free)


def _no_cuda(cards: Cards) -> str:
    """Why onnxruntime cannot use a card; empty when it can."""
    from .runtime import cuda_listed, cuda_starts

    if not cards.found:
        return cards.why
    if not cuda_listed():
        return f"{cards.found[0].name} is there, but the onnxruntime of this Python was built for the processor"
    return "" if cuda_starts() else "CUDA could not be started: driver and libraries do not fit, or the card is full"


def torch_has_cuda() -> bool:
    """PyTorch writes down what it was built for; to import it takes seconds and a gigabyte."""
    spec = find_spec("torch")
    try:
        text = Path(spec.origin or "").with_name("version.py").read_text(encoding="utf-8") if spec else ""
    except OSError:
        return False
    return re.search(r"^cuda\b[^=\n]*= '", text, re.MULTILINE) is not None


def card_unused() -> str:
    """The card that a PyTorch for the processor leaves unused; empty where there is none."""
    cards = _cards()
    return cards.found[0].name if cards.found else ""


def _cards() -> Cards:
    if platform.system() == "Darwin":
        return Cards((), "macOS has no CUDA")
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return Cards((), "no NVIDIA driver was found")
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or not count.value:
        return Cards((), "NVIDIA's driver sees no card")
    return Cards(tuple(_card(driver, number) for number in range(count.value)))


def _card(driver: ctypes.CDLL, number: int) -> Card:
    device, name, memory = ctypes.c_int(0), ctypes.create_string_buffer(100), ctypes.c_size_t(0)
    driver.cuDeviceGet(ctypes.byref(device), number)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Card(name.value.decode("utf-8", "replace"), memory.value)
