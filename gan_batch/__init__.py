"""Translates folders of images with Ray Data, on one machine or many. It needs the extra `ray`.

It decodes, computes and encodes as the service does, with the same modules, and imports no HTTP of it.
"""

import os

# Ray reports usage to its makers unless this is set before it starts.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
