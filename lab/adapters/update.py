"""What training added to one weight, kept as its singular value decomposition and never as a dense matrix."""

from dataclasses import dataclass, replace

import torch

_ROUNDING = 1e-12  # of the largest singular value; below it a direction is rounding, not update


@dataclass(frozen=True)
class Update:
    """`left @ diag(values) @ rightᵀ`, float64; directions of size zero are left out.

    Attributes:
        left: [D_out, R], orthonormal columns: where it writes.
        values: [R], singular values, largest first.
        right: [D_in, R], orthonormal columns: what it reads.
    """

    left: torch.Tensor
    values: torch.Tensor
    right: torch.Tensor

    @property
    def norm(self) -> float:
        """The Frobenius norm."""
        return float(self.values.norm())

    def scaled(self, factor: float) -> "Update":
        """Returns the update times a factor that is not negative."""
        return replace(self, values=self.values * factor) if factor else self.part(slice(0, 0))

    def part(self, which: slice) -> "Update":
        """Returns the update along some of its directions only."""
        return Update(self.left[:, which], self.values[which], self.right[:, which])

    def factors(self, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns LoRA's A [rank, D_in] and B [D_out, rank] whose product at scaling 1 is this update, in float32.

        Args:
            rank: At least R; rows and columns beyond R are zero.
        """
        root = self.values.sqrt()
        down = torch.zeros(rank, len(self.right), dtype=torch.float32)
        up = torch.zeros(len(self.left), rank, dtype=torch.float32)
        down[:len(root)] = (self.right * root).T
        up[:, :len(root)] = self.left * root
        return down, up


def from_factors(down: torch.Tensor, up: torch.Tensor, scaling: float) -> Update:
    """Returns `scaling · up @ down` decomposed through the QR decompositions of its factors.

    With up = Q_u R_u, downᵀ = Q_d R_d and R_u R_dᵀ = X S Yᵀ, the product is (Q_u X) S (Q_d Y)ᵀ.

    Args:
        down: [R, D_in], LoRA's A.
        up: [D_out, R], LoRA's B.
        scaling: alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA; its sign goes to the left directions.
    """
    up_frame, up_triangle = torch.linalg.qr(exact(up))
    down_frame, down_triangle = torch.linalg.qr(exact(down).T)
    left, values, right = torch.linalg.svd(up_triangle @ down_triangle.T, full_matrices=False)
    sign = -1.0 if scaling < 0 else 1.0
    return _without_zeros(sign * (up_frame @ left), values * abs(scaling), down_frame @ right.T)


def total(*updates: Update) -> Update:
    """Returns the sum of updates of one weight, decomposed."""
    down = torch.cat([(one.right * one.values).T for one in updates])
    return from_factors(down, torch.cat([one.left for one in updates], dim=1), 1.0)


def from_directions(left: torch.Tensor, values: torch.Tensor, right: torch.Tensor) -> Update:
    """Returns an update from directions that are orthonormal already, largest first."""
    return _without_zeros(left, values, right)


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a tensor in float64 where it lies, or on the CPU where the device has no float64 (Metal)."""
    tensor = tensor.detach()
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def _without_zeros(left: torch.Tensor, values: torch.Tensor, right: torch.Tensor) -> Update:
    rank = int((values > _ROUNDING * values[:1]).sum())
    return Update(left[:, :rank], values[:rank], right[:, :rank])
