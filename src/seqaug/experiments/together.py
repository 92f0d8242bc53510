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
from io import BufferedRandom
from typing import TYPE_CHECKING, NoReturn

from ..errors import RecipeError

if TYPE_CHECKING:
    from ..core.world import World

__all__ = [
    "LOCAL_RANK",
    "WORLD_SIZE",
    "end_at_once",
    "join",
    "launch",
    "leave",
    "local_processes",
    "started_together",
    "threads_of_each",
]

WORLD_SIZE, RANK, LOCAL_RANK, LOCAL_WORLD_SIZE = "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
"""What torchrun tells a process about itself, and we do as it does."""
_LOOK = 0.05
"""Seconds between two looks at the processes."""
_GRACE = 20.0
"""Seconds that the others have to end by themselves once one of them has, and again once they are told to."""


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


def leave() -> None:
    """Part from the other processes, where there were any."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def end_at_once() -> NoReturn:
    """End this process, which has followed to the end and has nothing to give back, with exit code 0.

    Without taking down what connects it: gloo's threads and the end of Python race, and now and then, about once in ten, the
    C++ library ended the process by a signal, which looked as if the run had failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def launch(count: int, words: Sequence[str], *, results: int = 1) -> tuple[int, str]:
    """Start `seqaug WORDS` in `count` processes of this machine and wait for them: the exit code of the run, and what is left
    to say about it.

    results: the descriptor that process 0 prints its result to. Where one ends with an error, so do all. Process 0 speaks for
    itself; what another one said that was the cause comes back.
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
        if _wait(processes):
            return 130, ""
        return _verdict([process.returncode for process in processes], [_read(log) for log in said])
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for log in said:
            log.close()


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Until all have ended; whether Ctrl-C ended them. Who does not follow the first that fails is told to, then made to."""
    interrupted, failed_at = False, None
    while None in (codes := [process.poll() for process in processes]):
        try:
            if failed_at is None and any(codes):
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() - failed_at > _GRACE:
                for process in processes:
                    if time.monotonic() - failed_at > 2 * _GRACE:
                        process.kill()
                    else:
                        process.terminate()
            time.sleep(_LOOK)
        except KeyboardInterrupt:
            # A terminal has told all of them; whoever was told alone passes it on.
            interrupted, failed_at = True, failed_at or time.monotonic()
            for process in processes:
                process.send_signal(signal.SIGINT)
    return interrupted


def _verdict(codes: Sequence[int], said: Sequence[str]) -> tuple[int, str]:
    """The exit code of the run and what process 0 has not told. codes: of the processes. said: by each, "" for process 0.

    Whoever was killed is the cause; else whoever says more than that another one has gone; else process 0.
    """
    from ..core.world import GONE

    killed = [rank for rank, code in enumerate(codes) if code < 0]
    knowing = [rank for rank, code in enumerate(codes) if rank and code > 0 and GONE not in said[rank]]
    # A mistake that all of them find before they meet process 0 has told.
    alike = [rank for rank in knowing if codes[rank] == codes[0] and codes[0] in (2, 3, 4)]
    for rank in killed or [rank for rank in knowing if rank not in alike]:
        how = f"was ended by signal {-codes[rank]}" if codes[rank] < 0 else f"ended with exit code {codes[rank]}"
        return max(codes[rank], 1), f"process {rank} of {len(codes)} {how}.\n{said[rank]}".strip()
    return codes[0] or max(codes), ""


def _read(log: BufferedRandom) -> str:
    log.seek(0)
    return log.read().decode(errors="replace").strip()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
