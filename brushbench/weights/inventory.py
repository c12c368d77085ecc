"""List the weights on this machine, and the size of a download of the missing ones: `brushbench list weights`."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from huggingface_hub import constants

from brushbench.core.columns import columns
from brushbench.core.errors import UserError
from brushbench.weights.family import Component, families, read_family
from brushbench.weights.lock import lock_path
from brushbench.weights.manifest import Manifest, manifest_of, manifests, pinned


def weights_table() -> list[str]:
    """Return the table's lines: each family and its components, with their state, size, origin and revision.

    The metrics' weights follow, then the place of downloads.
    """
    found = {name: read_family(path) for name, path in families().items()}
    components = {(family, name): part for family, each in found.items() for name, part in each.components.items()}
    # In parallel, so that a hub that doesn't answer costs one wait for all components.
    with ThreadPoolExecutor(max_workers=16) as pool:
        states = dict(zip(components, pool.map(_state, components.values()), strict=True))
    used = [(each, f"download of {_published(each)}") for each in manifests() if each.metrics]
    rows = [(name, states[family, name], _origin(part)) for (family, name), part in components.items()]
    rows += [(", ".join(each.metrics), size, _published_origin(each)) for each, size in used]
    lines = (f"  {line}" for line in columns(rows))
    shown = []
    for family, content in found.items():
        shown += [f"{family}: {content.summary}", *islice(lines, len(content.components))]
    return [
        *shown,
        "metrics: the weights that they need; `brushbench doctor` says whether they are on this machine",
        *lines,
        f"downloads go to {constants.HF_HUB_CACHE}; their digests are locked at first use in {lock_path()}",
    ]


def _origin(part: Component) -> str:
    return f"({part.licence})" if part.local else f"{part.on_hub.place} ({part.licence}); {_pinned(part)}"


def _published_origin(each: Manifest) -> str:
    taken = f"; {pinned(each.commit)}" if each.repository else ""
    return f"{each.place} ({each.licence.name}){taken}"


def _pinned(component: Component) -> str:
    found = manifest_of(component.source)
    closed = found is not None and found.gated is not None and found.gated.value
    gated = "; gated: accept its terms on the hub first" if closed else ""
    return f"{pinned(component.revision)}{gated}"


def _published(each: Manifest) -> str:
    size = each.size_of(each.reads)
    return "unknown size" if size is None else _bytes(size)


def _state(component: Component) -> str:
    hub = component.on_hub
    if files := component.taken_from.files():
        size = _bytes(sum(file.stat().st_size for file in files))
        return f"{'embedded' if component.local else 'present'}, {size}"
    try:
        return f"would be downloaded, {_bytes(hub.size())}"
    except UserError as error:
        published = hub.published_size()
        size = "size unknown" if published is None else f"{_bytes(published)} as published"
        return f"would be downloaded, {size}: {error}"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
