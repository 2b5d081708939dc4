"""The memory of runs: every finished host is kept at once, so that nothing is lost and every night can be compared."""
