"""Restart policy: backoff and crash-loop detection. Pure: times are arguments."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class Restart(NamedTuple):
    """The reaction to a crash. is_looping: report it as failed, and wait `delay_s` first."""

    delay_s: float
    is_looping: bool


class RestartPolicy:
    """Restart at once, until `n_crashes` within `window_s`; then with backoff to `max_delay_s`.

    A process that lived for `window_s` resets the policy.
    """

    def __init__(
        self, *, n_crashes: int = 5, window_s: float = 60.0, max_delay_s: float = 30.0
    ) -> None:
        self._n_crashes = n_crashes
        self._window_s = window_s
        self._max_delay_s = max_delay_s
        self._crashed_at: deque[float] = deque()
        self._n_delays = 0

    def on_crash(self, now_s: float, *, lived_s: float) -> Restart:
        """A process that had lived for `lived_s` seconds crashed at `now_s` (monotonic)."""
        if lived_s >= self._window_s:
            self._crashed_at.clear()
            self._n_delays = 0
        self._crashed_at.append(now_s)
        while self._crashed_at[0] <= now_s - self._window_s:
            self._crashed_at.popleft()
        if self._n_delays == 0 and len(self._crashed_at) < self._n_crashes:
            return Restart(0.0, is_looping=False)
        delay_s = min(2.0**self._n_delays, self._max_delay_s)
        self._n_delays = min(self._n_delays + 1, 64)
        return Restart(delay_s, is_looping=True)
