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


_GROUPS = {
    "gradients": ("fgsm", "pgd", "cw-linf", "jitter", "apgd-ce", "apgd-dlr", "apgd-t"),
    "for transfer": ("mi-fgsm", "ni-fgsm", "di-fgsm", "ti-fgsm", "vmi-fgsm"),
    "shortest perturbations": ("cw", "deepfool", "fab"),
    "queries only": ("square",),
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
    _attack("apgd-ce", "apgd:APGDCE", "Auto-PGD on the cross-entropy, Linf or L2", _APGD),
    _attack("apgd-dlr", "apgd:APGDDLR", "Auto-PGD on the difference of logits ratio, Linf or L2", _APGD),
    _attack(
        "apgd-t",
        "apgd:APGDT",
        "Auto-PGD on the targeted difference of logits ratio, up to 9 target classes, Linf or L2",
        _APGD,
    ),
    _attack(
        "fab",
        "fab:FAB",
        "fast adaptive boundary attack, Linf or L2",
        "Croce and Hein, Minimally distorted adversarial examples with a fast adaptive boundary attack, ICML 2020 "
        "(arXiv:1907.02044)",
    ),
    _attack(
        "square",
        "square:Square",
        "Square Attack: random search without gradients, 5,000 queries, Linf or L2",
        "Andriushchenko et al., Square Attack: a query-efficient black-box adversarial attack via random search, ECCV "
        "2020 (arXiv:1912.00049)",
    ),
    _attack(
        "autoattack",
        "autoattack:AutoAttack",
        "APGD-CE, APGD-T, FAB-T and Square in turn (standard version), Linf or L2",
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
    _attack("noise", "noise:Noise", "random noise, Linf or L2: a control that every attack must beat", "the control"),
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
