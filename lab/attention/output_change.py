"""How much a head's output changes."""

import torch


def relative_change(base: torch.Tensor, tuned: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """‖tuned - base‖ / ‖base‖ of each head's output over real positions: [B, H], float64; nan where there is no output.

    Args:
        base: [B, Q, H, dv].
        tuned: [B, Q, H, dv].
        real: [B, Q] of bool.
    """
    chosen = real[..., None, None]
    change = torch.where(chosen, tuned.double() - base.double(), 0).square().sum(dim=(1, 3))
    return (change / torch.where(chosen, base, 0).double().square().sum(dim=(1, 3))).sqrt()
