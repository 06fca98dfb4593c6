"""The datasets.

==============  ======================================================================================
``leaf_synth``  the dataset that is drawn, ``leaf-synth``: no files, no download
``leaf``        the dataset that reads a folder of photographs, ``leaf:path=DIR``
``cifar10``     CIFAR-10 in each form that it is handed on in
``hub``         any set of the Hugging Face Hub; ``webdataset``, ``torchvision_sets``: other published forms
``named``       the sets that the field scores on, with their facts in ``named.json``
``published``   what these share
``readers``     files to arrays: parquet, python batches, class folders and photographs, for any dataset
``components``  their names and one-line descriptions, as `robench list datasets` shows them
==============  ======================================================================================
"""
