"""The adaptations, declared as data."""

from __future__ import annotations

from robench import Component

from robench_plugins.groups import group_of

_JIA = "Jia et al., Visual prompt tuning, ECCV 2022 (arXiv:2203.12119)"


_GROUPS = {
    "adapters in layers": ("lora", "lora-text", "dora", "adalora", "ia3", "loha", "oft", "vera"),
    "prompts": ("vpt", "vpt-deep", "vpt-pad", "coop", "prompts"),
    "weights of the model": ("ln", "full", "head", "last-n"),
}


def _adaptation(
    name: str, target: str, summary: str, reference: str, lr: float | None = None, title: str = ""
) -> Component:
    """Declare an adaptation, called `title` in tables.

    `lr` is its recommended learning rate, if the study's 1e-4 with AdamW does not suit it.
    """
    return Component(
        kind="adaptation",
        name=name,
        target=f"robench_plugins.adaptations.{target}",
        summary=summary,
        reference=reference,
        recommends={} if lr is None else {"lr": lr},
        group=group_of(name, _GROUPS),
        title=title,
    )


ADAPTATIONS = [
    _adaptation(
        "lora",
        "lora:LoRA",
        "LoRA: low-rank adapters on q, k and v of the vision tower",
        "Hu et al., LoRA, ICLR 2022 (arXiv:2106.09685)",
        title="LoRA",
    ),
    _adaptation(
        "dora",
        "dora:DoRA",
        "DoRA: LoRA on the direction of weights, their lengths learned apart; on q, k and v of the vision tower",
        "Liu et al., DoRA: weight-decomposed low-rank adaptation, ICML 2024 (arXiv:2402.09353)",
        title="DoRA",
    ),
    _adaptation(
        "adalora",
        "adalora:AdaLoRA",
        "AdaLoRA: LoRA whose ranks are distributed during training; on q, k and v of the vision tower",
        "Zhang et al., AdaLoRA, ICLR 2023 (arXiv:2303.10512)",
        lr=1e-3,  # the paper: 5e-4 to 2.2e-3 (appendix, GLUE)
        title="AdaLoRA",
    ),
    _adaptation(
        "ia3",
        "ia3:IA3",
        "(IA)^3: learned factors on keys, values and MLP activations of the vision tower",
        "Liu et al., Few-shot parameter-efficient fine-tuning, NeurIPS 2022 (arXiv:2205.05638)",
        lr=3e-3,  # the paper, section 3.3, with Adafactor
        title="IA3",
    ),
    _adaptation(
        "loha",
        "loha:LoHa",
        "LoHa: the entry-wise product of two low-rank matrices; on q, k and v of the vision tower",
        "Hyeon-Woo et al., FedPara, ICLR 2022 (arXiv:2108.06098)",
        title="LoHa",
    ),
    _adaptation(
        "oft",
        "oft:OFT",
        "OFT: learned rotations of blocks of channels; on q, k and v of the vision tower",
        "Qiu et al., Orthogonal finetuning, NeurIPS 2023 (arXiv:2306.07280)",
        title="OFT",
    ),
    _adaptation(
        "vera",
        "vera:VeRA",
        "VeRA: learned vectors between shared random matrices; on q, k and v of the vision tower",
        "Kopiczko et al., VeRA, ICLR 2024 (arXiv:2310.11454)",
        lr=4e-3,  # the paper: 4e-3 to 1e-2 (appendix, GLUE)
        title="VeRA",
    ),
    _adaptation(
        "ln",
        "layer_norm:LayerNorms",
        "scales and offsets of the layer norms of the vision tower",
        "Zhao et al., Tuning LayerNorm in attention, ICLR 2024 (arXiv:2312.11420)",
        lr=1e-3,  # ours: ten times the study's, for parameters of about 1
        title="LayerNorm",
    ),
    _adaptation(
        "vpt",
        "vpt:VPT",
        "visual prompt tuning, shallow: learned tokens after the class token",
        _JIA,
        lr=1e-2,  # the study's
        title="VPT",
    ),
    _adaptation(
        "vpt-deep",
        "vpt:DeepVPT",
        "visual prompt tuning, deep: learned tokens before every block",
        _JIA,
        lr=1e-2,  # as for vpt; the paper searches over rates of SGD, the same for both
        title="VPT-deep",
    ),
    _adaptation(
        "vpt-pad",
        "padding:PaddingPrompt",
        "visual prompting: a learned border added to every image",
        "Bahng et al., Exploring visual prompts for adapting large-scale models, 2022 (arXiv:2203.17274)",
        lr=1e-2,  # for AdamW, whose steps do not shrink with the gradient; the paper and Mao et al. use SGD at 40
        title="padding prompt",
    ),
    _adaptation(
        "full",
        "full:Full",
        "all weights of the image encoder",
        "Mao et al., Understanding zero-shot adversarial robustness, ICLR 2023 (arXiv:2212.07016)",
        lr=1e-5,  # the paper (SGD), and Schlarmann et al., FARE, ICML 2024 (AdamW)
        title="full",
    ),
    _adaptation(
        "head",
        "head:Head",
        "linear probe: the last layer, started from the class prompts",
        "Radford et al., Learning transferable visual models, ICML 2021 (arXiv:2103.00020), section 3.2",
        lr=1e-3,  # ours: ten times the study's, for one convex layer
        title="linear probe",
    ),
    _adaptation(
        "last-n",
        "last_n:LastN",
        "the last n blocks and the layers after them",
        "Yosinski et al., How transferable are features?, NeurIPS 2014 (arXiv:1411.1792)",
        lr=1e-5,  # as for full
        title="last blocks",
    ),
    _adaptation(
        "coop",
        "coop:CoOp",
        "CoOp: learned context words before the class names, shared or for each class",
        "Zhou et al., Learning to prompt for vision-language models, IJCV 2022 (arXiv:2109.01134)",
        lr=2e-3,  # the paper, with SGD
        title="CoOp",
    ),
    _adaptation(
        "prompts",
        "prompts:Prompts",
        "learned tokens before every block of the vision tower, and learned context words before the class names",
        "Zhou et al., Few-shot adversarial prompt learning on vision-language models, NeurIPS 2024 (arXiv:2403.14774)",
        lr=3.5e-3,  # the authors' configuration, with SGD
        title="text and image prompts",
    ),
    _adaptation(
        "lora-text",
        "lora_text:LoRAText",
        "LoRA: low-rank adapters on q, k and v of the text tower",
        "Hu et al., LoRA, ICLR 2022 (arXiv:2106.09685)",
        title="text LoRA",
    ),
]
