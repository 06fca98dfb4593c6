"""The interface of a logger, which sends runs to another tool."""

from __future__ import annotations

from robench.contracts.configured import Configured
from robench.contracts.context import Progress
from robench.contracts.hookspecs import hookimpl
from robench.records.labels import attack_label, defence_label, tuner_label
from robench.records.record import RunResult, RunSpec


class Logger(Configured):
    """Follows the runs of this process, one after another. An exception in a logger is a warning and stops no run."""

    def open(self) -> None:
        """Prepare for the first run.

        Raises:
            PluginError: A library is not installed, or a server does not answer.
        """

    def started(self, spec: RunSpec, run_id: str) -> None:
        """Is called when a run begins."""

    def progress(self, progress: Progress) -> None:
        """Is called when a stage of the run advances, for every batch."""

    def finished(self, result: RunResult) -> None:
        """Is called with the record when a run has ended: completed, failed or interrupted."""

    @staticmethod
    def settings(spec: RunSpec) -> dict[str, str | int]:
        """Return the settings of a run by name, as typed: what other tools call hyperparameters or config."""
        attacks = (attack_label(attack.label, attack.n, spec.test_size) for attack in spec.attacks)
        return {
            "dataset": spec.dataset.label,
            "model": spec.model.label,
            "tuner": tuner_label(spec),
            "attacks": " ".join(attacks),
            "train_size": spec.train_size or 0,
            "test_size": spec.test_size,
            "split": spec.split,
            "seed": spec.seed,
            "precision": spec.precision,
            **({"defence": defence_label(spec)} if spec.defences else {}),
            **({"corruptions": " ".join(each.label for each in spec.corruptions)} if spec.corruptions else {}),
        }

    @staticmethod
    def figures(result: RunResult) -> dict[str, float]:
        """Return the accuracies of a run, in ``[0, 1]``, and its cost by name; of an unfinished run what there is."""
        found: dict[str, float] = {}
        if result.clean is not None:
            found["accuracy/clean"] = result.clean.accuracy
        found |= {f"accuracy/{score.label}": score.accuracy for score in result.attacks}
        found |= {f"accuracy/worst case {worst.norm}": worst.accuracy for worst in result.worst_case}
        for each in result.corruptions:
            found[f"accuracy/corruption {each.label}"] = sum(one.accuracy for one in each.scores) / len(each.scores)
        if result.tuning is not None:
            found["trainable_parameters"] = result.tuning.trainable_parameters
        return found | {f"seconds/{stage}": seconds for stage, seconds in result.seconds.items()}

    @staticmethod
    def epochs(result: RunResult) -> list[tuple[int, dict[str, float]]]:
        """Return each epoch's number and its values, under names such as ``tuning/loss``."""
        history = result.tuning.history if result.tuning else ()
        return [
            (number, {f"tuning/{name}": value for name, value in epoch.items() if name != "epoch"})
            for number, epoch in enumerate(history, 1)
        ]

    @hookimpl
    def robench_run_started(self, spec: RunSpec, run_id: str) -> None:
        """Call the method of the same event."""
        self.started(spec, run_id)

    @hookimpl
    def robench_run_progress(self, progress: Progress) -> None:
        """Call the method of the same event."""
        self.progress(progress)

    @hookimpl
    def robench_run_finished(self, result: RunResult) -> None:
        """Call the method of the same event."""
        self.finished(result)
