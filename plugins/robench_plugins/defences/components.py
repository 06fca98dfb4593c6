"""The defences, declared as data."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.defences"


def _defence(name: str, target: str, summary: str, reference: str) -> Component:
    return Component(kind="defence", name=name, target=f"{_HERE}.{target}", summary=summary, reference=reference)


DEFENCES: list[Component] = [
    _defence(
        "ttc",
        "ttc:TTC",
        "test-time counterattack: steps on the image that move its embedding; for image-text models",
        "Xing, Zhao and Sebe, CLIP is strong enough to fight back: test-time counterattacks towards zero-shot "
        "adversarial robustness of CLIP, CVPR 2025 (arXiv:2503.03613)",
    ),
    _defence(
        "rtpt",
        "rtpt:RTPT",
        "a prompt tuned on views of each image by their entropies, and a vote of the views; for image-text models",
        "Sheng, Liang, Wang and He, R-TPT: improving adversarial robustness of vision-language models through "
        "test-time prompt tuning, CVPR 2025 (arXiv:2504.11195)",
    ),
    _defence(
        "resize-pad",
        "resize_pad:ResizePad",
        "images at a random size and place within a grey frame",
        "Xie et al., Mitigating adversarial effects through randomization, ICLR 2018 (arXiv:1711.01991)",
    ),
    _defence(
        "jpeg",
        "jpeg:JPEG",
        "images compressed as JPEG and read again",
        "Dziugaite, Ghahramani and Roy, A study of the effect of JPG compression on adversarial images, 2016 "
        "(arXiv:1608.00853)",
    ),
    _defence(
        "bit-depth",
        "bit_depth:BitDepth",
        "images rounded to few levels",
        "Xu, Evans and Qi, Feature squeezing: detecting adversarial examples in deep neural networks, NDSS 2018 "
        "(arXiv:1704.01155)",
    ),
    _defence(
        "smoothing",
        "smoothing:Smoothing",
        "randomised smoothing: a vote over images with noise, with a certified L2 radius",
        "Cohen, Rosenfeld and Kolter, Certified adversarial robustness via randomized smoothing, ICML 2019 "
        "(arXiv:1902.02918)",
    ),
]
