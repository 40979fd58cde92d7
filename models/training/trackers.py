"""TensorBoard, Weights & Biases and MLflow as trackers; their packages are optional."""

from collections.abc import Mapping

from models.training.tracking import TrackedRun


def grouped(line: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of an epoch by group, as these programs sort them.

    >>> grouped({"epoch": 1, "rate": 0.1, "total": 2.0, "val_map": 0.5})
    {'rate': 0.1, 'loss/total': 2.0, 'val/map': 0.5}
    """
    names = {}
    for name, value in line.items():
        if name.startswith("val_"):
            names[f"val/{name.removeprefix('val_')}"] = value
        elif name == "rate":
            names[name] = value
        elif name != "epoch":
            names[f"loss/{name}"] = value
    return names


class TensorBoard:
    """Event files in the run folder; a resumed training takes back epochs that it does again."""

    def __init__(self, run: TrackedRun) -> None:
        from tensorboardX import SummaryWriter

        again = run.epochs_done + 1 if run.epochs_done else None
        self.writer = SummaryWriter(str(run.folder), purge_step=again)
        settings = "\n".join(f"    {name} = {value!r}" for name, value in run.settings.items())
        self.writer.add_text("settings", f"    experiment = {run.experiment!r}\n{settings}")

    def epoch(self, line: Mapping[str, float]) -> None:
        """Write the numbers of an epoch."""
        for name, value in grouped(line).items():
            self.writer.add_scalar(name, value, int(line["epoch"]))
        self.writer.flush()

    def finish(self, scores: Mapping[str, float]) -> None:
        """Write the scores, and close the file."""
        for name, value in scores.items():
            self.writer.add_scalar(name, value, 0)
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases; project, account and offline mode come from its environment."""

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        self.run = wandb.init(
            id=run.recall("wandb"), resume="allow", dir=str(run.folder), name=run.folder.name,
            config={"experiment": run.experiment, "model": run.model, **run.settings},
        )  # fmt: skip
        run.remember("wandb", self.run.id)

    def epoch(self, line: Mapping[str, float]) -> None:
        """Log the numbers of an epoch."""
        self.run.log(grouped(line), step=int(line["epoch"]))

    def finish(self, scores: Mapping[str, float]) -> None:
        """Set the scores as the run's summary, and end it."""
        self.run.summary.update(dict(scores))
        self.run.finish()


class MLflow:
    """A run of MLflow; server or folder and experiment come from its environment."""

    def __init__(self, run: TrackedRun) -> None:
        import mlflow

        self.mlflow = mlflow
        started = mlflow.start_run(run_id=run.recall("mlflow"), run_name=run.folder.name)
        run.remember("mlflow", started.info.run_id)
        if not run.epochs_done:
            mlflow.log_params({"experiment": run.experiment, "model": run.model, **run.settings})

    def epoch(self, line: Mapping[str, float]) -> None:
        """Log the numbers of an epoch."""
        self.mlflow.log_metrics(grouped(line), step=int(line["epoch"]))

    def finish(self, scores: Mapping[str, float]) -> None:
        """Log the scores, and end the run."""
        self.mlflow.log_metrics(dict(scores))
        self.mlflow.end_run()
