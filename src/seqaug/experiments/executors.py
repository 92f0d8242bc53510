"""The executors by their names."""

from __future__ import annotations

from collections.abc import Sequence

from .executor import Executor, ray_address
from .local_processes import LocalProcesses

__all__ = ["executor_named"]


def executor_named(name: str, *, jobs: int, threads: int | None = None, devices: Sequence[str] = ()) -> Executor:
    """The executor of that name: "local", "ray" or "ray:ADDRESS". The rest as `matrix.run_matrix` takes it.

    Raises RecipeError where there is none such, Ray is not installed, or its cluster cannot be had.
    """
    address = ray_address(name)
    if address is None:
        return LocalProcesses(jobs, threads, devices)
    from .on_ray import RayCluster

    return RayCluster(address, jobs, threads, devices)
