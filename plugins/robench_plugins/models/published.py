"""Published image-text models with names of their own, robust ones among them, declared as data."""

from __future__ import annotations

from robench import Component

_HERE = "robench_plugins.models"
_ROBUST = (
    "Schlarmann et al., Robust CLIP, ICML 2024 (arXiv:2402.12336). Published: average of their zero-shot sets {}, in "
    "percent: clean, and under apgd-ce and apgd-t at Linf 2/255 and 4/255"
)
# Clean, 2/255 and 4/255: the table of github.com/chs20/RobustVLM.
_L14 = {
    "tecoa2": (60.0, 43.6, 27.0),
    "tecoa4": (54.2, 42.3, 31.9),
    "fare2": (67.0, 43.1, 20.5),
    "fare4": (61.1, 45.9, 32.4),
}


def _clip(name: str, hub: str, summary: str, reference: str) -> Component:
    target, files = f"{_HERE}.clip:CLIP", (f"hf:{hub}",)
    return Component(
        kind="model", name=name, target=target, summary=summary, reference=reference, defaults={"path": hub},
        downloads=files,
    )  # fmt: skip


def _open_clip(name: str, hub: str, summary: str, reference: str) -> Component:
    target, files = f"{_HERE}.open_clip_model:OpenCLIP", (f"hf:{hub}",)
    return Component(
        kind="model", name=name, target=target, summary=summary, reference=reference,
        defaults={"path": f"hf-hub:{hub}"}, downloads=files,
    )  # fmt: skip


def _robust(name: str) -> Component:
    method, eps = ("TeCoA" if name.startswith("tecoa") else "FARE"), name[-1]
    figures = " / ".join(map(str, _L14[name]))
    return _open_clip(
        f"{name}-clip-vit-l14",
        f"chs20/{name}-clip",
        f"CLIP ViT-L/14 made robust by {method} at {eps}/255 on ImageNet, downloaded from the Hub",
        _ROBUST.format(figures),
    )


PUBLISHED = [
    _clip(
        "siglip-vit-b16",
        "google/siglip-base-patch16-224",
        "Google's SigLIP ViT-B/16, downloaded from the Hub",
        "Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023 (arXiv:2303.15343)",
    ),
    _clip(
        "siglip2-vit-b16",
        "google/siglip2-base-patch16-224",
        "Google's SigLIP 2 ViT-B/16, downloaded from the Hub",
        "Tschannen et al., SigLIP 2, 2025 (arXiv:2502.14786)",
    ),
    *(_robust(name) for name in _L14),
    *(
        _open_clip(
            f"{method.lower()}4-clip-vit-b32",
            f"chs20/{method}4-ViT-B-32-laion2B-s34B-b79K",
            f"CLIP ViT-B/32 of LAION made robust by {method} at 4/255 on ImageNet, downloaded from the Hub",
            "Schlarmann et al., Robust CLIP, ICML 2024 (arXiv:2402.12336)",
        )
        for method in ("TeCoA", "FARE")
    ),
    Component(
        kind="model",
        name="leaf-clip-vit-l14",
        target=f"{_HERE}.clip:CLIP",
        summary="CLIP ViT-L/14 with robust towers for images (FARE, 2/255) and text (LEAF), downloaded from the Hub",
        reference="Abad Rocamora et al., Robustness in both domains: CLIP needs a robust text encoder, NeurIPS 2025",
        defaults={
            "path": "LEAF-CLIP/CLIP-ViT-L-rho50-k1-constrained-FARE2",
            "processor": "openai/clip-vit-large-patch14",
        },
        downloads=("hf:LEAF-CLIP/CLIP-ViT-L-rho50-k1-constrained-FARE2", "hf:openai/clip-vit-large-patch14"),
    ),
]
