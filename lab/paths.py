"""Where the lab keeps its files; everything can be deleted at any time and is built again.

::

    $XDG_CACHE_HOME/kdump-lab/          (or ~/.cache/kdump-lab)
        images/NAME-HASH/               one finished image, see lab/image.py
        images/NAME-HASH/states/KEY/    frozen machines of that image, see lab/state.py
        runs/NAME-…/                    one running machine, see lab/supervisor.py
        logs/                           the output of the last builds
        accel.json                      does KVM work here? see lab/accel.py
"""

from __future__ import annotations

import os
from pathlib import Path

from lab.errors import LabError


def cache_root() -> Path:
    """The lab's cache folder, created when it is missing; only its owner may enter (it holds private keys).

    Raises LabError when it cannot be created.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "kdump-lab"
    return _folder(root)


def images_dir() -> Path:
    return _folder(cache_root() / "images")


def runs_dir() -> Path:
    return _folder(cache_root() / "runs")


def logs_dir() -> Path:
    return _folder(cache_root() / "logs")


def _folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"The lab cannot create its cache folder {path} ({error.strerror}): "
            "set XDG_CACHE_HOME to a folder that you may write to."
        ) from error
    return path
