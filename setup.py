"""What pyproject.toml cannot say: a wheel carries the commit that it was built from."""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCommit(build_py):
    """Build the packages and write the checkout's commit beside `pipelines.cli`."""

    def run(self) -> None:
        """Build; a folder that is no checkout has no commit to write."""
        super().run()
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        try:
            commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return
        if not self.editable_mode:
            Path(self.build_lib, "pipelines", "commit.txt").write_text(commit)


setup(cmdclass={"build_py": BuildWithCommit})
