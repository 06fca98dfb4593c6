"""The tuners: ``components.py`` declares them; most are an adaptation times an objective."""
