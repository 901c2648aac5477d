"""Several processes that train one style together, each with a graphics card of its own and a part of every batch.

Started by torchrun, which says in the environment who each of them is. Alone, every function here gives back what it
was given, and costs nothing.

Gradients are averaged by hand after backward, not by DistributedDataParallel: a step runs the critic forward three to
six times, on parts of the batch that are not one forward and one backward apiece, and differentiates it twice for its
penalties, which that wrapper's hooks do not follow; its buckets gain nothing with networks of a few hundred thousand
weights. One sum of one flat vector for either network is all there is to do, and it takes the loss terms along.

Random numbers of a step are drawn for the whole batch by every process, and each takes those of its own samples
(`whole`, `own`): what several make of a batch is, but for rounding, what one would.

Before anything is exchanged all say whether they are well (`agree`): where one is not, none waits for it for ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import EngineError

WELL, FULL, OVER = 0, 1, 2
"""What a process says before it exchanges anything: nothing; that its memory is full; that the training is over."""
PATIENCE = timedelta(days=1)
"""How long one waits for another: the first paints the teacher's pictures alone, and may be paused meanwhile."""


class Over(Exception):  # noqa: N818 (it is no error)
    """The first process has ended the training: done, paused or failed, it has said so itself."""


class MemoryFull(torch.OutOfMemoryError):
    """The memory of another process's graphics card is full."""


@contextmanager
def joined(batch: int) -> Iterator[None]:
    """Within it the processes that torchrun has started belong together; one alone stays alone.

    Raises EngineError where a batch cannot be dealt out among them.
    """
    count = int(os.environ.get("WORLD_SIZE", "1")) if "MASTER_ADDR" in os.environ and "RANK" in os.environ else 1
    if count == 1:
        yield
        return
    _share(batch, count)
    # Its functions have the group of the moment they were first imported as a default, and would keep it: then its
    # threads outlive it, and may end the process with an abort. An optimiser imports it, once all are joined.
    import_module("torch.distributed.nn.functional")
    # What is said goes from processor to processor (gloo), so that no word waits for what the cards still compute.
    cards = torch.cuda.is_available() and dist.is_nccl_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cards else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def count() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """0 for the first process, which alone says events and writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Among the processes of this machine: which graphics card is its own"""
    return int(os.environ.get("LOCAL_RANK", "0")) if dist.is_initialized() else 0


def whole(samples: int) -> int:
    """How many samples the whole batch has, where this process has so many."""
    return samples * count()


def own(drawn: Tensor) -> Tensor:
    """Of what was drawn for the whole batch (first axis), that of this process's samples."""
    share = len(drawn) // count()
    return drawn[rank() * share : (rank() + 1) * share]


def places(batch: int) -> slice:
    """Which samples of a batch are this process's. Raises EngineError where it cannot be dealt out."""
    share = _share(batch, count())
    return slice(rank() * share, (rank() + 1) * share)


def _share(batch: int, processes: int) -> int:
    if batch % processes:
        raise EngineError(
            f"A batch of {batch} cannot be dealt out among {processes} processes.",
            f"Give a batch that is a multiple of their number: --set batch={-(-batch // processes) * processes}.",
        )
    return batch // processes


def agree(word: int = WELL) -> None:
    """Say how it is with this process, and hear how it is with the others.

    Raises MemoryFull, and Over, where another says so.
    """
    if not dist.is_initialized():
        return
    said = torch.tensor(word)
    dist.all_reduce(said, dist.ReduceOp.MAX)
    if int(said) == OVER and word != OVER:
        raise Over
    if int(said) == FULL and word != FULL:
        raise MemoryFull


@contextmanager
def together() -> Iterator[None]:
    """Where the memory of one is full within it, torch.OutOfMemoryError is raised in all."""
    try:
        yield
        agree()
    except MemoryFull:
        raise
    except torch.OutOfMemoryError:
        agree(FULL)
        raise


def average(tensors: Sequence[Tensor]) -> None:
    """Their means over all processes, in place; in one exchange."""
    if not dist.is_initialized():
        return
    agree()
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, mean in zip(tensors, (flat / count()).split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(mean.view_as(tensor))


def neighbours(mine: Tensor) -> Tensor:
    """Each sample's neighbour in the whole batch (first axis); the first one's is the last. Nothing flows back."""
    mine = mine.detach()
    if not dist.is_initialized():
        return mine.roll(1, 0)
    agree()
    # The last sample of the process before: a batch is dealt out in order.
    lasts = [torch.empty_like(mine[-1]) for _ in range(count())]
    dist.all_gather(lasts, mine[-1].contiguous())
    return torch.cat([lasts[rank() - 1][None], mine[:-1]])


def lead(words: Sequence[float]) -> None:
    """The first process tells the others; they hear it by `follow`."""
    if dist.is_initialized():
        agree()
        dist.broadcast(torch.tensor(words, dtype=torch.float64), 0)


def follow(length: int) -> list[float]:
    """What the first process tells: so many numbers. Raises Over where it has ended the training."""
    agree()
    told = torch.empty(length, dtype=torch.float64)
    dist.broadcast(told, 0)
    return told.tolist()
