"""The figures of a run, one a file: each is a function that returns a matplotlib figure.

``catalogue.py`` lists the figures that a run can have; ``canvas.py`` has what all of them share.
"""
