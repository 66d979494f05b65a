"""How many batches are trained on in one call."""

import time


class Pace:
    """As many batches as take a few milliseconds, or single ones where something looks at them.

    Parameters
    ----------
    single : bool
        Whether all batches are taken one at a time.

    Attributes
    ----------
    batches : int
        How many come next.
    """

    #: Between two looks at Ctrl-C and at the progress bar.
    seconds = 0.004
    most = 256

    def __init__(self, single: bool = True) -> None:
        self.batches = 1
        self._single = single
        self._start = 0.0

    def begin(self) -> None:
        """Note that batches begin."""
        self._start = time.perf_counter()

    def end(self, batches: int) -> None:
        """Note that so many batches were trained on."""
        if not self._single:
            took = max(time.perf_counter() - self._start, 1e-9)
            fitting = int(batches * self.seconds / took)
            self.batches = max(1, min(fitting, 4 * batches, self.most))

    def keep_single(self) -> None:
        """Take batches one at a time from now on."""
        self.batches = 1
        self._single = True
