"""How long tests wait for what is sure to come: only what is broken takes so long."""

from __future__ import annotations

# Seconds. A slow machine that is stopped now and then stays far below; pytest's timeout is above.
SOON_S = 60.0
