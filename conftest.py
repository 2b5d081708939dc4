"""Loads the suite's plugins; nothing else."""

pytest_plugins = ["kdump.plugin", "lab.plugin"]
