"""The versions that the launcher and its workers must share."""

import importlib.metadata
from dataclasses import dataclass

from schemas import JobError


@dataclass(frozen=True)
class Versions:
    """What the job was made with; it travels to the workers, which compare."""

    earsight: str
    beam: str

    @classmethod
    def here(cls) -> "Versions":
        """Return the versions of this environment."""
        return cls(
            importlib.metadata.version("earsight"), importlib.metadata.version("apache-beam")
        )

    def check(self) -> None:
        """Raise `JobError` with both versions where this environment has others."""
        here = Versions.here()
        for name, wanted, installed in (
            ("earsight", self.earsight, here.earsight),
            ("Beam", self.beam, here.beam),
        ):
            if installed != wanted:
                raise JobError(
                    f"the launcher has {name} {wanted} and the worker has {name} {installed}; "
                    "build the worker's image from the launcher's version and name it with "
                    "--sdk_container_image"
                )
