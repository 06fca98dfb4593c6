"""What a run computes on: the device, its precision, and the processes that share the run.

- ``device.py``: the device named by ``--device``.
- ``precision.py``: what each stage computes in, float32 or bfloat16, and TF32 switched off.
- ``processor.py``: the processor's name and maker.
- ``software.py``: versions of the software, the state of the source and the device's name, for records.
- ``world.py``: the processes that share a run; ``launch.py``: how they are started.
"""
