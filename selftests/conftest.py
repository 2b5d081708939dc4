"""The suite's own tests: run pytest inside pytest where the plugin is meant."""

import os
from pathlib import Path

pytest_plugins = ["pytester"]

# for the processes that tests start
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
