"""A config for tests that record."""

from dataclasses import dataclass

from lab.options import option


@dataclass(frozen=True)
class Config:
    r: tuple[int, ...] = option((8,), "rank, or several", minimum=1)
    lr: float = option(2e-4, "learning rate", above=0)
    text: str = option("a b", "any text")
    predict: str | None = option(None, "a guess")
