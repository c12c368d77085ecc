"""Tell the roles of runs: contenders are compared, references and floors are only shown beside them."""

from brushbench.core.method_info import Role
from brushbench.core.registry import method_info
from brushbench.runs.folder import Run


def role_of(run: Run) -> Role:
    """Return the role that the run states or, for an older run that does not, the role of its method."""
    identity = run.record.identity.method
    # Images made elsewhere, and classes in a file, may have the name of one of the suite's methods.
    known = None if identity.digests.keys() & {"images", "file"} else method_info(identity.name)
    return run.record.role or (known.role if known else "contender")


def is_contender(run: Run) -> bool:
    """Tell whether the run takes part in tests and marks."""
    return role_of(run) == "contender"
