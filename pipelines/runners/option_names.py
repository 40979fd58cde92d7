"""Names of Beam's options without importing Beam, which takes seconds.

They are read from the source of the installed Beam, so that a mistyped option is answered at once.
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

_CALLS = frozenset({"add_argument", "add_value_provider_argument"})


@functools.cache
def beam_option_names() -> frozenset[str]:
    """Return every option of Beam and of its job servers, as `--name`."""
    spec = importlib.util.find_spec("apache_beam")
    (beam,) = (spec and spec.submodule_search_locations) or [""]
    sources = (Path(beam, "options/pipeline_options.py"), Path(__file__).with_name("engines.py"))
    return frozenset(name for source in sources for name in _names_in(source))


def _names_in(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _CALLS
        ):
            for word in node.args:
                if isinstance(word, ast.Constant) and str(word.value).startswith("--"):
                    yield str(word.value)
