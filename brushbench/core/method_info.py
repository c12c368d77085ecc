"""What a method is, apart from how it works: what tables and `list methods` say of it."""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["contender", "reference", "floor"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """The facts about one of the suite's own methods; a plug-in's class states its role as an attribute `role`."""

    role: Role = "contender"
    """Whether it competes, or shows what can be reached (`reference`) or had for nothing (`floor`)."""
    version: int = 1
    """Raised whenever the method generates other images. docs/methods.md has a dated line for each version."""
    footnote: str = ""
    """What tables say below a row of it."""
    paper_footnote: str = ""
    """What they say instead under protocol `paper`; empty: the same."""
    published: str = ""
    """What the tables of the BrushNet paper call it."""
    process_wide: bool = False
    """It changes settings of the whole process while it runs, such as PyTorch's deterministic algorithms, so metrics
    can't compute meanwhile: they could fail, or give other numbers."""
