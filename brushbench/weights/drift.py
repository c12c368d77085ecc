"""Find what has changed on the hub since the manifests were written, for `brushbench doctor --weights`."""

import re
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import final

from huggingface_hub import constants

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError
from brushbench.weights.family import Component, families, read_family
from brushbench.weights.hub import Choose, HubFolder
from brushbench.weights.layouts import Listing
from brushbench.weights.manifest import Manifest, manifests
from brushbench.weights.repository import NamedFiles, NoRevisionError, Repository, look

_PATIENCE_SECONDS = 10.0


@final
@dataclass(frozen=True, slots=True)
class Drift:
    """The differences between the hub and one manifest."""

    manifest: Manifest
    changes: Sequence[str] = field(default_factory=list)
    """Changes of files that the suite reads."""
    remarks: Sequence[str] = field(default_factory=list)
    """Other changes, such as a new name or licence."""
    unasked: str = ""
    """Why the hub couldn't be queried; empty if it could."""

    def __str__(self) -> str:
        if self.unasked:
            return f"{self.manifest.place}: not compared: {self.unasked}"
        told = "; ".join([*self.changes, *self.remarks])
        return f"{self.manifest.place}: {told or 'matches its manifest'}"


def drifts() -> list[Drift]:
    """Compare every repository and address that families and metrics read from with its manifest."""
    components = [part for path in families().values() for part in read_family(path).components.values()]
    sources = {part.source for part in components if not part.local}
    used = [each for each in manifests() if each.metrics or each.repository in sources]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(partial(_drift, components), used))


def _drift(components: Sequence[Component], manifest: Manifest) -> Drift:
    if manifest.address:
        return _web(manifest)
    main = capture(look, manifest.repository, None, _PATIENCE_SECONDS)
    if isinstance(main, Failure):
        return Drift(manifest, unasked=main.error)
    changes, remarks = [], list(_remarks(manifest, main))
    pinned: Repository | Failure = main
    if manifest.commit and main.commit != manifest.commit:
        remarks.append(f"its main branch is now at {main.commit[:8]}; the suite reads {manifest.commit[:8]}")
        try:
            pinned = capture(look, manifest.repository, manifest.commit, _PATIENCE_SECONDS, passing=(NoRevisionError,))
        except NoRevisionError:
            changes.append(f"revision {manifest.commit[:8]}, which the suite reads, is gone")
    if isinstance(pinned, Failure):
        return Drift(manifest, unasked=pinned.error)
    for choose in _readers(components, manifest):
        changes += _changes(manifest, pinned, choose)
    if main.gated and manifest.gated and not manifest.gated.value:
        changes.append("it is gated now: accept its terms on the hub before a download")
    return Drift(manifest, list(dict.fromkeys(changes)), remarks)


def _readers(components: Sequence[Component], manifest: Manifest) -> Iterator[Choose]:
    for part in components:
        if part.source in manifest.names:
            yield partial(_named, part.on_hub)
    if manifest.reads:
        yield lambda listing: [name for name in manifest.reads if name in listing.names]


def _named(on_hub: HubFolder, listing: Listing) -> list[str]:
    """Choose files by their names alone, so that not even an index is downloaded."""
    return on_hub.choose(NamedFiles(listing.names))


def _changes(manifest: Manifest, live: Repository, choose: Choose) -> Iterator[str]:
    """Yield the differences between the files read today and those read by the manifest, without downloading any."""
    known = {file.path: file for file in manifest.files}
    before, now = capture(choose, NamedFiles(known)), capture(choose, live)
    if isinstance(now, Failure):
        yield f"a file that the suite reads is missing: {now.error}"
        return
    expected = set() if isinstance(before, Failure) else set(before)
    for name in sorted(expected - set(now)):
        yield f"{name} is {'gone' if name not in live.names else 'no longer read'}"
    for name in sorted(set(now) - expected):
        yield f"{name} is new and would be read"
    for name in sorted(expected & set(now)):
        entry, file = live.entries[name], known[name]
        published = manifest.digest(name)
        if published and len(entry.digest) == len(published) and entry.digest != published:
            yield f"{name} has SHA-256 {entry.digest}; {published} was published"
        elif file.bytes is not None and entry.size != file.bytes:
            yield f"{name} has {entry.size} bytes; {file.bytes} were published"


def _remarks(manifest: Manifest, live: Repository) -> Iterator[str]:
    if live.name != manifest.repository:
        yield f"it is now called {live.name}"
    if live.licence and _plain(live.licence) not in _plain(manifest.licence.name):
        yield f"its card states the licence {live.licence}, but the manifest has {manifest.licence.name}"
    if manifest.gated and manifest.gated.value and not live.gated:
        yield "it is no longer gated"


def _plain(licence: str) -> str:
    return re.sub(r"[^a-z0-9]", "", licence.lower()).removesuffix("license")


def _web(manifest: Manifest) -> Drift:
    """Compare the size of a file at an address, the only thing that its server states."""
    size = capture(_length, manifest.address)
    if isinstance(size, Failure):
        return Drift(manifest, unasked=size.error)
    published = manifest.files[0].bytes
    if size is None or published is None or size == published:
        return Drift(manifest)
    return Drift(manifest, [f"it has {size} bytes; {published} were published"])


def _length(address: str) -> int | None:
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set")
    request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "brushbench"})
    with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:
        stated = answer.headers.get("Content-Length")
    return int(stated) if stated else None
