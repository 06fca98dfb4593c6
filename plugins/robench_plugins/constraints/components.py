"""The constraints, declared as data."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.constraints"


def _constraint(name: str, target: str, summary: str, reference: str, title: str = "") -> Component:
    return Component(
        kind="constraint",
        name=name,
        target=f"{_HERE}.{target}",
        summary=summary,
        reference=reference,
        title=title,
    )


CONSTRAINTS: list[Component] = [
    _constraint(
        "linf",
        "linf:Linf",
        "every value changes by at most epsilon, such as 8/255",
        "Goodfellow et al., Explaining and harnessing adversarial examples, ICLR 2015 (arXiv:1412.6572)",
        "Linf",
    ),
    _constraint(
        "l2",
        "l2:L2",
        "the change has a Euclidean length of at most epsilon, such as 128/255",
        "Carlini and Wagner, Towards evaluating the robustness of neural networks, IEEE S&P 2017 (arXiv:1608.04644)",
        "L2",
    ),
    _constraint(
        "l1",
        "l1:L1",
        "the changes of all values add up to at most epsilon, such as 12",
        "Croce and Hein, Mind the box: l1-APGD for sparse adversarial attacks on image classifiers, ICML 2021 "
        "(arXiv:2103.01208)",
        "L1",
    ),
    _constraint(
        "l0",
        "l0:L0",
        "epsilon pixels may take any values, such as 20",
        "Croce et al., Sparse-RS: a versatile framework for query-efficient sparse black-box adversarial attacks, AAAI "
        "2022 (arXiv:2006.12834)",
        "L0",
    ),
    _constraint(
        "patch",
        "patch:Patch",
        "a square of epsilon by epsilon pixels may take any values, anywhere, such as 8",
        "Karmon, Zoran and Goldberg, LaVAN: localized and visible adversarial noise, ICML 2018 (arXiv:1801.02608)",
    ),
    _constraint(
        "spatial",
        "spatial:Spatial",
        "turns by whole degrees up to epsilon, such as 30, and moves that go with them",
        "Engstrom et al., Exploring the landscape of spatial robustness, ICML 2019 (arXiv:1712.02779)",
    ),
    _constraint(
        "colour",
        "colour:Colour",
        "one tone curve for each channel, which changes no value by more than epsilon, such as 16/255",
        "Laidlaw and Feizi, Functional adversarial attacks, NeurIPS 2019 (arXiv:1906.00001); Zhao, Liu and Larson, "
        "Adversarial color enhancement, BMVC 2020 (arXiv:2002.01008)",
    ),
]
