"""What a run leaves on a target whose connection is cut, and what the process lists of both sides show: nothing."""
