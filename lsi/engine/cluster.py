"""Joining a Ray cluster, or starting Ray on this machine."""

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lsi.errors import UsageError

log = logging.getLogger(__name__)

_CORES_A_WORKER = 4
# no usage statistics; workers at the priority of the program, not behind all others; `print` stays Python's own, which
# numba knows: with Ray's in its place pynndescent does not compile any more
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_worker_niceness": "0",
             "RAY_TQDM_PATCH_PRINT": "0"}  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that is joined: how many workers there are, the cores of each, and whether it has GPUs."""

    n_workers: int
    cores: int
    has_gpus: bool = False


@contextmanager
def joined(address: str | None) -> Iterator[Cluster]:
    """Join the cluster at an address, or start Ray on this machine; what was started here is stopped at the end.

    Args:
        address: "auto" for the cluster that this machine belongs to, host:port, or None: this machine alone.

    Raises:
        UsageError: Ray is not installed, or there is no cluster at that address.
    """
    ray = _ray()
    os.environ.update(_SETTINGS)
    is_ours = not ray.is_initialized()
    if is_ours:
        where: dict[str, Any] = {"address": address} if address else {"num_cpus": os.cpu_count(), "address": "local"}
        try:
            ray.init(**where, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"There is no Ray cluster at {address}: {error}. Start one by `ray start --head`."
            ) from error
    try:
        resources = ray.cluster_resources()
        total = int(resources.get("CPU", 1))
        cores = 1 if total <= _CORES_A_WORKER else _CORES_A_WORKER
        log.info("Ray: %d cores on %d machines", total, sum(node["Alive"] for node in ray.nodes()))
        yield Cluster(max(1, math.floor(total / cores)), cores, resources.get("GPU", 0) > 0)
    finally:
        if is_ours:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError("engine=ray needs the package ray: pip install 'lsi-lens[ray]'.") from error
    return ray
