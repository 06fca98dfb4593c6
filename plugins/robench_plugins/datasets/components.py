"""The datasets, declared as data."""

from __future__ import annotations

from robench import Component

from robench_plugins.datasets.catalogue import named_components

_HERE = "robench_plugins.datasets"

DATASETS = [
    Component(
        kind="dataset",
        name="leaf-synth",
        target=f"{_HERE}.leaf_synth:LeafSynth",
        summary="synthetic tomato leaves, 10 conditions, 32 px, drawn on the spot (no photographs)",
        reference="classes of PlantVillage: Hughes and Salathe 2015 (arXiv:1511.08060)",
    ),
    Component(
        kind="dataset",
        name="digits",
        target=f"{_HERE}.digits:Digits",
        summary="handwritten digits of scikit-learn, 10 classes, 8 px enlarged to 32 (no download)",
        reference="Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI repository, 1998 (CC BY 4.0)",
        recommends={"model": "clip-tiny"},
    ),
    *(
        Component(
            kind="dataset",
            name=name,
            target=f"{_HERE}.drawn:{name.capitalize()}",
            summary=f"{what}, 32 px, drawn on the spot",
            recommends={"model": "clip-tiny"},
        )
        for name, what in (
            ("shapes", "plain figures such as circles and crosses, 8 classes"),
            ("textures", "stripes, checks, rings and other patterns, 8 classes"),
            ("counts", "one to six discs, 6 classes"),
        )
    ),
    Component(
        kind="dataset",
        name="folder",
        target=f"{_HERE}.folder:Folder",
        summary="your images, in class folders or a table: folder:path=DIR or folder:manifest=FILE",
    ),
    Component(
        kind="dataset",
        name="leaf",
        target=f"{_HERE}.leaf:Leaf",
        summary="photographs of leaves, such as PlantVillage's tomatoes: leaf:path=DIR, a preset of folder",
        reference="Hughes and Salathe, An open access repository of images on plant health, 2015 (arXiv:1511.08060)",
        recommends={"model": "leaf-vit"},
    ),
    Component(
        kind="dataset",
        name="cifar10",
        target=f"{_HERE}.cifar10:CIFAR10",
        summary="CIFAR-10 photographs, 32 px: parquet, python batches, image folder or the Hub",
        reference="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        recommends={"model": "clip-tiny-cifar10"},
        downloads=("hf-dataset:uoft-cs/cifar10",),
    ),
    Component(
        kind="dataset",
        name="cifar10-1",
        target=f"{_HERE}.cifar10_1:CIFAR101",
        summary="CIFAR-10.1, 2,000 new photographs of CIFAR-10's classes, test images alone: cifar10-1:path=DIR",
        reference="Recht et al., Do CIFAR-10 classifiers generalize to CIFAR-10?, 2018 (arXiv:1806.00451)",
        recommends={"model": "clip-tiny-cifar10"},
    ),
    Component(
        kind="dataset",
        name="hub",
        target=f"{_HERE}.hub:Hub",
        summary="any image classification of the Hugging Face Hub: hub:ORG/NAME, or a folder of it, hub:path=DIR",
        reference="Lhoest et al., Datasets: a community library, EMNLP 2021 (arXiv:2109.02846)",
        bare="repository",
    ),
    Component(
        kind="dataset",
        name="webdataset",
        target=f"{_HERE}.webdataset:WebDataset",
        summary="tar shards in the layout of CLIP_benchmark: webdataset:path=DIR",
        reference="https://github.com/LAION-AI/CLIP_benchmark",
    ),
    Component(
        kind="dataset",
        name="torchvision",
        target=f"{_HERE}.torchvision_sets:Torchvision",
        summary="any image classification of torchvision.datasets: torchvision:NAME,path=DIR",
        reference="https://docs.pytorch.org/vision/stable/datasets.html",
        bare="name",
    ),
    *named_components(),
]
