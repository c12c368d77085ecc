"""The two protocols: how images are stored, which seeds are used, and how pixel errors are normalised.

`paper` does what the official evaluation script does, so that its numbers can be compared with published ones; `strict`
does what is correct. docs/protocol.md explains the differences.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from brushbench.core.errors import unknown

ProtocolName = Literal["paper", "strict"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules of a protocol."""

    name: ProtocolName
    image_format: Literal["JPEG", "PNG"]
    """The format that images are stored in and scored from. JPEG is at Pillow's default quality, as in the script."""
    seed_per_sample: bool
    """False: every sample gets the run's seed, as in the script."""
    pads: bool
    """Whether images of a size that a method doesn't support are padded. The script has only one size, 512x512."""

    def sample_seed(self, run_seed: int, sample_id: str) -> int:
        """The seed of one sample, 0..2**63-1, which depends only on the run's seed and the sample's id."""
        if not self.seed_per_sample:
            return run_seed
        return int.from_bytes(hashlib.sha256(f"{run_seed}:{sample_id}".encode()).digest()[:8]) >> 1


PROTOCOLS: dict[str, Protocol] = {
    "paper": Protocol("paper", image_format="JPEG", seed_per_sample=False, pads=False),
    "strict": Protocol("strict", image_format="PNG", seed_per_sample=True, pads=True),
}


def protocol_named(name: str) -> Protocol:
    """The protocol with this name. Raises `UserError` for any name but `paper` and `strict`."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
