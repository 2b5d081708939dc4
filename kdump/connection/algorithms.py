"""Lists of algorithms in the notation of ssh_config: replace, ``+`` append, ``-`` remove, ``^`` prefer."""

from collections.abc import Sequence

from kdump.connection.patterns import match_list


def choose(spec: str, available: Sequence[str]) -> list[str]:
    """The algorithms of ``available`` in the order that ``spec`` asks for; empty when it leaves none.

    >>> choose("b,x,a", ["a", "b", "c"]), choose("-b", ["a", "b", "c"]), choose("^c", ["a", "b", "c"])
    (['b', 'a'], ['a', 'c'], ['c', 'a', 'b'])
    >>> choose("+x", ["a", "b"])
    ['a', 'b']
    """
    names = spec.lstrip("+-^").split(",")
    if spec.startswith("+"):
        return list(available)
    if spec.startswith("-"):
        return [name for name in available if not match_list(name, names)]
    chosen = [name for wanted in names for name in available if match_list(name, [wanted])]
    chosen = list(dict.fromkeys(chosen))
    return chosen + [name for name in available if name not in chosen] if spec.startswith("^") else chosen
