"""Look again at what is recorded.

| file | command | what it does |
|---|---|---|
| ``verify.py`` | ``robench verify`` | checks that records and cached adversarial sets are intact |
| ``compare.py`` | ``robench compare`` | shows the settings and accuracies in which two runs differ |
| ``reproduce.py`` | ``robench reproduce`` | compares a record with a repetition of its run |
| ``certify.py`` | ``robench certify`` | adds the validity checks to a record that was made without them |
"""
