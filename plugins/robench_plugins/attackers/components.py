"""The attacks, declared as data."""

from __future__ import annotations

from robench import Component

from robench_plugins.attackers.torchattacks.catalogue import UPSTREAM
from robench_plugins.groups import group_of

_HERE = "robench_plugins.attackers"
_APGD = (
    "Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks, "
    "ICML 2020 (arXiv:2003.01690)"
)
_SPARSE_RS = (
    "Croce et al., Sparse-RS: a versatile framework for query-efficient sparse black-box adversarial attacks, AAAI "
    "2022 (arXiv:2006.12834)"
)
_SQUARE = (
    "Andriushchenko et al., Square Attack: a query-efficient black-box adversarial attack via random search, ECCV 2020 "
    "(arXiv:1912.00049)"
)
_SPATIAL = "Engstrom et al., Exploring the landscape of spatial robustness, ICML 2019 (arXiv:1712.02779)"


_GROUPS = {
    "gradients": ("fgsm", "pgd", "cw-linf", "jitter", "apgd-ce", "apgd-dlr", "apgd-t"),
    "for transfer": ("mi-fgsm", "ni-fgsm", "di-fgsm", "ti-fgsm", "vmi-fgsm", "si-fgsm", "admix", "ssa", "pgn", "sia"),
    "shortest perturbations": ("cw", "deepfool", "fab"),
    "queries only": ("square", "rays", "hopskipjump"),
    "few pixels": ("sparse-rs", "pgd-l0"),
    "patches": ("sparse-rs-patch", "patch-pgd", "adversarial-patch"),
    "turned and moved": ("spatial-grid", "spatial-random", "spatial-pgd"),
    "other colours": ("colour-fw", "colour-search"),
    "several attacks in turn": ("autoattack", "autoattack-ce-t", "autoattack-ce-dlr"),
    "images from elsewhere": ("images",),
    "controls": ("noise", "resize"),
}


def _attack(name: str, target: str, summary: str, reference: str, *, group: str = "", **defaults: object) -> Component:
    return Component(
        kind="attacker",
        name=name,
        target=f"{_HERE}.{target}",
        summary=summary,
        reference=reference,
        group=group or group_of(name, _GROUPS),
        defaults=defaults,
    )


ATTACKERS: list[Component] = [
    _attack(
        "fgsm",
        "fgsm:FGSM",
        "fast gradient (sign) method: one step, Linf or L2; fgsm-MODEL: gradients of a surrogate",
        "Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015",
    ),
    _attack(
        "pgd",
        "pgd:PGD",
        "projected gradient descent, Linf or L2; pgd-MODEL: gradients of a surrogate",
        "Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018",
    ),
    _attack(
        "cw-linf",
        "pgd:PGD",
        "PGD on the margin of logits, 10 steps: what papers on robust CLIPs call CW; cw is the L2 attack",
        "Mao et al., Understanding zero-shot adversarial robustness for large-scale models, ICLR 2023 "
        "(arXiv:2212.07016), the authors' code (TeCoA); the loss is that of Carlini and Wagner (arXiv:1608.04644)",
        loss="margin",
        steps=10,
    ),
    _attack(
        "images",
        "images:Images",
        "images that were made elsewhere, judged on their ball without projecting: images:path=FILE",
        "files of --save-images, or of any other tool",
    ),
    _attack(
        "mi-fgsm",
        "mi_fgsm:MIFGSM",
        "iterated FGSM with momentum, for transfer",
        "Dong et al., Boosting adversarial attacks with momentum, CVPR 2018 (arXiv:1710.06081)",
    ),
    _attack(
        "ni-fgsm",
        "mi_fgsm:NIFGSM",
        "iterated FGSM with Nesterov momentum, for transfer",
        "Lin et al., Nesterov accelerated gradient and scale invariance for adversarial attacks, ICLR 2020 "
        "(arXiv:1908.06281)",
    ),
    _attack(
        "di-fgsm",
        "di_fgsm:DIFGSM",
        "iterated FGSM on randomly resized images, for transfer",
        "Xie et al., Improving transferability of adversarial examples with input diversity, CVPR 2019 "
        "(arXiv:1803.06978)",
    ),
    _attack(
        "ti-fgsm",
        "ti_fgsm:TIFGSM",
        "iterated FGSM with gradients averaged over translations, for transfer",
        "Dong et al., Evading defenses to transferable adversarial examples by translation-invariant attacks, CVPR "
        "2019 (arXiv:1904.02884)",
    ),
    _attack(
        "vmi-fgsm",
        "vmi_fgsm:VMIFGSM",
        "iterated FGSM with momentum and variance tuning, for transfer",
        "Wang and He, Enhancing the transferability of adversarial attacks through variance tuning, CVPR 2021 "
        "(arXiv:2103.15571)",
    ),
    _attack(
        "si-fgsm",
        "si_fgsm:SIFGSM",
        "iterated FGSM with momentum and gradients of scaled images, for transfer",
        "Lin et al., Nesterov accelerated gradient and scale invariance for adversarial attacks, ICLR 2020 "
        "(arXiv:1908.06281)",
    ),
    _attack(
        "admix",
        "admix:Admix",
        "SI-FGSM on images mixed with some of other classes, for transfer",
        "Wang, He, Wang and He, Admix: enhancing the transferability of adversarial attacks, ICCV 2021 "
        "(arXiv:2102.00436)",
    ),
    _attack(
        "ssa",
        "ssa:SSA",
        "iterated FGSM with momentum on images whose spectra are changed (SSA, SSM), for transfer",
        "Long et al., Frequency domain model augmentation for adversarial attack, ECCV 2022 (arXiv:2207.05382)",
    ),
    _attack(
        "pgn",
        "pgn:PGN",
        "iterated FGSM with momentum towards flat maxima, for transfer",
        "Ge et al., Boosting adversarial transferability by achieving flat local maxima, NeurIPS 2023 "
        "(arXiv:2306.05225)",
    ),
    _attack(
        "sia",
        "sia:SIA",
        "iterated FGSM with momentum on images whose blocks are shifted, flipped or turned, for transfer",
        "Wang, Zhang and Zhang, Structure invariant transformation for better adversarial transferability, ICCV 2023 "
        "(arXiv:2309.14700)",
    ),
    _attack(
        "jitter",
        "jitter:Jitter",
        "PGD on a scaled, noisy softmax",
        "Schwinn et al., Exploring misclassifications of robust neural networks to enhance adversarial attacks, 2021 "
        "(arXiv:2105.10304)",
    ),
    _attack(
        "cw",
        "cw:CW",
        "Carlini and Wagner's shortest L2 perturbation",
        "Carlini and Wagner, Towards evaluating the robustness of neural networks, IEEE S&P 2017 (arXiv:1608.04644)",
    ),
    _attack(
        "deepfool",
        "deepfool:DeepFool",
        "a short L2 perturbation, by steps to the nearest linearised boundary",
        "Moosavi-Dezfooli et al., DeepFool: a simple and accurate method to fool deep neural networks, CVPR 2016 "
        "(arXiv:1511.04599)",
    ),
    _attack("apgd-ce", "apgd:APGDCE", "Auto-PGD on the cross-entropy, Linf, L2 or L1", _APGD),
    _attack("apgd-dlr", "apgd:APGDDLR", "Auto-PGD on the difference of logits ratio, Linf, L2 or L1", _APGD),
    _attack(
        "apgd-t",
        "apgd:APGDT",
        "Auto-PGD on the targeted difference of logits ratio, up to 9 target classes, Linf, L2 or L1",
        _APGD,
    ),
    _attack(
        "fab",
        "fab:FAB",
        "fast adaptive boundary attack, Linf, L2 or L1",
        "Croce and Hein, Minimally distorted adversarial examples with a fast adaptive boundary attack, ICML 2020 "
        "(arXiv:1907.02044)",
    ),
    _attack(
        "square",
        "square:Square",
        "Square Attack: random search without gradients, 5,000 queries, Linf, L2 or L1",
        _SQUARE,
    ),
    _attack(
        "rays",
        "rays:RayS",
        "RayS: a search for the nearest boundary in Linf that sees predicted classes alone, 1,000 queries",
        "Chen and Gu, RayS: a ray searching method for hard-label adversarial attack, KDD 2020 (arXiv:2006.12792)",
    ),
    _attack(
        "hopskipjump",
        "hopskipjump:HopSkipJump",
        "HopSkipJump: steps along the boundary that see predicted classes alone, 1,000 queries, Linf or L2",
        "Chen, Jordan and Wainwright, HopSkipJumpAttack: a query-efficient decision-based attack, IEEE S&P 2020 "
        "(arXiv:1904.02144)",
    ),
    _attack(
        "sparse-rs",
        "sparse_rs:SparseRS",
        "Sparse-RS: random search over a few pixels, 10,000 queries, L0",
        _SPARSE_RS,
    ),
    _attack(
        "pgd-l0",
        "pgd_l0:PGDL0",
        "projected gradient descent on a few pixels, L0",
        "Croce and Hein, Sparse and imperceivable adversarial attacks, ICCV 2019 (arXiv:1909.05040)",
    ),
    _attack(
        "sparse-rs-patch",
        "sparse_rs:SparseRSPatch",
        "Sparse-RS: random search over a patch and its place in each image, 10,000 queries",
        _SPARSE_RS,
    ),
    _attack(
        "patch-pgd",
        "patch_pgd:PatchPGD",
        "gradient steps on the values of a patch in each image",
        "Karmon, Zoran and Goldberg, LaVAN: localized and visible adversarial noise, ICML 2018 (arXiv:1801.02608)",
    ),
    _attack(
        "adversarial-patch",
        "adversarial_patch:AdversarialPatch",
        "one patch for all images, trained on the training split and kept in the cache",
        "Brown et al., Adversarial patch, 2017 (arXiv:1712.09665)",
    ),
    _attack("spatial-grid", "spatial:SpatialGrid", "a grid of turns and moves of each image", _SPATIAL),
    _attack("spatial-random", "spatial:SpatialRandom", "the worst of 10 random turns and moves", _SPATIAL),
    _attack("spatial-pgd", "spatial:SpatialPGD", "gradient steps by the angle and the moves of each image", _SPATIAL),
    _attack(
        "colour-fw",
        "colour:ColourFW",
        "Frank-Wolfe steps along the gradient on tone curves, 3 starts",
        "Chen et al., A Frank-Wolfe framework for efficient and effective adversarial attacks, AAAI 2020 "
        "(arXiv:1811.10828); Laidlaw and Feizi, Functional adversarial attacks, NeurIPS 2019 (arXiv:1906.00001)",
    ),
    _attack("colour-search", "colour:ColourSearch", "random search over tone curves, 1,000 queries", _SQUARE),
    _attack(
        "autoattack",
        "autoattack:AutoAttack",
        "APGD-CE, APGD-T, FAB-T and Square in turn (standard version), Linf, L2 or L1",
        _APGD,
    ),
    _attack(
        "autoattack-ce-t",
        "autoattack:AutoAttack",
        "APGD-CE and APGD-T in turn: what RobustVLM's protocol calls AutoAttack",
        f"Schlarmann et al., Robust CLIP, ICML 2024 (arXiv:2402.12336), the authors' code; {_APGD}",
        attacks="ce-t",
    ),
    _attack(
        "autoattack-ce-dlr",
        "autoattack:AutoAttack",
        "APGD-CE and APGD-DLR in turn: what the code of TTC and of others calls AutoAttack",
        f"Xing, Zhao and Sebe, CVPR 2025 (arXiv:2503.03613), the authors' code; {_APGD}",
        attacks="ce-dlr",
    ),
    _attack("noise", "noise:Noise", "random noise, in any ball: a control that every attack must beat", "the control"),
    _attack(
        "resize", "resize:Resize", "images resized and back: a control for attacks across resolutions", "the control"
    ),
    *(
        _attack(
            f"torchattacks-{name.lower()}",
            f"torchattacks.attack:{name}",
            f"torchattacks' {name}: {entry.summary}",
            "Kim, Torchattacks: a PyTorch repository for adversarial attacks, 2020 (arXiv:2010.01950)"
            + (f"; arXiv:{entry.arxiv}" if entry.arxiv else ""),
            group="torchattacks",
        )
        for name, entry in UPSTREAM.items()
    ),
]
