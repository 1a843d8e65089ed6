"""Deployed models: one application of Ray Serve for each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pyserve.cluster.autoscale import DOWN_DELAY_S, UP_DELAY_S
from pyserve.cluster.errors import told_by_ray
from pyserve.cluster.replica import DRAIN_S, MOVE_S, EngineReplica
from pyserve.cluster.views import APP_PREFIX, app_name
from pyserve.errors import (
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    UnavailableError,
)

DEPLOYMENT = "engine"
POLICY = "pyserve.cluster.autoscale:replicas_wanted"
HEALTH_PERIOD_S = 2.0
HEALTH_TIMEOUT_S = 10.0
BATCH = 0.34  # of the replicas are replaced at once
MAX_CONTROL_CALLS = 1000  # Ray carries no requests, only questions of fronts
SETTLED = ("RUNNING", "DEPLOY_FAILED", "UNHEALTHY")
POLL_S = 0.5
CONTROL_S = 30.0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One model to deploy. settings: variables PYSERVE_* of its replicas.

    n_cpus: of each replica. n_bytes: memory of each, 0 = not told to Ray. surge: one replica more
    than n_replicas runs while they are replaced, so that one alone is never missing; None: where
    there is room. per_node: most replicas on one machine, 0 = as many as there is room for.
    n_most: there are n_replicas up to so many, by the work that waits (`autoscale.py`); 0 = always
    n_replicas. idle_s: where n_replicas is 0, the last one ends after so long without a request.
    version: replicas that run with the same one stay; "": all are replaced.
    """

    model_id: str
    settings: Mapping[str, str]
    n_replicas: int = 1
    n_cpus: float = 1.0
    n_bytes: int = 0
    surge: bool | None = None
    per_node: int = 0
    n_most: int = 0
    idle_s: float = DOWN_DELAY_S
    version: str = ""


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model as `status` shows it."""

    model: str
    state: str
    message: str
    replicas: dict[str, int]


def deploy(serve: Any, wishes: list[Wish]) -> None:
    """Have Ray run these models; models that run already are replaced, in batches. Does not wait.

    Raises UnavailableError.
    """
    import ray  # noqa: PLC0415  # an extra

    with told_by_ray("the models cannot be deployed"):
        free = ray.available_resources().get("CPU", 0.0)
        serve.start(proxy_location="Disabled")
        targets = [
            serve.RunTarget(
                target=_deployment(serve, wish, free).bind(dict(wish.settings)),
                name=app_name(wish.model_id),
                route_prefix=None,
                external_scaler_enabled=not wish.n_most,
            )
            for wish in wishes
        ]
        serve.run_many(
            targets,
            wait_for_ingress_deployment_creation=False,
            wait_for_applications_running=False,
        )


def surge_percent(wish: Wish, n_free: float) -> int:
    """How many more replicas may run meanwhile: none, or one. n_free: CPUs that nobody has.

    None where there are bounds per node, which count the replicas that are to end, too.
    """
    has_room = n_free >= wish.n_cpus and not wish.per_node
    if not (has_room if wish.surge is None else wish.surge):
        return 0
    return math.ceil(100 / max(wish.n_replicas, 1))


def _deployment(serve: Any, wish: Wish, n_free: float) -> Any:
    resources: dict[str, Any] = {"num_cpus": wish.n_cpus}
    if wish.n_bytes:
        resources["memory"] = wish.n_bytes
    more: dict[str, Any] = {"max_replicas_per_node": wish.per_node} if wish.per_node else {}
    if wish.n_most:
        more["autoscaling_config"] = {
            "min_replicas": wish.n_replicas,
            "max_replicas": wish.n_most,
            "upscale_delay_s": UP_DELAY_S,
            "downscale_delay_s": DOWN_DELAY_S,
            "downscale_to_zero_delay_s": wish.idle_s,
            "look_back_period_s": UP_DELAY_S,
            "policy": {"policy_function": POLICY},
        }
    else:
        more["num_replicas"] = wish.n_replicas
    deployment = serve.deployment(
        EngineReplica,
        name=DEPLOYMENT,
        ray_actor_options=resources,
        max_ongoing_requests=MAX_CONTROL_CALLS,
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        graceful_shutdown_wait_loop_s=0.5,
        graceful_shutdown_timeout_s=DRAIN_S + MOVE_S + 10.0,
        rolling_update_percentage=BATCH,
        max_surge_percent=surge_percent(wish, n_free),
        **more,
    )
    if wish.version:
        # Serve's own way to say so, for its declarative deployments alone.
        return deployment.options(version=wish.version, _internal=True)
    return deployment


def rows(serve: Any) -> list[ModelRow]:
    """The deployed models. Raises UnavailableError."""
    with told_by_ray("the cluster does not answer"):
        apps = serve.status().applications
    return [
        ModelRow(
            model=name.removeprefix(APP_PREFIX),
            state=str(getattr(app.status, "value", app.status)),
            message=" ".join(
                text
                for text in (app.message, *(d.message for d in app.deployments.values()))
                if text
            ),
            replicas={
                str(getattr(state, "value", state)): n
                for d in app.deployments.values()
                for state, n in d.replica_states.items()
            },
        )
        for name, app in sorted(apps.items())
        if name.startswith(APP_PREFIX)
    ]


def wait_settled(
    serve: Any,
    counts: Mapping[str, int | None],
    timeout_s: float,
    show: Callable[[ModelRow], None],
) -> None:
    """Wait until these models run with so many replicas; `show` is called with each change.

    None: with as many as there happen to be.

    Raises ModelLoadError for one that cannot be started, UnavailableError when the time is over.
    """
    deadline = time.monotonic() + timeout_s
    shown: dict[str, ModelRow] = {}
    while True:
        found = {row.model: row for row in rows(serve) if row.model in counts}
        for row in found.values():
            if shown.get(row.model) != row:
                shown[row.model] = row
                show(row)
        for row in found.values():
            if row.state in SETTLED and row.state != "RUNNING":
                raise ModelLoadError(f"{row.model}: {row.state}: {row.message[-2000:]}")
        if all(name in found and _is_done(found[name], n) for name, n in counts.items()):
            return
        if time.monotonic() >= deadline:
            waiting = ", ".join(f"{row.model} is {row.state}" for row in found.values())
            raise UnavailableError(f"after {timeout_s:g} s: {waiting}: {_room(found.values())}")
        time.sleep(POLL_S)


def _is_done(row: ModelRow, n_replicas: int | None) -> bool:
    """It runs with so many replicas, and none comes or goes."""
    if n_replicas is None:
        return row.state == "RUNNING" and set(row.replicas) <= {"RUNNING"}
    return row.state == "RUNNING" and row.replicas == (
        {"RUNNING": n_replicas} if n_replicas else {}
    )


def _room(found: Any) -> str:
    return " ".join(row.message for row in found) or "is there room (CPUs, memory) for them?"


def remove(serve: Any, model_ids: list[str]) -> None:
    """End these models; their requests may finish. Raises ModelNotFoundError."""
    known = {row.model for row in rows(serve)}
    for model_id in model_ids:
        if model_id not in known:
            raise ModelNotFoundError(
                f"{model_id!r} is not deployed; deployed are {', '.join(sorted(known)) or 'none'}"
            )
    with told_by_ray("the models cannot be removed"):
        for model_id in model_ids:
            serve.delete(app_name(model_id), _blocking=False)


def wait_gone(serve: Any, model_ids: list[str], timeout_s: float) -> None:
    """Wait until the replicas of these models have ended. Raises UnavailableError."""
    deadline = time.monotonic() + timeout_s
    while left := [row.model for row in rows(serve) if row.model in model_ids]:
        if time.monotonic() >= deadline:
            raise UnavailableError(f"after {timeout_s:g} s there are still {', '.join(left)}")
        time.sleep(POLL_S)


def scale_to(serve: Any, model_id: str, n_replicas: int) -> None:
    """Change how many replicas a model has; does not wait.

    Raises ModelNotFoundError; InvalidRequestError for one whose number follows its work.
    """
    if model_id not in {row.model for row in rows(serve)}:
        raise ModelNotFoundError(f"{model_id!r} is not deployed")
    import ray  # noqa: PLC0415  # an extra
    from ray.serve._private.common import DeploymentID  # noqa: PLC0415
    from ray.serve.context import _get_global_client  # noqa: PLC0415  # else by HTTP alone

    with told_by_ray(f"{model_id} cannot be scaled"):
        controller = _get_global_client()._controller
        is_free = ray.get(
            controller.get_external_scaler_enabled.remote(app_name(model_id)), timeout=CONTROL_S
        )
    if not is_free:
        raise InvalidRequestError(
            f"{model_id} has as many replicas as its work wants, since it was deployed with "
            "--max-replicas: deploy it without, or with other limits"
        )
    with told_by_ray(f"{model_id} cannot be scaled"):
        ray.get(
            controller.update_deployment_replicas.remote(
                DeploymentID(name=DEPLOYMENT, app_name=app_name(model_id)), n_replicas
            ),
            timeout=CONTROL_S,
        )
