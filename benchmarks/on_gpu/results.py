"""The results of one run of the script on one card: a file that is complete after every measurement."""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from brushbench.core import atomic
from on_gpu.machine import card_of, versions
from on_gpu.setting import Record, Setting

NO_TIME = "time was up"


@dataclass(slots=True)
class Results:
    """The measurements of one run, with the card, the versions and the date."""

    file: Path
    about: dict[str, str]
    """`card`, `date`, and the versions that numbers may depend on."""
    setting: dict[str, object]
    records: dict[str, list[Record]] = field(default_factory=dict)
    """Measurements, by part."""
    failures: dict[str, str] = field(default_factory=dict)
    """Tracebacks, by part and method."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds that each part took."""

    @classmethod
    def begin(cls, setting: Setting, folder: Path) -> "Results":
        """Begin a new file in the folder, named after the card and the day, with a number if the name is taken."""
        about = {"card": card_of(setting), "date": f"{datetime.now(UTC):%Y-%m-%d}", **versions()}
        name = f"gpu-{about['card'].lower().replace(' ', '-').replace('/', '-')}-{about['date']}"
        folder.mkdir(parents=True, exist_ok=True)
        names = (f"{name}{number}.json" for number in ("", *(f"-{count}" for count in range(2, 1000))))
        file = next(folder / name for name in names if not (folder / name).exists())
        kept = {key: value for key, value in asdict(setting).items() if key != "work"}
        return cls(file, about, kept)

    @classmethod
    def read(cls, file: Path) -> "Results":
        """Read a file that `write` wrote."""
        return cls(file, **json.loads(file.read_text()))

    def write(self) -> None:
        """Replace the file in one step."""
        content = {key: value for key, value in asdict(self).items() if key != "file"}
        atomic.write(self.file, json.dumps(content, indent=1).encode())

    def add(self, part: str, record: Record) -> None:
        """Store a measurement."""
        self.records.setdefault(part, []).append(record)
        self.write()


@dataclass(frozen=True, slots=True)
class Budget:
    """The seconds during which measurements may begin."""

    seconds: float
    begun: float = field(default_factory=time.monotonic)

    def spent(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self.begun

    def is_over(self) -> bool:
        """Tell whether no further measurement may begin."""
        return self.spent() > self.seconds
