"""Progress on standard error: a bar in a terminal, a line now and then elsewhere."""

import sys
import time

LINES = 10


class Progress:
    """Shows how far a training is, with its last loss.

    Args:
        steps: Optimiser steps in all.
        label: What is being trained.
    """

    def __init__(self, steps: int, label: str):
        self.steps, self.label, self.started = steps, label, time.monotonic()
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=steps, desc=label, unit="step", dynamic_ncols=True)

    def update(self, step: int, loss: float) -> None:
        """Shows that `step` optimiser steps are done, the last at this loss in nats per token."""
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix(loss=f"{loss:.3f}")
        elif step % max(1, self.steps // LINES) == 0 or step == self.steps:
            seconds = time.monotonic() - self.started
            print(f"{self.label}: step {step}/{self.steps}, loss {loss:.3f}, {seconds:.0f} s", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the bar's line."""
        if self.bar is not None:
            self.bar.close()
