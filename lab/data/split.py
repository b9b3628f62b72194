"""Removes duplicates and holds rows out, so that nothing trained is evaluated."""

import random
from collections.abc import Sequence

from lab.data.conversation import Conversation, content, prompt
from lab.errors import DataError, OptionError


def without_duplicates(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Returns the rows without those that repeat an earlier one in all that a model can see."""
    first: dict[str, Conversation] = {}
    for conversation in conversations:
        first.setdefault(content(conversation), conversation)
    return list(first.values())


def split(conversations: Sequence[Conversation], share: float, seed: int, source: str
          ) -> tuple[list[Conversation], list[Conversation]]:
    """Returns the rows to train on and the rows to evaluate on, both in their original order.

    Rows of one conversation id, and rows with the same prompt, stay together. The evaluation rows are `share` of all,
    rounded (half up), at least one; fewer where a group would exceed that, more only where the smallest group does.

    Args:
        conversations: Rows without duplicates.
        share: Of the rows to hold out.
        seed: Decides which; independent of everything else in the process.
        source: What an error calls the data.

    Raises:
        OptionError: The share is not between 0 and 1.
        DataError: Nothing would be left to train on.
    """
    if not 0 < share < 1:
        raise OptionError(f"eval_split={share}: found a share outside the allowed range; give a number above 0 and "
                          "below 1, such as 0.1")
    groups = _groups(conversations)
    wanted = max(1, int(share * len(conversations) + 0.5))
    random.Random(seed).shuffle(groups)
    held: set[int] = set()
    for group in groups:
        if len(held) + len(group) <= wanted:
            held.update(group)
    held = held or set(sorted(groups, key=len)[0])
    if len(held) == len(conversations):
        raise DataError(f"{source}: eval_split={share} of {len(conversations)} rows in {len(groups)} groups (rows of "
                        "one conversation, or with one prompt, stay together) leaves nothing to train; give more rows, "
                        "or a smaller eval_split")
    return ([c for i, c in enumerate(conversations) if i not in held],
            [c for i, c in enumerate(conversations) if i in held])


def _groups(conversations: Sequence[Conversation]) -> list[list[int]]:
    """Row numbers that belong together, by the first row of each: those linked through an id or a prompt, or both."""
    parent = list(range(len(conversations)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    seen: dict[tuple[str, str], int] = {}
    for i, conversation in enumerate(conversations):
        keys = [("prompt", prompt(conversation))]
        if "conversation" in conversation.get("meta", {}):
            keys.append(("id", conversation["meta"]["conversation"]))
        for key in keys:
            a, b = root(seen.setdefault(key, i)), root(i)
            parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(len(conversations)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())
