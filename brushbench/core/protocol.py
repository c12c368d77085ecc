"""The two protocols: what is stored, with which seeds, and how pixel errors are normalised.

`paper` does what the official evaluation script does, so that its numbers stand beside published ones; `strict` does
what is correct. docs/protocol.md tells the differences.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from brushbench.core.errors import unknown

ProtocolName = Literal["paper", "strict"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One set of rules."""

    name: ProtocolName
    image_format: Literal["JPEG", "PNG"]
    """What results are stored as, and therefore what is scored. JPEG at Pillow's default quality, as the script."""
    seed_per_sample: bool
    """False: every sample gets the run's seed itself, as the script does."""
    pads: bool
    """Whether sizes that a method can't paint are padded for it. The script knows but one size, 512x512."""

    def sample_seed(self, run_seed: int, sample_id: str) -> int:
        """The seed of one sample, 0..2**63-1: it depends on nothing but these two."""
        if not self.seed_per_sample:
            return run_seed
        return int.from_bytes(hashlib.sha256(f"{run_seed}:{sample_id}".encode()).digest()[:8]) >> 1


PROTOCOLS: dict[str, Protocol] = {
    "paper": Protocol("paper", image_format="JPEG", seed_per_sample=False, pads=False),
    "strict": Protocol("strict", image_format="PNG", seed_per_sample=True, pads=True),
}


def protocol_named(name: str) -> Protocol:
    """Raises `UserError` for another name than `paper` or `strict`."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
