"""The tuners: ``components.py`` declares them; most are an adaptation times an objective.

``recipes.py`` has those that are the recipe of a paper.
"""
