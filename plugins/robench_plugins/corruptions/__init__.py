"""The corruptions.

| file | what is in it |
|---|---|
| ``common.py`` | the component ``common``, which makes the corruptions of Hendrycks and Dietterich |
| ``files.py`` | the components ``cifar-c`` and ``imagenet-c``, which read them from files |
| ``strengths.py`` | how strong each corruption is at each severity |
| ``noise.py``, ``blur.py``, ``weather.py``, ``spatter.py``, ``digital.py`` | the corruptions themselves |
| ``resampling.py``, ``plasma.py`` | what several of them use |
"""
