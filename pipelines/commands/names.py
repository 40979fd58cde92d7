"""Every command by the words that name it; no command is imported for the list."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command: the module behind it and one line of help."""

    module: str
    text: str
    beam_options: bool = False
    """Whether options that are not its own go to Beam."""

    loads: str = "Beam"
    """What is imported before its work begins, which takes seconds; empty for nothing."""


COMMANDS = {
    "run download": Command(
        "pipelines.jobs.download.command", "clips of a data set into a media folder", True
    ),
    "run features": Command("pipelines.jobs.features.command", "clips to feature tables", True),
    "run everything": Command("pipelines.jobs.everything", "download, then features", True),
    "run pack": Command(
        "pipelines.jobs.pack.command", "many small files of a store to a few large ones", True
    ),
    "run labels": Command(
        "pipelines.commands.labels.command", "per-second labels by CLIP and CLAP into a store"
    ),
    "validate": Command(
        "pipelines.commands.validate", "read every shard of a store back and check it"
    ),
    "report": Command(
        "pipelines.commands.report.command", "a page to look at a store or a media folder"
    ),
    "coverage": Command(
        "pipelines.commands.coverage.command",
        "which clips a store holds, and which two labs share",
        loads="",
    ),
    "export": Command(
        "pipelines.commands.exchange.export_command",
        "a store in a form that other programs read",
        loads="",
    ),
    "import": Command(
        "pipelines.commands.exchange.import_command", "an export back to a feature store"
    ),
    "import-npy": Command(
        "pipelines.commands.import_npy", "published .npy features of LLP to tables"
    ),
    "import-labels": Command(
        "pipelines.commands.labels.import_command", "published per-second labels into a store"
    ),
    "recipes": Command("pipelines.commands.recipes", "how each recipe makes features", loads=""),
    "compare": Command("pipelines.commands.compare", "our features against published .npy files"),
    "check": Command("pipelines.commands.check", "look over this machine before a job"),
    "plan": Command("pipelines.commands.plan", "what a job would cost before it runs"),
    "completion": Command(
        "pipelines.commands.completion", "what a shell completes on Tab", loads=""
    ),
    "demo": Command("pipelines.commands.demo", "a figure of any clip of the demo world"),
}
"""Commands by the words that name them."""
