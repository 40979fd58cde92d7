"""The program `beam`, also called `earsight` and `python -m pipelines`."""

from pipelines.store.interrupts import end_on_signals


def main() -> int:
    """Run the command line; from the first line on a signal ends it with one sentence."""
    end_on_signals()
    from pipelines.cli import main as run  # after the signals: what it imports takes a moment

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
