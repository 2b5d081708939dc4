"""``python -m lab.crashes.nmi SOCKET``: an NMI for the machine whose monitor listens there, as a BMC would send it."""

import sys
from pathlib import Path

from lab.qmp import Qmp

if __name__ == "__main__":
    Qmp(Path(sys.argv[1])).execute("inject-nmi")
