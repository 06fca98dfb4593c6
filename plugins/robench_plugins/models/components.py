"""The models, declared as data."""

from __future__ import annotations

from robench import Component

from robench_plugins.models.published import PUBLISHED

_HERE = "robench_plugins.models"
_RESNET = "He et al., Deep residual learning for image recognition, CVPR 2016 (arXiv:1512.03385), section 4.2"
_CLIP = "Radford et al., Learning transferable visual models from natural language supervision, ICML 2021"

# The study's learning rate of 1e-4 suits a tower of 768 channels; 128 channels and few images need more. Each was
# chosen on 500 validation images, as in: robench run --split validation --test-size 500 --tuner tecoa:lr=1e-3
_LEAF_TUNING = {
    "lora": {"lr": 5e-3, "epochs": 2},
    "lora-ce": {"lr": 3e-3, "epochs": 2},
    "vpt": {"lr": 3e-2, "epochs": 2},
}
_CIFAR10_TUNING = {
    "lora": {"lr": 1e-3, "epochs": 2},
    "vpt": {"epochs": 2},
}

_KERAS_VIT = (
    "Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021 (arXiv:2010.11929); Salama, Keras example, 2021"
)
# The study's augmentation and largest number of epochs. It also balanced classes, to 1,500 and 3,000 images; these
# numbers suit its 27,000 photographs alone, so balance= is left to the user.
_LEAF_CNN = {"augment": "study-cnn", "epochs": 30}
_LEAF_VIT = {"augment": "study-vit", "epochs": 50}
_SUPERVISED_TUNERS = ("supervised", "supervised-at", "supervised-trades")

MODELS = [
    Component(
        kind="model",
        name="clip-tiny",
        target=f"{_HERE}.clip:CLIP",
        summary="small CLIP, pretrained on captioned synthetic leaves; comes with robench",
        reference=_CLIP,
        defaults={"path": "shipped:clip-tiny"},
        recommends=_LEAF_TUNING,
    ),
    Component(
        kind="model",
        name="clip-tiny-cifar10",
        target=f"{_HERE}.clip:CLIP",
        summary="small CLIP, pretrained on captioned CIFAR-10 training images; comes with robench",
        reference=_CLIP,
        defaults={"path": "shipped:clip-tiny-cifar10"},
        recommends=_CIFAR10_TUNING,
    ),
    Component(
        kind="model",
        name="clip-tiny-offline",
        target=f"{_HERE}.clip:CLIP",
        summary="small CLIP, pretrained on captioned images of the four data sets of offline@1; comes with robench",
        reference=_CLIP,
        defaults={"path": "shipped:clip-tiny-offline"},
        recommends=_LEAF_TUNING,
    ),
    Component(
        kind="model",
        name="clip-vit-b32",
        target=f"{_HERE}.clip:CLIP",
        summary="OpenAI's CLIP ViT-B/32, downloaded from the Hub (605 MB)",
        reference=_CLIP,
        defaults={"path": "openai/clip-vit-base-patch32"},
        downloads=("hf:openai/clip-vit-base-patch32",),
    ),
    Component(
        kind="model",
        name="clip",
        target=f"{_HERE}.clip:CLIP",
        summary="any CLIP or SigLIP of transformers: clip:path=DIR or clip:path=ORG/NAME on the Hub",
        reference=_CLIP,
    ),
    Component(
        kind="model",
        name="open-clip",
        target=f"{_HERE}.open_clip_model:OpenCLIP",
        summary="any model of open_clip: open-clip:ViT-B-32,pretrained=TAG, or open-clip:path=FILE-OR-DIR",
        reference="Ilharco et al., OpenCLIP, 2021 (doi:10.5281/zenodo.5143773)",
        family="model",
        bare="model",
    ),
    *PUBLISHED,
    Component(
        kind="model",
        name="leaf-inception",
        target=f"{_HERE}.leaf_inception:LeafInception",
        summary="the study's CNN, untrained: InceptionV3 at 299 px with a dense layer",
        reference="Szegedy et al., Rethinking the Inception architecture, CVPR 2016 (arXiv:1512.00567)",
        recommends=dict.fromkeys(_SUPERVISED_TUNERS, _LEAF_CNN),
        downloads=("hf:timm/inception_v3.tv_in1k",),
    ),
    Component(
        kind="model",
        name="leaf-vit",
        target=f"{_HERE}.leaf_vit:LeafViT",
        summary="the study's ViT, untrained: overlapping patches of 8 px at 64 px",
        reference=_KERAS_VIT,
        recommends=dict.fromkeys(_SUPERVISED_TUNERS, _LEAF_VIT),
    ),
    Component(
        kind="model",
        name="leaf-vit-256",
        target=f"{_HERE}.leaf_vit:LeafViT",
        summary="the study's ViT, untrained: overlapping patches of 32 px at 256 px",
        reference=_KERAS_VIT,
        defaults={"image_size": 256, "patch_size": 32, "stride": 24},
        recommends=dict.fromkeys(_SUPERVISED_TUNERS, _LEAF_VIT),
    ),
    Component(
        kind="model",
        name="timm",
        target=f"{_HERE}.timm_classifier:TimmClassifier",
        summary="any classifier of timm, also as a surrogate, such as timm-resnet18:weights=FILE",
        reference="Wightman, PyTorch Image Models, 2019 (doi:10.5281/zenodo.4414861)",
        family="architecture",
    ),
    *(
        Component(
            kind="model",
            name=f"resnet{depth}",
            target=f"{_HERE}.resnet:CIFARResNet",
            summary=f"CIFAR ResNet-{depth}, also as a surrogate: weights shipped, published, from a file, or trained",
            reference=_RESNET,
            defaults={"depth": depth},
            downloads=(f"torch.hub:{checkpoint}",),
        )
        for depth, checkpoint in {
            20: "resnet20-12fca82f.th",
            32: "resnet32-d509ac18.th",
            44: "resnet44-014dd654.th",
            56: "resnet56-4bfd9763.th",
        }.items()
    ),
]
