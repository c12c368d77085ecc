"""The facts about a method that tables and `list methods` show."""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["contender", "reference", "floor"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """The facts about one of the suite's own methods; a plug-in's class states its attributes `role` and
    `ignores_seed`."""

    role: Role = "contender"
    """`contender`: it competes. `reference`: it shows what can be reached. `floor`: it shows what needs no model."""
    version: int = 1
    """Raised whenever the method's images change. docs/methods.md has a dated line for each version."""
    footnote: str = ""
    """The footnote below tables that contain it."""
    paper_footnote: str = ""
    """The footnote under protocol `paper`. Empty: `footnote`."""
    published: str = ""
    """Its name in the tables of the BrushNet paper."""
    citation: str = ""
    """The papers to cite, with arXiv numbers or DOIs."""
    ignores_seed: bool = False
    """Whether it draws nothing by chance, so that its images are the same under every seed. A plug-in's class may state
    an attribute of this name."""
    process_wide: bool = False
    """Whether it changes settings of the whole process while it runs, such as PyTorch's deterministic algorithms.
    Metrics then can't compute in another thread: they could fail, or give other numbers."""
