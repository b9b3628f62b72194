from lab.studies import rate_verdicts
from lab.studies.learning_rate import Config
from tests.studies.points import point

RATES = (1e-4, 1e-3, 1e-2)


def decide(points, **changes):
    config = Config(**{"lr": RATES, "r": (8,), **changes})
    fits = rate_verdicts.fits(points)
    return {verdict.name: verdict for verdict in rate_verdicts.verdicts(points, fits, config)}


def sweep(losses, r=8, seed=0, diverged=()):
    return [point(r, [loss], lr=rate, seed=seed, diverged_at=5 if rate in diverged else None)
            for rate, loss in zip(RATES, losses, strict=True)]


def test_a_best_rate_between_two_worse_ones_lies_inside():
    found = decide(sweep([4.0, 1.0, 3.0]))
    assert found["best_rate_inside"].outcome == "supported"
    assert found["highest_diverges"].outcome == "refuted"


def test_a_best_rate_at_the_edge_is_none():
    assert decide(sweep([4.0, 3.0, 1.0]))["best_rate_inside"].outcome == "refuted"


def test_a_tie_with_the_edge_is_undecided():
    assert decide(sweep([4.0, 1.0, 1.0]))["best_rate_inside"].outcome == "undecided"


def test_an_end_that_diverged_counts_as_worse_and_is_reported_as_a_finding():
    found = decide(sweep([4.0, 1.0, 9.0], diverged=(1e-2,)))
    assert found["best_rate_inside"].outcome == "supported"
    assert found["highest_diverges"].outcome == "supported" and "lr=0.01" in found["highest_diverges"].detail


def test_best_rates_of_two_ranks_are_compared_by_their_intervals():
    alike = [p for r in (1, 8) for seed in range(3)
             for p in sweep([2 + 0.01 * seed, 1.0 + 0.001 * seed, 2 + 0.02 * seed], r=r, seed=seed)]
    assert decide(alike, r=(1, 8), seeds=3)["best_rate_free_of_rank"].outcome == "supported"
    single = sweep([2.0, 1.0, 2.0], r=1) + sweep([2.0, 1.0, 2.0], r=8)
    assert decide(single, r=(1, 8))["best_rate_free_of_rank"].outcome == "undecided"
