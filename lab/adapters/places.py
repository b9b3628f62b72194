"""Where a module stands on the map of layers and roles."""

from collections.abc import Sequence


def places(names: Sequence[str]) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Returns each module's layer and number of its role, and the roles in the order of their first appearance.

    A role is the last part of a name, `q_proj`, or as much of the path behind the layer as tells the modules of a layer
    apart, `experts.3.up_proj`. Modules outside the layers are put in layer 0.

    Args:
        names: Full module names, `model.layers.0.self_attn.q_proj`.
    """
    split = {name: _split(name) for name in names}
    short = {name: (layer, path.rpartition(".")[2]) for name, (layer, path) in split.items()}
    unique = len(set(short.values())) == len(short)
    chosen = short if unique else split
    roles = list(dict.fromkeys(role for _, role in chosen.values()))
    return {name: (layer, roles.index(role)) for name, (layer, role) in chosen.items()}, roles


def _split(name: str) -> tuple[int, str]:
    """The layer, and the path behind its number."""
    parts = name.split(".")
    at = next((index for index, part in enumerate(parts) if part.isdigit()), None)
    return (0, name) if at is None else (int(parts[at]), ".".join(parts[at + 1:]))
