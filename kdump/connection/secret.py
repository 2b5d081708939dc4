"""A password that does not print itself."""


class Secret:
    """A value that shows itself only to :meth:`reveal`.

    >>> password = Secret("hunter2")
    >>> password, str(password), f"{password}"
    (Secret('***'), '***', '***')
    >>> password.reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that must send it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")
