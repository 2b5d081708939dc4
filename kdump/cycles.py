"""A plugin to be loaded first: Python's cycle collector looks as good as never.

What a run imports and makes lasts until its end, and looking at it again and again took 30 ms of a run's start and a tenth of
the rest. What was in cycles was some 80 KB per host, and is undone where it is done with: exceptions of judged tests
(kdump/short_protocol.py) and closed connections (kdump/connection/transport.py).
"""

import gc

# New objects before the collector looks. The tests of 1,000 hosts are as many, and what is judged of them once more.
gc.set_threshold(1_000_000, 20, 20)
