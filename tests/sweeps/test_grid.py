from dataclasses import dataclass

from lab.sweeps.grid import points


@dataclass(frozen=True)
class Config:
    r: tuple[int, ...] = (1, 4)
    lr: tuple[float, ...] = (0.1,)
    seed: int = 3
    seeds: int = 2


def test_every_combination_with_seeds_fastest():
    found = points(Config(), ["r", "lr"])
    assert [(c.r, c.seed) for c in found] == [((1,), 3), ((1,), 4), ((4,), 3), ((4,), 4)]
    assert {c.seeds for c in found} == {1} and {c.lr for c in found} == {(0.1,)}


def test_one_value_and_one_seed_is_one_point_equal_to_the_configuration():
    config = Config(r=(8,), seeds=1)
    assert points(config, ["r", "lr"]) == [config]
