"""What is read from quoted lines is what shlex reads."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdump.parsers.shell_words import shell_words


@given(st.text(st.sampled_from(" \t\n\r'\"\\ab#=\x0b\u00a0é"), max_size=30))
def test_the_words_are_shlex_s(line):
    try:
        expected = shlex.split(line)
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)):
            shell_words(line)
    else:
        assert shell_words(line) == expected
