"""One run: plan it, carry out its stages, and record what it found.

Start with ``runner.py``: its function ``run`` takes a plan and writes the record, also when a run fails.

| file | what it does |
|---|---|
| ``plan.py`` | turns a ``Request`` (what the user typed) into a ``Plan`` (all components and parameters settled) |
| ``replan.py`` | turns the spec of a record back into a plan |
| ``prediction.py`` | lets the network of a recorded run classify images without labels |
| ``given.py`` | makes a model of a network that was given in Python |
| ``recorded_run.py`` | carries out a plan unless its record is there |
| ``identity.py`` | tells whether what decided a recorded run has changed since |
| ``requested_tuner.py`` | settles the tuner: its flags, its recommended parameters, a saved adapter |
| ``runner.py`` | carries out a plan and writes its record |
| ``stages.py`` | the stages in order: data, model, tuning, clean evaluation, attacks, checks |
| ``tuning_stage.py`` | the tuning stage: trains the network, or loads a saved adapter |
| ``defences.py`` | puts a network behind the defences of its run |
| ``findings.py`` | holds what a run has measured so far |
| ``data.py`` | loads the images of a run and describes them for the record |
| ``dataset_cache.py`` | keeps images loaded between the runs of a sweep |
| ``saved_images.py`` | writes the scored images as files |
| ``samples.py`` | picks the sample images that figures show |
| ``provenance.py`` | records versions, device and command |
| ``hooks.py`` | tells plugins about a run without letting them break it |
| ``loggers.py`` | attaches the loggers of ``--log`` |
| ``progress.py`` | shows progress bars |
| ``status.py`` | writes which runs are under way, for ``robench serve`` |
| ``doctor.py`` | reports what this installation can do |
"""

import robench

robench._make_callable(__name__)
