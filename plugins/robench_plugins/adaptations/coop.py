"""Learned context words before the class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from robench import Adaptation, Field, Params, PluginError
from torch import Tensor, nn

from robench_plugins.adaptations.parts import find_part, train_only
from robench_plugins.adaptations.text_head import FromTexts, class_means, follow, settle

WORD = "X"
"""What stands in the prompt where a learned vector takes its place."""


class CoOpParams(Params):
    """Parameters of learned context words."""

    context: int = Field(default=16, ge=1, description="number of learned words before each class name")
    unified: bool = Field(default=True, description="the same words for all classes; false learns some for each class")


class CoOp(Adaptation):
    """Trains the vectors of context words, ``[v]_1 ... [v]_M CLASS.``, in place of the prompts of the dataset.

    The towers stay frozen. The vectors start from a normal distribution with standard deviation 0.02. The class
    embeddings follow them while they are trained; afterwards they are fixed. On other datasets unified words stand
    before the class names there; words of each class are of no use there, so the prompts of that dataset are used.

    Source: Zhou et al., "Learning to prompt for vision-language models", IJCV 2022, section 3.2, with the class name
    at the end. Li et al., "One prompt word is enough to boost adversarial robustness for pre-trained vision-language
    models", CVPR 2024 (APT), train it on adversarial images, with unified and with class-specific words.
    """

    Params = CoOpParams
    params: CoOpParams

    def adapt(self, network: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        """Freeze the network, and draw the words from torch's global random state.

        Raises:
            PluginError: The network has no text tower, or its tokenizer does not keep the words apart.
        """
        self._head, self._text, self._table = (find_part(parts, name) for name in ("head", "text", "token_embedding"))
        names = self.setting.class_names
        tokens = self._tokens(names).to(self._table.weight.device)
        train_only(network, ())
        weight, sets = self._table.weight, () if self.params.unified else (len(names),)
        drawn = torch.randn(*sets, self.params.context, weight.shape[1], device=weight.device)
        self._vectors = nn.Parameter(0.02 * drawn)
        follow(self._head, FromTexts(lambda: self._embed(tokens), self._text.parameters(), vectors=self._vectors))

    def _tokens(self, names: Sequence[str]) -> Tensor:
        words = " ".join([WORD] * self.params.context)
        tokens = self.setting.tokenize([f"{words} {name.replace('_', ' ')}." for name in names])
        self._first_word = self._first(tokens)
        return tokens

    def _embed(self, tokens: Tensor) -> Tensor:
        """Return the class embeddings of prompts with the learned vectors in place of their first words."""
        hook = self._table.register_forward_hook(self._with_context)
        try:
            return class_means(self._text(tokens), [1] * len(tokens))
        finally:
            hook.remove()

    def _with_context(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        first, n = self._first_word, self.params.context
        put = self._vectors.to(output).expand(len(output), n, output.shape[-1])
        return torch.cat([output[:, :first], put, output[:, first + n :]], dim=1)

    def _first(self, tokens: Tensor) -> int:
        """Return where the context begins: after the mark of the start, if there is one."""
        n = self.params.context
        pair = self.setting.tokenize([f"{WORD} {WORD}"])[0]
        same = (pair[1:] == pair[:-1]).nonzero().flatten().tolist()
        first = int(same[0]) if same else -1
        if first < 0 or not bool((tokens[:, first : first + n] == pair[first]).all()):
            raise PluginError(f"the tokenizer of this model does not keep {n} words {WORD} apart; lower context")
        return first

    @property
    def vectors(self) -> nn.Parameter:
        """The learned words: ``(context, width)``, or of each class ``(n_classes, context, width)``."""
        return self._vectors

    @property
    def first_word(self) -> int:
        """The place of the first learned word among the tokens of a prompt."""
        return self._first_word

    @torch.no_grad()
    def of_names(self, names: Sequence[str]) -> Tensor:
        """Return class embeddings ``(n_classes, D)`` of other class names with the same words before them."""
        return self._embed(self._tokens(names))

    def merge(self, network: nn.Module) -> None:
        """Fix the class embeddings as they are, and keep unified words for other classes."""
        settle(self._head)
        if self.params.unified and hasattr(network, "prompter"):
            vars(network)["prompter"] = self.of_names
