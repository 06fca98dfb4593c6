"""The built-in adaptations, declared as data."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.adaptations"
_JIA = "Jia et al., Visual prompt tuning, ECCV 2022 (arXiv:2203.12119)"

# Learning rates where the study's 1e-4 with AdamW does not suit, from the papers where they give one.
ADAPTATIONS = [
    Component(
        kind="adaptation",
        name="lora",
        target=f"{_HERE}.lora:LoRA",
        summary="LoRA on q, k, v of the vision tower",
        reference="Hu et al., LoRA, ICLR 2022 (arXiv:2106.09685)",
    ),
    Component(
        kind="adaptation",
        name="dora",
        target=f"{_HERE}.dora:DoRA",
        summary="DoRA on q, k, v of the vision tower: LoRA of directions, magnitudes apart",
        reference="Liu et al., DoRA: weight-decomposed low-rank adaptation, ICML 2024 (arXiv:2402.09353)",
    ),
    Component(
        kind="adaptation",
        name="adalora",
        target=f"{_HERE}.adalora:AdaLoRA",
        summary="AdaLoRA on q, k, v of the vision tower: ranks shared out while training",
        reference="Zhang et al., AdaLoRA, ICLR 2023 (arXiv:2303.10512)",
        # Zhang et al. use 5e-4 to 2.2e-3 (appendix, GLUE).
        recommends={"lr": 1e-3},
    ),
    Component(
        kind="adaptation",
        name="ia3",
        target=f"{_HERE}.ia3:IA3",
        summary="(IA)^3: learned factors on keys, values and MLP activations of the vision tower",
        reference="Liu et al., Few-shot parameter-efficient fine-tuning, NeurIPS 2022 (arXiv:2205.05638)",
        # Liu et al., section 3.3, with Adafactor.
        recommends={"lr": 3e-3},
    ),
    Component(
        kind="adaptation",
        name="loha",
        target=f"{_HERE}.loha:LoHa",
        summary="LoHa on q, k, v of the vision tower: Hadamard product of two low-rank matrices",
        reference="Hyeon-Woo et al., FedPara, ICLR 2022 (arXiv:2108.06098)",
    ),
    Component(
        kind="adaptation",
        name="oft",
        target=f"{_HERE}.oft:OFT",
        summary="OFT on q, k, v of the vision tower: learned rotations of blocks of channels",
        reference="Qiu et al., Orthogonal finetuning, NeurIPS 2023 (arXiv:2306.07280)",
    ),
    Component(
        kind="adaptation",
        name="vera",
        target=f"{_HERE}.vera:VeRA",
        summary="VeRA on q, k, v of the vision tower: learned vectors between shared random matrices",
        reference="Kopiczko et al., VeRA, ICLR 2024 (arXiv:2310.11454)",
        # Kopiczko et al. use 4e-3 to 1e-2 (appendix, GLUE).
        recommends={"lr": 4e-3},
    ),
    Component(
        kind="adaptation",
        name="ln",
        target=f"{_HERE}.layer_norm:LayerNorms",
        summary="gains and offsets of the vision tower's layer norms",
        reference="Zhao et al., Tuning LayerNorm in attention, ICLR 2024 (arXiv:2312.11420)",
        # Ours: ten times the study's, for parameters of the order of 1.
        recommends={"lr": 1e-3},
    ),
    Component(
        kind="adaptation",
        name="vpt",
        target=f"{_HERE}.vpt:VPT",
        summary="visual prompt tuning, shallow: learned tokens after CLS",
        reference=_JIA,
        # The study's.
        recommends={"lr": 1e-2},
    ),
    Component(
        kind="adaptation",
        name="vpt-deep",
        target=f"{_HERE}.vpt:DeepVPT",
        summary="visual prompt tuning, deep: fresh learned tokens before every block",
        reference=_JIA,
        # As for vpt; Jia et al. search over rates of SGD, the same for both.
        recommends={"lr": 1e-2},
    ),
    Component(
        kind="adaptation",
        name="vpt-pad",
        target=f"{_HERE}.padding:PaddingPrompt",
        summary="visual prompting: a learned border added to every image",
        reference="Bahng et al., Exploring visual prompts for adapting large-scale models, 2022 (arXiv:2203.17274)",
        # Bahng et al. and Mao et al. use SGD at 40; this is for AdamW, whose steps do not shrink with the gradient.
        recommends={"lr": 1e-2},
    ),
    Component(
        kind="adaptation",
        name="full",
        target=f"{_HERE}.full:Full",
        summary="all weights of the image encoder",
        reference="Mao et al., Understanding zero-shot adversarial robustness, ICLR 2023 (arXiv:2212.07016)",
        # Mao et al. (SGD) and Schlarmann et al., FARE, ICML 2024 (AdamW).
        recommends={"lr": 1e-5},
    ),
    Component(
        kind="adaptation",
        name="head",
        target=f"{_HERE}.head:Head",
        summary="linear probe: the layer that makes the logits, started from the prompts",
        reference="Radford et al., Learning transferable visual models, ICML 2021 (arXiv:2103.00020), section 3.2",
        # Ours: ten times the study's, for one convex layer.
        recommends={"lr": 1e-3},
    ),
    Component(
        kind="adaptation",
        name="last-n",
        target=f"{_HERE}.last_n:LastN",
        summary="the last n blocks and what follows them",
        reference="Yosinski et al., How transferable are features?, NeurIPS 2014 (arXiv:1411.1792)",
        # As for full.
        recommends={"lr": 1e-5},
    ),
]
