"""The command line, or a script, in processes that are forked from one that has imported all: they begin at once.

Python's fork server is that process. It starts afresh, without the tests' threads, and ends with them.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "brushbench.cli.main",
        "brushbench.evaluation.evaluate",
        "brushbench.evaluation.grid",
        "brushbench.cli.progress",
        "brushbench.baselines.classical",
        "brushbench.metrics.alignment",
        "brushbench.metrics.pixel",
        "brushbench.metrics.seam",
        "brushbench.datasets.brushbench",
        "brushbench.reports.contact_sheet",
        "brushbench.reports.formats",
        "brushbench.reports.tables",
    ]
)


@dataclass(frozen=True)
class Running:
    """A command at work, or one that has ended."""

    process: BaseProcess
    folder: Path
    """Folder for the command's output."""

    @property
    def is_alive(self) -> bool:
        return self.process.exitcode is None

    def send(self, number: int) -> None:
        if self.is_alive and self.process.pid:
            os.kill(self.process.pid, number)

    def result(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr, when it has ended; as for `subprocess`, a negative code is a signal."""
        self.process.join()
        out, err = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return self.process.exitcode or 0, out, err

    def end(self) -> None:
        """Kill it, if it is still there."""
        self.send(signal.SIGKILL)
        self.process.join()


def started(arguments: Sequence[str], folder: Path, site: Path | None = None) -> Running:
    """The command line with these arguments, in this process's environment and working folder.

    It also imports from the folder `site`, as if `PYTHONPATH` had it, and nothing that lies beside the tests.
    """
    return _begun(_command, (arguments, folder, site, dict(os.environ), Path.cwd()), folder)


def scripted(code: str, folder: Path) -> Running:
    """A script of this text, likewise; it imports nothing that lies beside the tests either."""
    (folder / "script.py").write_text(code)
    return _begun(_script, (folder, dict(os.environ), Path.cwd()), folder)


def drawn(
    arguments: Sequence[str],
    folder: Path,
    terminal: str,
    changes: Mapping[str, str | None],
    errors: Path | None,
) -> BaseProcess:
    """The command line, likewise, in the terminal of this name and from this folder; it has ended when that says so.

    `changes` are variables of its environment; None is for one that it hasn't. Standard error is the terminal too,
    unless there is a file `errors`.
    """
    environment = {name: value for name, value in (os.environ | changes).items() if value is not None}
    process = CONTEXT.Process(target=_drawing, args=(arguments, folder, terminal, environment, errors))
    process.start()
    return process


def _begun(target: Callable[..., None], arguments: tuple[object, ...], folder: Path) -> Running:
    process = CONTEXT.Process(target=target, args=arguments)
    process.start()
    return Running(process, folder)


def _command(
    arguments: Sequence[str], folder: Path, site: Path | None, environment: Mapping[str, str], working: Path
) -> None:
    _settle(folder, site, environment, working)
    from brushbench.cli.main import main

    main(list(arguments))


def _drawing(
    arguments: Sequence[str], folder: Path, terminal: str, environment: Mapping[str, str], errors: Path | None
) -> None:
    # The first terminal that a session's leader opens is that of the session.
    os.setsid()
    file = os.open(terminal, os.O_RDWR)
    for number in range(3):
        os.dup2(file, number)
    os.close(file)
    if errors:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    _adapt(None, environment, folder)
    from brushbench.cli.main import main

    main(list(arguments))


def _script(folder: Path, environment: Mapping[str, str], working: Path) -> None:
    _settle(folder, None, environment, working)
    runpy.run_path(str(folder / "script.py"), run_name="__main__")


def _settle(folder: Path, site: Path | None, environment: Mapping[str, str], working: Path) -> None:
    for number, name in enumerate(("stdout", "stderr"), start=1):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), number)
    _adapt(site, environment, working)


def _adapt(site: Path | None, environment: Mapping[str, str], working: Path) -> None:
    sys.path[:] = [*([str(site)] if site else []), *(path for path in sys.path if path != str(Path(__file__).parent))]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(working)
    # Where the tests run in the background, they ignore the signal, and their processes with them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
