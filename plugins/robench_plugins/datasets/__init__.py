"""The datasets.

==============  ======================================================================================
``leaf_synth``  the dataset that is drawn, ``leaf-synth``: no files, no download
``folder``      the dataset that reads class folders or a table of images, ``folder:path=DIR``
``leaf``        its preset for leaves, ``leaf:path=DIR``
``cifar10``     CIFAR-10 in each form that it is handed on in
``hub``         any set of the Hugging Face Hub; ``webdataset``, ``torchvision_sets``: other published forms
``named``       the sets that the field scores on, with their facts in ``named.json``
``published``   what these share
``readers``     files to arrays: parquet, python batches, class folders and photographs, for any dataset
``components``  their names and one-line descriptions, as `robench list datasets` shows them
==============  ======================================================================================
"""
