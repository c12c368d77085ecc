"""Print docs/checkpoints.md from the manifests and families: python docs/checkpoints.py > docs/checkpoints.md"""

from collections.abc import Iterator

from brushbench.weights import Component, families, read_family
from brushbench.weights.manifest import Listed, Manifest, manifests

HEAD = """# Checkpoints

What the suite downloads, according to public sources: each repository's files with size, SHA-256, revision and licence,
and the source of each fact. This page is printed by `python docs/checkpoints.py` from `brushbench/weights/manifests/`
and `baselines/weights/`; a test compares them.

No hub could be reached from the machine on which this page was written, so nothing here was checked against a hub or
downloaded. `brushbench doctor --weights` does so: with a network connection, it compares these listings with the hub
and reports what has changed, before any download.

* **Which files are read.** One set of weights per model: `.safetensors`, or else `.fp16.safetensors` (which the run
  then reports), or else `.bin`, which is read with `weights_only`. The set may be one file or several, including
  unusual names such as `diffusion_pytorch_model-002.bin`. Nothing else is downloaded.
* **Revisions.** Where public sources state a commit, that commit is downloaded, and each weight file must match its
  digest if one is stated. Otherwise the main branch is downloaded as it is at first use, and its digests are locked
  then.
* **Confidence.** `read`: stated in the project's own code, documentation, threads or pages. `copied`: stated in a third
  party's code or document. `derived`: follows from other facts, or from a duplicate. `remembered`: a commonly known
  layout that no available document shows. A number such as `no. 70466156662` stands for a file of public code that was
  read in November 2026 but whose address was not recorded.
"""


def page() -> str:
    """Return the text of the whole page."""
    return (
        "\n".join([HEAD, *_overview(), "", *(line for each in manifests() for line in _section(each))]).rstrip() + "\n"
    )


def _components() -> list[tuple[str, str, Component]]:
    found = [(family, read_family(path)) for family, path in families().items()]
    return [(family, name, part) for family, each in found for name, part in each.components.items() if not part.local]


def _overview() -> Iterator[str]:
    yield "## Components"
    yield ""
    yield "| component | repository | revision | weight files that are read | licence |"
    yield "|---|---|---|---|---|"
    for family, name, part in _components():
        names = [path for path in part.on_hub.published_names() if _heavy(path)]
        shown = "<br>".join(f"`{path}`" for path in names)
        revision = f"`{part.revision[:8]}`" if part.revision else "main branch, not pinned"
        yield f"| `{family}`: `{name}` | {_link(part.source)} | {revision} | {shown} | {part.licence} |"
    for each in manifests():
        if each.metrics:
            shown = "<br>".join(f"`{path}`" for path in each.reads)
            revision = f"`{each.commit[:8]}`" if each.commit else "fixed address"
            name = ", ".join(f"`{metric}`" for metric in each.metrics)
            yield f"| metric {name} | {_link(each.place)} | {revision} | {shown} | {each.licence.name} |"


def _section(each: Manifest) -> Iterator[str]:
    keys = {key: number for number, key in enumerate(each.sources, 1)}
    yield f"## {each.repository or each.address.rpartition('/')[2]}"
    yield ""
    yield f"{_link(each.place)}{f', formerly {_names(each.formerly)}' if each.formerly else ''}"
    yield ""
    commit = f"`{each.commit or each.stated_commit}`" if each.commit or each.stated_commit else "not known"
    stated = f" [{keys[each.revision_source.source]}]" if each.revision_source else ""
    gated = "not known" if each.gated is None else f"{_yes(value=each.gated.value)} [{keys[each.gated.source]}]"
    if each.repository:
        yield f"* revision: {commit}{stated}"
        yield f"* gated: {gated}"
    yield f"* licence: {each.licence.name} [{keys[each.licence.source]}]"
    yield f"* listing: {'complete' if each.complete else 'from public sources, may lack files'}"
    if each.note:
        yield f"* {each.note}"
    yield ""
    yield "| file | bytes | SHA-256 | read | source |"
    yield "|---|---|---|---|---|"
    read = _read(each)
    yield from (_row(file, keys, read) for file in each.files)
    yield ""
    for key, number in keys.items():
        source = each.sources[key]
        yield f"{number}. ({source.confidence}) {source.where}{f': {source.says}' if source.says else ''}"
    yield ""


def _row(file: Listed, keys: dict[str, int], read: set[str]) -> str:
    numbers = f", numbers [{keys[file.numbers]}]" if file.numbers else ""
    size = "" if file.bytes is None else f"{file.bytes:,}"
    digest = f"`{file.sha256}`" if file.sha256 else ""
    return (
        f"| `{file.path}` | {size} | {digest} | {'yes' if file.path in read else ''} | [{keys[file.source]}]{numbers} |"
    )


def _read(each: Manifest) -> set[str]:
    own = [part for _, _, part in _components() if part.source in each.names]
    return {*each.reads, *(name for part in own for name in part.on_hub.published_names())}


def _heavy(path: str) -> bool:
    return not path.endswith((".json", ".txt", ".model", ".jinja"))


def _link(place: str) -> str:
    return f"<{place}>" if "://" in place else f"[{place}](https://huggingface.co/{place})"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _yes(*, value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    print(page(), end="")
