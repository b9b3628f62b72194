"""Power law or exponential? Each is fitted to the early points and asked to predict the last ones."""

from dataclasses import dataclass

import numpy as np

from lab.training.curve_fits import POINTS_NEEDED
from lab.training.curve_laws import EXPONENTIAL, POWER, Design, Law, fit_law
from lab.training.curve_noise import draw_noise, weigh_noise
from lab.training.curves import too_few

UNDECIDED = "undecided"


@dataclass(frozen=True)
class LawComparison:
    """How well each law, fitted to the points before `held_back_from`, predicts those from there on.

    `better` is `power law` or `exponential` only if its error is the smaller one and noise around the other law would
    give it so great an advantage in at most 2.5 % of curves; otherwise `undecided`. The p-values are those shares. If
    there are too few points, `problem` says so and the numbers are None. In the simulations of
    `benchmarks/curve_coverage.py` the wrong law was preferred in 0 to 3 % of curves; with few noisy points a true power
    law mostly stays undecided.
    """

    points: int
    problem: str = ""
    held_back: int = 0
    held_back_from: float | None = None
    power_error: float | None = None
    exponential_error: float | None = None
    p_if_power: float | None = None
    p_if_exponential: float | None = None
    better: str = UNDECIDED
    early_fits: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def words(self) -> str:
        """Both errors and what follows."""
        if self.problem:
            return self.problem
        return (f"{self.better}: last {self.held_back} points predicted within {self.power_error:.3g} (power law) and "
                f"{self.exponential_error:.3g} (exponential) nats per token, root mean square")


def _predict(law: Law, steps: np.ndarray, series: np.ndarray, early: int) -> np.ndarray:
    """Predictions for every step of S series (S, N) -> (S, N), from fits to the first `early` points of each."""
    design = Design(law, steps[:early])
    floors, amplitudes, rss = design.linear(series[:, :early])
    row, best = np.arange(len(series)), rss.argmin(axis=1)
    basis = law.basis(steps / steps[early - 1], design.shapes[:, None])  # (G, N)
    return floors[row, best, None] + amplitudes[row, best, None] * basis[best]


def _errors(steps: np.ndarray, series: np.ndarray, early: int) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square prediction error of the power law and of the exponential on the late points, each (S,)."""
    power, exponential = (
        np.sqrt(((_predict(law, steps, series, early) - series)[:, early:] ** 2).mean(axis=1))
        for law in (POWER, EXPONENTIAL)
    )
    return power, exponential


def compare_laws(steps: np.ndarray, losses: np.ndarray, *, seed: int, late_share: float = 0.25, level: float = 0.975,
                 draws: int = 400) -> LawComparison:
    """Which law predicts the end of a held-out curve from its beginning, if noise lets one tell.

    Args:
        steps: (N,) rising; points at or before step 0 are left out.
        losses: (N,) nats per token, finite.
        seed: Of the bootstrap.
        late_share: Share of the points held back, at the end.
        level: 1 minus the share of undeserved wins allowed.
        draws: Bootstrap series around each law.
    """
    steps, losses = np.asarray(steps, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    steps, losses = steps[steps > 0], losses[steps > 0]
    short = too_few(len(steps), POINTS_NEEDED)
    if short:
        return LawComparison(len(steps), problem=short)
    held_back = max(2, round(late_share * len(steps)))
    early = len(steps) - held_back
    tiny = 1e-9 * float(np.ptp(losses) or 1.0)
    rng = np.random.default_rng(seed)
    power, exponential = (float(error[0]) for error in _errors(steps, losses[None], early))
    advantage = np.log((exponential + tiny) / (power + tiny))
    shares = {}
    for law, sign in ((POWER, -1), (EXPONENTIAL, 1)):
        fit = fit_law(law, steps, losses)
        residuals = losses - fit.at(steps)
        noise = weigh_noise(residuals, fit.tangents(steps))
        drawn = _errors(steps, fit.at(steps) + draw_noise(residuals, noise, draws, rng), early)
        under = np.log((drawn[1] + tiny) / (drawn[0] + tiny))
        shares[law.name] = float((1 + (sign * under >= sign * advantage).sum()) / (draws + 1))
    better = UNDECIDED
    if advantage > 0 and shares[EXPONENTIAL.name] <= 1 - level:
        better = POWER.name
    elif advantage < 0 and shares[POWER.name] <= 1 - level:
        better = EXPONENTIAL.name
    lines = (_predict(POWER, steps, losses[None], early)[0], _predict(EXPONENTIAL, steps, losses[None], early)[0])
    return LawComparison(
        len(steps),
        held_back=held_back,
        held_back_from=float(steps[early]),
        power_error=power,
        exponential_error=exponential,
        p_if_power=shares[POWER.name],
        p_if_exponential=shares[EXPONENTIAL.name],
        better=better,
        early_fits=lines,
    )
