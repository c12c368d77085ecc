"""Files of lines in parts, for a run folder that can't be appended to: `samples.jsonl` and `samples/*.jsonl`.

Every addition is a part of its own, with a name that no other writer uses. Parts are read in the order of their names:
each begins with a number larger than any that its writer has seen, so that whatever was written in the knowledge of
another part comes after it, and every reader ends with the same lines.
"""

import os
import socket
import uuid
from pathlib import Path

FOLDERS = ("samples", "workers", "notes")
"""The folders of parts: of samples.jsonl, of workers.jsonl and of the notes in run.json."""
SUFFIX = ".jsonl"


def files(folder: Path, name: str) -> list[Path]:
    """The existing files of `name` in a run folder, in the order in which they count."""
    whole = folder / f"{name}{SUFFIX}"
    return [*([whole] if whole.exists() else []), *sorted((folder / name).glob(f"*{SUFFIX}"))]


def next_part(folder: Path, name: str) -> str:
    """The name of a new part, relative to the run folder."""
    heads = (file.name.partition("-")[0] for file in (folder / name).glob(f"*{SUFFIX}"))
    number = 1 + max((int(head) for head in heads if head.isdecimal()), default=0)
    return f"{name}/{number:08d}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}"


def is_in_parts(folder: Path, name: str) -> bool:
    """Tell whether a run folder has parts of `name`; what is added to it must be read after them."""
    return (folder / name).is_dir()
