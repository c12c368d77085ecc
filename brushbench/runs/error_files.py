"""Name the file in a run's folder errors/ that says why a sample failed."""

import hashlib
import re

from brushbench.core.capture import Failure, capture
from brushbench.datasets.names import check_id


def error_name(sample_id: str) -> str:
    """The id as a file name; if it can't be one, its harmless characters and a hash."""
    if not isinstance(capture(check_id, sample_id), Failure):
        return sample_id
    digest = hashlib.sha256(sample_id.encode(errors="replace")).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9-]', '_', sample_id)[:40]}~{digest[:8]}"
