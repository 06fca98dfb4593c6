"""R-TPT: a prompt tuned for each image, and a vote of its views."""

from __future__ import annotations

from typing import Any

import torch
from robench import BiasedNetwork, Defence, Field, ImageTextNetwork, Params, PluginError, RunContext
from torch import Tensor, nn
from torch.nn import functional as F

from robench_plugins.adaptations.text_head import class_means
from robench_plugins.defences.augmix import views_of

WORD = "X"
"""A word that tells where the words of a prompt begin and end."""


class RTPTParams(Params):
    """Parameters of R-TPT; the defaults are those of the authors' code."""

    views: int = Field(default=64, ge=2, description="views of an image, itself included")
    select: float = Field(default=0.1, gt=0, le=1, description="share of the views, the surest, that tune the prompt")
    lr: float = Field(default=0.005, gt=0, description="learning rate of AdamW")
    steps: int = Field(default=1, ge=1, description="steps of AdamW on each image")
    neighbours: int = Field(default=20, ge=1, description="most similar views that decide how reliable a view is")
    temperature: float = Field(default=0.01, gt=0, description="temperature of the weights of views")
    context: int = Field(default=4, ge=1, description="tokens at the start of each prompt whose vectors are tuned")
    augmix: bool = Field(default=True, description="mix views with changed versions; off in the code for ImageNet")


class RTPT(Defence):
    """Tunes the first words of the prompts for each image, and lets its views vote by their reliability.

    Of random views of the image, the surest (of lowest entropy) are taken, and one step of AdamW lowers the mean of
    their entropies: each for itself, not that of their mean as in TPT. What it changes is a vector for each of the
    first `context` tokens, which is added to those of all prompts. Then the answer is ``sum_i w_i logits_i`` over all
    views, with ``w = softmax(s / temperature)``, where s_i is the mean cosine between the embedding of view i and those
    of its most similar `neighbours`. Class embeddings are those of the prompts that the network was built with, by its
    text tower as it is; a head that was trained is not used. For the four words of the paper build the network with
    ``template=a photo of a {}.``

    A first step of AdamW goes as far as `lr` along signs of gradients, which have no gradient themselves. So autograd
    takes the tuned prompt as it is, and goes through the views, their embeddings and their weights; an adaptive attack
    follows it, and averages answers (EOT), since views are random.

    Source: Sheng, Liang, Wang and He, "R-TPT: improving adversarial robustness of vision-language models through
    test-time prompt tuning", CVPR 2025 (arXiv:2504.11195), and the authors' code. Deviations: prompts of a class may be
    several and need no words in common, so what is added to vectors is tuned, and AdamW's decay of 0.01 is of that; a
    view is never its own neighbour, where the code leaves out cosines of at least 1 and so, by rounding, not all of
    these; at least one view is selected; views are made of the image as it is scored, not of the larger original. The
    attack of that code meets the prompt that was tuned on the image before; here it meets this defence, or with
    ``aware=no`` the network.
    """

    Params = RTPTParams
    params: RTPTParams
    stochastic = True
    uses_gradients = True

    def prepare(self, network: nn.Module, context: RunContext) -> None:
        """Find the text tower, and make the prompts of the classes.

        Raises:
            PluginError: The network does not compare images with text, or its tokenizer does not keep words apart.
        """
        if not isinstance(network, ImageTextNetwork):
            raise PluginError("rtpt tunes prompts of an image-text model; expected one such as --model clip-tiny")
        self._text, self._table = (self.setting.part(name) for name in ("text", "token_embedding"))
        assert isinstance(self._table, nn.Embedding)
        self._width = self._table.embedding_dim
        tokenize, groups = self.setting.tokenize, self.setting.prompts
        prompts = [prompt for group in groups for prompt in group]
        tokens, longer = tokenize(prompts), tokenize([f"{prompt} {WORD}" for prompt in prompts])
        pair = tokenize([f"{WORD} {WORD}"])[0]
        twice = (pair[1:] == pair[:-1]).nonzero().flatten().tolist()
        if not twice:
            raise PluginError(
                "the tokenizer of this model does not keep words apart, so rtpt cannot tune those of prompts"
            )
        width = min(tokens.shape[1], longer.shape[1])
        same = (tokens[:, :width] == longer[:, :width]).long().cumprod(dim=1)  # up to the end of each prompt
        place = torch.arange(width) - int(twice[0])
        tuned = (same == 1) & (place >= 0) & (place < self.params.context)
        self._sizes, self._tokens = [len(group) for group in groups], tokens.to(context.device)
        self._first, self._tuned = int(twice[0]), tuned.to(context.device)

    def answer(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the vote of the views of each image."""
        return torch.cat([self._vote(network, image) for image in images])

    def _vote(self, network: Any, image: Tensor) -> Tensor:
        views = torch.cat([image[None], views_of(image, self.params.views - 1, augmix=self.params.augmix)])
        features = network.embed_images(views).float()
        tuned = self.tune(network, features.detach())
        with torch.no_grad():
            texts = self._texts(tuned)
        weights = reliability(features, self.params.neighbours, self.params.temperature)
        return weights[None] @ _logits(network, features, texts)

    def tune(self, network: nn.Module, features: Tensor) -> Tensor:
        """Return what is added to the first words ``(context, width)``, tuned on embeddings ``(views, D)``."""
        context = nn.Parameter(torch.zeros(self.params.context, self._width, device=features.device))
        optimizer = torch.optim.AdamW([context], self.params.lr)
        chosen: Tensor | None = None
        for _ in range(self.params.steps):
            logits = _logits(network, features, self._texts(context))
            if chosen is None:
                chosen = entropies(logits).argsort()[: max(1, int(len(logits) * self.params.select))]
            (context.grad,) = torch.autograd.grad(entropies(logits[chosen]).mean(), context)
            optimizer.step()
        return context.detach()

    def _texts(self, added: Tensor) -> Tensor:
        """Return unit embeddings ``(n_classes, D)`` of the prompts with `added` on the vectors of their first words."""
        first, n = self._first, self.params.context
        at = self._tuned[:, first : first + n]

        def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            more = at[:, :, None] * added[: at.shape[1]]
            ends = (0, 0, first, output.shape[1] - first - at.shape[1])
            return output + F.pad(more.to(output), ends)

        hook = self._table.register_forward_hook(add)
        try:
            return class_means(self._text(self._tokens), self._sizes)
        finally:
            hook.remove()


def _logits(network: Any, features: Tensor, texts: Tensor) -> Tensor:
    bias = network.bias() if isinstance(network, BiasedNetwork) else None
    logits: Tensor = network.temperature().float() * features @ texts.T
    return logits if bias is None else logits + bias


def entropies(logits: Tensor) -> Tensor:
    """Return the entropy of each prediction ``(N,)``."""
    return -(logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)


def reliability(features: Tensor, neighbours: int, temperature: float) -> Tensor:
    """Return a weight for each view ``(V,)``, which sum to 1: a softmax of its mean cosine with its nearest views."""
    cosines = (features @ features.T).masked_fill(torch.eye(len(features), device=features.device).bool(), -torch.inf)
    scores = cosines.topk(min(neighbours, len(features) - 1), dim=1).values.mean(dim=1)
    return (scores / temperature).softmax(dim=0)
