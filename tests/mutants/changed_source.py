"""One module of the product in a changed form, for the process in which its finder is put."""

import importlib.abc
import importlib.util
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType
from typing import Any


class ChangedSource(SourceFileLoader):
    """Load a module from a text instead of its file."""

    def __init__(self, module: str, path: str, source: str) -> None:
        super().__init__(module, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile the text."""
        return compile(self._source, self.path, "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder):
    """Find one module in its changed form."""

    def __init__(self, module: str, path: str, source: str) -> None:
        self.module, self.path, self.source = module, path, source

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the changed module, None for all others."""
        if fullname != self.module:
            return None
        loader = ChangedSource(fullname, self.path, self.source)
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)
