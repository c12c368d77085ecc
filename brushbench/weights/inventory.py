"""Which weights are on this machine, and what a download of the others takes: `brushbench list weights`."""

from concurrent.futures import ThreadPoolExecutor

from huggingface_hub import constants

from brushbench.core.errors import UserError
from brushbench.weights.family import Component, families, read_family
from brushbench.weights.lock import lock_path
from brushbench.weights.manifest import Manifest, manifest_of, manifests, pinned


def weights_table() -> list[str]:
    """Every family, below it its components: here or not, how large, from where, and whether it is pinned.

    Then what metrics are computed with, and where downloads go.
    """
    found = {name: read_family(path) for name, path in families().items()}
    components = {(family, name): part for family, each in found.items() for name, part in each.components.items()}
    # All at once: a hub that doesn't answer is waited for once.
    with ThreadPoolExecutor(max_workers=16) as pool:
        states = dict(zip(components, pool.map(_state, components.values()), strict=True))
    used = [(each, f"download of {_published(each)}") for each in manifests() if each.metrics]
    width, longest = (
        max(len(name) for _, name in components),
        max(map(len, [*states.values(), *(size for _, size in used)])),
    )
    shown = []
    for family, content in found.items():
        shown.append(f"{family}: {content.summary}")
        for name, part in content.components.items():
            place = "" if part.local else f"{part.on_hub.place} "
            taken = "" if part.local else f"; {_pinned(part)}"
            shown.append(f"  {name:{width}}  {states[family, name]:{longest}}  {place}({part.licence}){taken}")
    shown.append("metrics: what they are computed with; `brushbench doctor` says whether it is here")
    for each, size in used:
        taken = f"; {pinned(each.commit)}" if each.repository else ""
        names = ", ".join(each.metrics)
        shown.append(f"  {names:{width}}  {size:{longest}}  {each.place} ({each.licence.name}){taken}")
    return [*shown, f"downloads go to {constants.HF_HUB_CACHE}, their digests at first use to {lock_path()}"]


def _pinned(component: Component) -> str:
    found = manifest_of(component.source)
    closed = found is not None and found.gated is not None and found.gated.value
    gated = "; gated: its terms must be accepted on the hub first" if closed else ""
    return f"{pinned(component.revision)}{gated}"


def _published(each: Manifest) -> str:
    size = each.size_of(each.reads)
    return "a size that isn't public" if size is None else _bytes(size)


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
