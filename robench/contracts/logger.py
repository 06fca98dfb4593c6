"""The interface of a logger, which follows runs and draws them elsewhere."""

from __future__ import annotations

from robench.contracts.configured import Configured
from robench.contracts.context import Progress
from robench.contracts.hookspecs import hookimpl
from robench.records.labels import attack_label, tuner_label
from robench.records.record import RunResult, RunSpec


class Logger(Configured):
    """Hears one run after another in this process. What it raises is a warning, and harms no run."""

    def open(self) -> None:
        """Make ready, before the first run.

        Raises:
            PluginError: Its library is not installed, or its server does not answer.
        """

    def started(self, spec: RunSpec, run_id: str) -> None:
        """Hear that a run begins."""

    def progress(self, progress: Progress) -> None:
        """Hear how far a stage has come; called for every batch."""

    def finished(self, result: RunResult) -> None:
        """Hear the record of the run: completed, failed or interrupted."""

    @staticmethod
    def settings(spec: RunSpec) -> dict[str, str | int]:
        """Return what was asked of a run by name, as typed: what loggers call hyperparameters or config."""
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
        }

    @staticmethod
    def figures(result: RunResult) -> dict[str, float]:
        """Return the accuracies of a run as shares of 1 by name, and its cost; of an unfinished run what there is."""
        found: dict[str, float] = {}
        if result.clean is not None:
            found["accuracy/clean"] = result.clean.accuracy
        found |= {f"accuracy/{score.label}": score.accuracy for score in result.attacks}
        found |= {f"accuracy/worst case {worst.norm}": worst.accuracy for worst in result.worst_case}
        if result.tuning is not None:
            found["trainable_parameters"] = result.tuning.trainable_parameters
        return found | {f"seconds/{stage}": seconds for stage, seconds in result.seconds.items()}

    @staticmethod
    def epochs(result: RunResult) -> list[tuple[int, dict[str, float]]]:
        """Return what each epoch of tuning came to, under names such as ``tuning/loss``."""
        history = result.tuning.history if result.tuning else ()
        return [
            (number, {f"tuning/{name}": value for name, value in epoch.items() if name != "epoch"})
            for number, epoch in enumerate(history, 1)
        ]

    @hookimpl
    def robench_run_started(self, spec: RunSpec, run_id: str) -> None:
        """Pass it on."""
        self.started(spec, run_id)

    @hookimpl
    def robench_run_progress(self, progress: Progress) -> None:
        """Pass it on."""
        self.progress(progress)

    @hookimpl
    def robench_run_finished(self, result: RunResult) -> None:
        """Pass it on."""
        self.finished(result)
