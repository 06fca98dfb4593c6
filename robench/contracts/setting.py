"""What a tuner, an adaptation, an objective and a defence are told of the network and the run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from robench.contracts.configured import Configured
from robench.contracts.context import RunContext
from robench.contracts.model import Model, Tokens
from robench.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningSetting:
    """The network that is tuned or defended, what it is made of, and the run.

    Attributes:
        network: The classifier.
        parts: Its parts, by the names of :meth:`Model.adaptable`.
        model: What built the network.
        context: The run, with its dataset.
        fingerprint: The hash of the weights before tuning, which saved adapters name; empty if nobody took it.
    """

    network: nn.Module
    parts: Mapping[str, nn.Module]
    model: Model
    context: RunContext
    fingerprint: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes; a label is an index into them."""
        return self.context.dataset.class_names

    @property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """The prompts of each class that the network was built with."""
        return self.model.prompts(self.context.dataset)

    @property
    def targets(self) -> Mapping[str, tuple[str, ...]]:
        """The linear layers that adapters may change, as :meth:`Model.targets` names them."""
        return self.model.targets(self.network)

    @property
    def tokens(self) -> Tokens | None:
        """How the blocks take tokens, as :meth:`Model.tokens` says."""
        return self.model.tokens(self.network)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids ``int64 (N, L)`` of `texts`, on the CPU.

        Raises:
            PluginError: The model reads no text.
        """
        return self.model.tokenize(self.network, texts)

    def part(self, name: str) -> nn.Module:
        """Return the part called `name`.

        Raises:
            PluginError: The model names no such part; the message says which it names.
        """
        if name not in self.parts:
            found = f"only {', '.join(sorted(self.parts))}" if self.parts else "no parts"
            raise PluginError(
                f"this component needs the part {name!r} of a model, and this one offers {found}; "
                "use a model that has it, such as --model clip-tiny"
            )
        return self.parts[name]

    def frozen(self) -> TuningSetting:
        """Return a copy of the network as it is now, with its parts, frozen and in evaluation mode.

        An objective that compares with the original network calls it in :meth:`Objective.prepare`.
        """
        network, parts = copy.deepcopy((self.network, dict(self.parts)))
        return replace(self, network=network.eval().requires_grad_(False), parts=parts)


class Told(Configured):
    """A component that is told of the network and the run before anything else is called."""

    _setting: TuningSetting | None = None

    def set_up(self, setting: TuningSetting) -> None:
        """Is called first; by default it keeps `setting` for the attribute of that name."""
        self._setting = setting

    @property
    def setting(self) -> TuningSetting:
        """The network, its parts, the classes, prompts and tokenizer, and the run.

        Raises:
            PluginError: The component is used outside of a run, and nobody called :meth:`set_up`.
        """
        if self._setting is None:
            raise PluginError(
                f"{type(self).__name__} needs the parts of the network and the run; expected set_up(setting) first"
            )
        return self._setting
