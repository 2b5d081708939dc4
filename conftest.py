"""Loads the suite's plugins; nothing else."""

pytest_plugins = ["kdump.cycles", "kdump.plugin", "kdump.qualification.plugin", "lab.plugin"]
