"""In which words a model puts its answers: `It is 42.` says as much as `42`, and must not count as not knowing it."""

import re
from collections import defaultdict
from collections.abc import Sequence

Frame = tuple[str, str]  # what stands before an answer, and after it
BARE: Frame = ("", "")
LEAST = 0.1  # share of the answers
DIFFERENT = 3  # alternatives that were seen in a frame, or what stands around one is part of it
MOST = 2  # frames beside the bare answer


def discover(choices: Sequence[Sequence[str]], said: Sequence[str]) -> list[Frame]:
    """Returns the bare answer and the frames that a model often puts around an alternative, right or wrong.

    A model that was trained to answer in sentences gives the bare answer next to no probability, and which of such
    alternatives is the least unlikely says nothing about what it knows. So the likelihood of an alternative is summed over
    the forms in which this model says alternatives at all.

    Args:
        choices: Of every item.
        said: The model's greedy answer to it.
    """
    seen: dict[Frame, list[str]] = defaultdict(list)
    for each, text in zip(choices, said, strict=True):
        found = _around(each, text)
        if found is not None and found[1] != BARE:
            seen[found[1]].append(found[0])
    common = [frame for frame, named in seen.items()
              if len(named) >= max(DIFFERENT, LEAST * len(said)) and len(set(named)) >= DIFFERENT]
    return [BARE, *sorted(common, key=lambda frame: (-len(seen[frame]), frame))[:MOST]]


def framed(choices: Sequence[str], frames: Sequence[Frame]) -> list[str]:
    """Returns every alternative in every frame, [F · C], all alternatives of a frame together."""
    return [f"{before}{choice}{after}" for before, after in frames for choice in choices]


def _around(choices: Sequence[str], text: str) -> tuple[str, Frame] | None:
    """The only alternative in an answer and what stands around it; None if there is none, or more than one."""
    places = {choice: list(re.finditer(rf"(?<!\w){re.escape(choice)}(?!\w)", text)) for choice in choices}
    held = [(choice, match) for choice, matches in places.items() for match in matches]
    if len(held) != 1:
        return None
    choice, match = held[0]
    return choice, (text[:match.start()], text[match.end():])
