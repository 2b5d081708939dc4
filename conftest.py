"""Loads the suite's plugins; nothing else."""

pytest_plugins = ["kdump.plugin", "kdump.qualification.plugin", "lab.plugin"]
