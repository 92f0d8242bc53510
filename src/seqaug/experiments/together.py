"""One run in several processes: how they are started, how they find each other, and how they end together.

    seqaug run --nproc 2                                              on one machine, ours to start
    torchrun --nnodes 2 --nproc-per-node 1 --rdzv-endpoint HOST:PORT -m seqaug run       on several, torchrun's to start

Process 0 writes the run folder and speaks; the others are silent.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import BufferedRandom
from typing import TYPE_CHECKING

from ..errors import RecipeError

if TYPE_CHECKING:
    from ..core.world import World

__all__ = ["LOCAL_RANK", "WORLD_SIZE", "join", "launch", "local_processes", "started_together", "threads_of_each"]

WORLD_SIZE, RANK, LOCAL_RANK, LOCAL_WORLD_SIZE = "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
"""What torchrun tells a process about itself, and we do as it does."""
_LOOK = 0.05
"""Seconds between two looks at the processes."""
_GRACE = 20.0
"""Seconds that the others have to end by themselves once one of them has."""


def started_together(environment: Mapping[str, str] | None = None) -> bool:
    """Whether this process is one of several that torchrun, or `launch`, has started."""
    environment = os.environ if environment is None else environment
    return environment.get(WORLD_SIZE, "1").isdigit() and int(environment.get(WORLD_SIZE, "1")) > 1


def local_processes() -> int:
    """How many processes of this run share the machine."""
    return int(os.environ.get(LOCAL_WORLD_SIZE, "1"))


def threads_of_each() -> int | None:
    """CPU threads for each of several processes of this machine, None where there is one, which torch decides for."""
    here = local_processes()
    return max((os.cpu_count() or 1) // here, 1) if here > 1 else None


def join(device: str) -> World:
    """Meet the other processes. device: what the run asked for; "cuda..." and a GPU for each are NCCL's, the rest is gloo's.

    Raises RecipeError where a GPU is asked for and there is not one for each process of this machine.
    """
    import torch
    from torch import distributed

    from ..core.world import ALONE, World

    if not started_together():
        return ALONE
    on_gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if on_gpu:
        there, own = torch.cuda.device_count(), int(os.environ.get(LOCAL_RANK, "0"))
        if own >= there:
            raise RecipeError(
                [
                    f"--nproc: {local_processes()} processes and {there} GPU{'s' if there != 1 else ''} here; "
                    "each process needs one of its own."
                ]
            )
        torch.cuda.set_device(own)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size())


def launch(count: int, words: Sequence[str], *, results: int = 1) -> tuple[int, str]:
    """Start `seqaug WORDS` in `count` processes of this machine and wait for them: the exit code of the run, and what is left
    to say about it.

    results: the descriptor that process 0 prints its result to. Where one ends with an error, so do all. Process 0 speaks for
    itself; what another one said that was the first to fail comes
    back.
    """
    port = _free_port()
    processes: list[subprocess.Popen[bytes]] = []
    said: list[BufferedRandom] = []
    try:
        for rank in range(count):
            surroundings = {
                **os.environ,
                WORLD_SIZE: str(count),
                RANK: str(rank),
                LOCAL_RANK: str(rank),
                LOCAL_WORLD_SIZE: str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
            log = tempfile.TemporaryFile()
            said.append(log)
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "seqaug", *words],
                    env=surroundings,
                    stdin=subprocess.DEVNULL if rank else None,
                    stdout=log if rank else results,
                    stderr=log if rank else None,
                )
            )
        return _wait(processes, said)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for log in said:
            log.close()


def _wait(processes: Sequence[subprocess.Popen[bytes]], said: Sequence[BufferedRandom]) -> tuple[int, str]:
    interrupted, since, first = False, 0.0, None
    while True:
        try:
            codes = [process.poll() for process in processes]
            wrong = next((rank for rank, code in enumerate(codes) if code), None)
            if first is None and wrong is not None:
                first, since = wrong, time.monotonic()
            if all(code is not None for code in codes):
                break
            if since and time.monotonic() - since > _GRACE:
                for process in processes:
                    if process.poll() is None:
                        process.terminate()
                since = time.monotonic() + 1e9  # once
            time.sleep(_LOOK)
        except KeyboardInterrupt:
            # A terminal has told all of them; whoever was told alone passes it on.
            interrupted, since = True, since or time.monotonic()
            for process in processes:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
    codes = [process.returncode for process in processes]
    if interrupted:
        return 130, ""
    if first is None:
        return 0, ""
    code = int(codes[first] or 0)
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    # A mistake that all of them find, before they meet, process 0 has told; so it has whatever went wrong with itself.
    if (first == 0 and code > 0) or (codes[0] == code and code in (2, 3, 4)):
        return code, ""
    said[first].seek(0)
    text = said[first].read().decode(errors="replace").strip()
    return (code if code > 0 else 1), f"process {first} of {len(codes)} {how}.\n{text}".strip()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
