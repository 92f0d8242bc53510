"""The executors by their names."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import RecipeError, did_you_mean
from .executor import Executor

__all__ = ["LOCAL", "executor_named", "ray_address"]

LOCAL = "local"
"""The executor where none is named."""
_RAY = "ray"


def executor_named(name: str, *, jobs: int, threads: int | None = None, devices: Sequence[str] = ()) -> Executor:
    """The executor of that name: "local", "ray" or "ray:ADDRESS". The rest as `matrix.run_matrix` takes it.

    Raises RecipeError where there is none such, Ray is not installed, or its cluster cannot be had.
    """
    address = ray_address(name)
    if address is None:
        from .local_processes import LocalProcesses

        return LocalProcesses(jobs, threads, devices)
    from .on_ray import RayCluster

    return RayCluster(address, jobs, threads, devices)


def ray_address(name: str) -> str | None:
    """The address in the name of an executor: "" for "ray" alone, None for "local". Raises RecipeError for any other."""
    kind, colon, address = name.partition(":")
    if name == LOCAL:
        return None
    if kind != _RAY or (colon and not address.strip()):
        raise RecipeError(
            f"--executor {name} is none.{did_you_mean(kind, [LOCAL, _RAY])}\n"
            "  known: local, the processes of this machine; ray, a Ray cluster; ray:HOST:PORT, the one of that address"
        )
    return address.strip()
