"""What the methods of runs are for: contenders are compared, references and floors only stand beside them."""

from brushbench.core.method_info import Role
from brushbench.core.registry import method_info
from brushbench.runs.folder import Run


def role_of(run: Run) -> Role:
    """As the run says; of a run from before runs said so, by the name of its method."""
    identity = run.record.identity.method
    # Pictures made elsewhere, and classes in a file, may be called like a method of the suite.
    known = None if identity.digests.keys() & {"images", "file"} else method_info(identity.name)
    return run.record.role or (known.role if known else "contender")


def is_contender(run: Run) -> bool:
    """Whether the run takes part in tests and marks."""
    return role_of(run) == "contender"
