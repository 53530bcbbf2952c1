"""What rate limits count by: moments of recent requests, by a clock that nobody sets."""

from __future__ import annotations

import threading
from typing import Any

from limits.storage import MovingWindowSupport, Storage

from flaskapp.consent import seconds_up

__all__ = ["MOMENTS"]

MOMENTS = "moments://"


class Moments(Storage, MovingWindowSupport):
    """A storage for Flask-Limiter, in memory.

    Its own goes by the clock on the wall: set back an hour, it shuts everybody out for as long as that;
    set forward, it lets everybody in.
    """

    STORAGE_SCHEME = ["moments"]  # noqa: RUF012 - it stands so in the base class
    base_exceptions = ValueError

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        super().__init__(uri, **options)
        self._lock = threading.Lock()
        self._swept = seconds_up()
        self._moments: dict[str, list[float]] = {}

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a request, unless there have been as many as may be."""
        now = seconds_up()
        with self._lock:
            if now - self._swept > expiry:
                self._swept = now
                self._moments = {name: moments for name, moments in self._moments.items() if moments[-1] > now - expiry}
            recent = [moment for moment in self._moments.get(key, ()) if moment > now - expiry]
            if len(recent) + amount > limit:
                return False
            self._moments[key] = [*recent, *[now] * amount]
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002
        """Return when the oldest request that counts came, and how many count."""
        now = seconds_up()
        recent = [moment for moment in self._moments.get(key, ()) if moment > now - expiry]
        return (recent[0] if recent else now), len(recent)

    def check(self) -> bool:
        """Say that it works."""
        return True

    def reset(self) -> int:
        """Forget everything."""
        with self._lock:
            count, self._moments = len(self._moments), {}
        return count

    def clear(self, key: str) -> None:
        """Forget whoever is counted under a key."""
        with self._lock:
            self._moments.pop(key, None)

    def get(self, key: str) -> int:
        """Return how many requests are remembered."""
        return len(self._moments.get(key, ()))

    def get_expiry(self, key: str) -> float:  # noqa: ARG002
        """Return now: only fixed windows, which this does not keep, end at a moment."""
        return seconds_up()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Refuse: fixed windows are not kept.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError
