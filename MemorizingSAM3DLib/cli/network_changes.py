"""A network's configuration with some fields changed on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine.networks.config import NetworkConfig


def changed_config(config: NetworkConfig, changes: list[str]) -> NetworkConfig:
    """The configuration with changes such as ``depth=12`` or ``attention=sparse``.

    Raises:
        TrainingError: a change is not of that form, names no field, or has a value that makes no network.
    """
    from ..engine.errors import CheckpointError
    from ..learning.distributed import TrainingError

    values = config.to_dict()
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in values:
            raise TrainingError(
                f"--set {change} names no field of the network.", f"Say FIELD=VALUE with one of {', '.join(values)}."
            )
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    try:
        return type(config).from_dict(values)
    except CheckpointError as error:
        raise TrainingError(f"--set {' '.join(changes)} makes no network: {error.problem}", "Change it.") from error
