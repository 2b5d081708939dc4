"""The suite's own tests: run pytest inside pytest where the plugin is meant."""

pytest_plugins = ["pytester"]
