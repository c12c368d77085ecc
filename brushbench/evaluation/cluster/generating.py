"""What a worker of a cluster does to generate: load the method, and generate the batches that it is given."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

from brushbench.core.capture import Failure
from brushbench.core.concurrency import THREADS, prefetch
from brushbench.core.errors import UserError, one_line
from brushbench.core.notes import hearing
from brushbench.core.protocol import protocol_named
from brushbench.core.types import Dataset, Sample
from brushbench.evaluation.batch_inpainting import BatchInpainter, SampleResult
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.cluster.messages import Assignment, EncodedResult, FolderSeen, Generated, Loaded
from brushbench.evaluation.fetch import once_per_machine
from brushbench.evaluation.generate import decoded_sample
from brushbench.evaluation.resolve import Job, resolve
from brushbench.imaging.images import encode_image
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.owners import is_entered
from brushbench.weights.memory import make_room


@final
@dataclass(frozen=True, slots=True)
class GenerationErrand:
    """Generate with a configuration."""

    config: RunConfig
    fetch: str = ""
    """The run's token by which each machine downloads once what it lacks; empty if it is to have everything."""

    def load(self) -> tuple[Loaded, "Generator"]:
        """Load the method and open the data set."""
        job = once_per_machine(self.fetch, lambda: resolve(self.config, scored=False, fetch=bool(self.fetch)))
        notes = (*job.task.notes, *job.notes)
        return Loaded(job.identity, job.batch_size, job.provenance(), job.method.role, notes), Generator(job)


@final
class Generator:
    """Generates batches as a single process does."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._run: Run | None = None

    def share(self, folder: str, token: str) -> FolderSeen:
        """Store images in the run folder from now on, if it is the one where the other process has made its claim."""
        if not is_entered(Path(folder), token):
            told = f"{folder} is not the run's folder there; valid: a folder that all nodes share, or --store driver"
            raise UserError(one_line(told))
        self._run = Run.open(folder)
        return FolderSeen(True)

    def __call__(self, assignment: Assignment) -> Generated:
        """Generate batches."""
        config, method = self._job.task.config, self._job.method
        protocol = protocol_named(config.protocol)
        call = MethodCall(method.call, protocol, config.seed, method.side_multiple)
        inpaint = BatchInpainter(call, self._job.batch_size, make_room, method.offload == "none")
        encoding: dict[int, list[Future[EncodedResult]]] = {}
        with hearing() as notes, ThreadPoolExecutor(THREADS) as pool:
            decoded = prefetch(_decoded(pool, self._job.task.dataset, assignment))
            for number, slots in zip(assignment.batches, decoded, strict=True):
                results = inpaint(slots, resumed=assignment.resumed)
                encoding[number] = [
                    pool.submit(self._encoded, results[place], protocol.image_format) for place in sorted(results)
                ]
        return Generated({number: [each.result() for each in batch] for number, batch in encoding.items()}, notes)

    def _encoded(self, result: SampleResult, image_format: str) -> EncodedResult:
        entry = result.entry(image_format)
        if isinstance(result.image, Failure):
            return EncodedResult(entry, failure=result.image)
        content = encode_image(result.image, image_format)
        if self._run is None:
            return EncodedResult(entry, content)
        digest = self._run.write_image(str(entry.image), content)
        return EncodedResult(entry.model_copy(update={"sha256": digest}))


def _decoded(
    pool: ThreadPoolExecutor, dataset: Dataset, assignment: Assignment
) -> Iterator[dict[int, Future[tuple[str, Sample | Failure]]]]:
    for places in assignment.batches.values():
        yield {place: pool.submit(decoded_sample, dataset, index) for place, index in places.items()}
