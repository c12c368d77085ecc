"""Pictures made elsewhere: bring them into a run folder, from where they are scored like any other."""

from dataclasses import dataclass
from pathlib import Path

from brushbench.config import RunConfig
from brushbench.datasets.source import check_id, digest_of, images_in
from brushbench.errors import UserError, one_line
from brushbench.identity import identity_of, provenance_of, run_path
from brushbench.store import Entry, MethodIdentity, Run
from brushbench.types import Dataset


@dataclass(frozen=True, slots=True)
class Imported:
    """Pictures made elsewhere, in a run folder."""

    run: Run
    missing: list[str]
    """Samples without an image."""
    extra: list[str]
    """Files that belong to no sample."""


def import_images(folder: Path, name: str, dataset: Dataset, config: RunConfig) -> Imported:
    """Copy the images of a folder, byte for byte, into a run of the method `name`.

    They belong to the sample whose id is their file name without suffix; a sample without one is recorded as failed.
    Raises `UserError` if no file belongs to a sample.
    """
    if not folder.is_dir():
        raise UserError(one_line(f"no such folder: {folder}; valid is a folder of images named like the samples"))
    check_id(name)
    wanted = dataset.ids[: config.limit]
    images = images_in(folder)
    if not images.keys() & set(wanted):
        raise UserError(one_line(f"{folder} has no image for any sample; the first would be {wanted[0]}.png"))
    digest = digest_of(part for key in wanted for part in (key.encode(), images.get(key)))
    method = MethodIdentity(name=name, options={}, digests={"images": digest})
    identity = identity_of(config, dataset, method, dtype="")
    path, provenance = run_path(config, dataset, name), provenance_of(config, device="none")
    # Whatever they are called: the suite's own method of that name didn't make them.
    run = Run.start(path, identity, len(wanted), provenance, "contender")
    ledger = run.ledger()
    for sample_id in wanted:
        entry = _imported(run, sample_id, images.get(sample_id))
        if not entry.same_outcome(ledger.get(sample_id)):
            run.append(entry)
    run.tidy()
    known = set(wanted)
    return Imported(
        run,
        missing=[sample_id for sample_id in wanted if sample_id not in images],
        extra=sorted(path.name for key, path in images.items() if key not in known),
    )


def _imported(run: Run, sample_id: str, source: Path | None) -> Entry:
    if source is None:
        return Entry(id=sample_id, status="failed", error="no image given")
    digest = run.write_image(source.name, source.read_bytes())
    return Entry(id=sample_id, status="done", image=source.name, sha256=digest)
