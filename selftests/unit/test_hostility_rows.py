"""Every row of the table of faults and hostility is shown by a test."""

from pathlib import Path

from selftests.hostility.rows import ROWS, rows_in


def test_every_row_has_a_test():
    shown = {row for row, _ in rows_in(Path(__file__).parents[1])}
    # the fleet's rows stand in a table of their own
    fleet = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11}
    assert shown | fleet == set(ROWS)
