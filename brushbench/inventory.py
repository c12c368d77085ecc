"""Which weights are on this machine, and what a download of the others takes: `brushbench list weights`."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huggingface_hub import constants

from brushbench.errors import UserError
from brushbench.weights import Component, families, read_family
from brushbench.weights_lock import lock_path


def lines() -> list[str]:
    """Every family, below it its components: here or not, how large, and from where; at the end where downloads go."""
    found = {name: read_family(path) for name, path in families().items()}
    components = {(family, name): part for family, each in found.items() for name, part in each.components.items()}
    # All at once: a hub that doesn't answer is waited for once.
    with ThreadPoolExecutor(max_workers=16) as pool:
        states = dict(zip(components, pool.map(_state, components.values()), strict=True))
    width, longest = max(len(name) for _, name in components), max(map(len, states.values()))
    shown = []
    for family, content in found.items():
        shown.append(f"{family}: {content.summary}")
        for name, part in content.components.items():
            place = "" if part.local else f"{part.on_hub.place} "
            shown.append(f"  {name:{width}}  {states[family, name]:{longest}}  {place}({part.licence})")
    return [*shown, f"downloads go to {constants.HF_HUB_CACHE}, their digests at first use to {lock_path()}"]


def _state(component: Component) -> str:
    hub = component.on_hub
    if component.local:
        files = [component.local, *component.local.rglob("*")]
        return f"embedded, {_readable(path for path in files if path.is_file())}"
    if folder := hub.cached():
        return f"present, {_readable(hub.files(folder))}"
    try:
        return f"would be downloaded, {_bytes(hub.size())}"
    except UserError as error:
        return f"would be downloaded, size unknown: {error}"


def _readable(files: Iterable[Path]) -> str:
    return _bytes(sum(file.stat().st_size for file in files))


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
