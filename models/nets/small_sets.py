"""Settings for few training clips, which nets take in place of their paper's."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

from models.data.source import ClipSource

logger = logging.getLogger(__name__)


class SmallConfig(Protocol):
    """Settings with the option `--small`."""

    @property
    def small(self) -> Literal["auto", "yes", "no"]:
        """When settings for few clips are taken: auto where there are few, and none is given."""


ConfigT = TypeVar("ConfigT", bound=SmallConfig)


def settings_for_few(
    config: ConfigT,
    data: ClipSource,
    *,
    below: int,
    settings: Mapping[str, Any],
    chosen_by: Sequence[str],
    otherwise: str,
) -> ConfigT:
    """Return the settings, with those for small sets below so many training clips.

    A setting of `chosen_by` that is not the default says that the user has chosen. `otherwise`
    names what `--small no` keeps, for the line on the screen.
    """
    clips, usual = len(data.rows("train")), type(config)()
    given = [name for name in chosen_by if getattr(config, name) != getattr(usual, name)]
    if config.small == "no" or (config.small == "auto" and (given or clips >= below)):
        return config
    changes = {name: value for name, value in settings.items() if name not in given}
    said = ", ".join(f"{name} {value}" for name, value in changes.items())
    logger.info("%d training clips are few: %s (--small no for %s)", clips, said, otherwise)
    return replace(config, **changes)  # type: ignore[type-var]
