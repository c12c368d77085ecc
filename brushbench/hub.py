"""What the suite takes from the hub: which files, where they are, how large they are, and why they can't be had."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import final

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RevisionNotFoundError

from brushbench.bars import without_bars
from brushbench.errors import UserError, one_line
from brushbench.work import Failure, attempt

_CONFIGS = ["model_index.json", "config.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.jinja"]
_TENSORS = [
    "diffusion_pytorch_model{}.safetensors",
    "*/diffusion_pytorch_model{}.safetensors",
    "*/diffusion_pytorch_model{}-?????-of-?????.safetensors",
    "*/model{}.safetensors",
    "*/model{}-?????-of-?????.safetensors",
]
"""The placeholder is for the variant."""
# Version 1 and 2, which have no variants.
_POWERPAINT = ["unet/unet.safetensors", "text_encoder/text_encoder.safetensors", "pytorch_model.bin"]
_PLUG_INS = ["pytorch_lora_weights.safetensors", "ip-adapter_sd15.safetensors", "ip-adapter_sdxl.safetensors"]
_FILES = [*_CONFIGS, *(pattern.format("") for pattern in _TENSORS), *_POWERPAINT, *_PLUG_INS]
_WEIGHTS = (".safetensors", ".bin")
# No method looks at its own pictures with a safety checker, and it weighs more than a UNet.
_SAFETY_CHECKER = "safety_checker"
_NEVER = [f"*{_SAFETY_CHECKER}/*"]
_PATIENCE_SECONDS = 3.0


@final
@dataclass(frozen=True, slots=True)
class HubFolder:
    """A repository on the hub, or a folder in one, in diffusers layout or with files of PowerPaint's names."""

    source: str
    """owner/name."""
    revision: str | None = None
    """None: what the main branch is when it is downloaded."""
    subfolder: str = ""

    @property
    def place(self) -> str:
        """Repository and folder, to read."""
        return f"{self.source}/{self.subfolder}".rstrip("/")

    def download(self, variant: str | None = None, *, configs_only: bool = False) -> Path:
        """The folder on this machine, downloaded if need be. Raises `UserError` with the reason if it can't be.

        `variant` (`fp16`, for example) is of the weights; those that a model hasn't in it are the plain ones.
        """
        plain = partial(self._snapshot, _CONFIGS if configs_only else _FILES)
        found = attempt(partial(self._variant, variant) if variant else plain)
        if isinstance(found, Failure):
            raise UserError(found.error if found.by_user else one_line(f"the download broke off ({found.error})"))
        if not found.is_dir():
            raise UserError(one_line(f"the repository has no {self.subfolder}/ folder"))
        return found

    def cached(self) -> Path | None:
        """The folder if it can be used without a download."""
        found = attempt(partial(self._snapshot, _FILES, local=True))
        # Another program may have left no more than a config in the cache.
        complete = not isinstance(found, Failure) and any(file.suffix in _WEIGHTS for file in self.files(found))
        return found if isinstance(found, Path) and complete else None

    def files(self, folder: Path) -> list[Path]:
        """Which of the files in the folder the suite takes."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return [path for path in files if self._takes(self._inside(path.relative_to(folder).as_posix()))]

    def size(self) -> int:
        """Bytes that a download takes, as the hub says. Raises `UserError` with the reason if it doesn't in 3 s."""
        sizes = attempt(self._sizes)
        if isinstance(sizes, Failure):
            raise UserError(sizes.error if sizes.by_user else one_line(f"the hub can't be reached ({sizes.error})"))
        if not (wanted := [size for name, size in sizes.items() if self._takes(name)]):
            raise UserError("the hub has none of its files")
        return sum(wanted)

    def how_to_get_it(self) -> str:
        """A command for a machine with a network."""
        revision = f" --revision {self.revision}" if self.revision else ""
        only = f' --include "{self.subfolder}/*"' if self.subfolder else ""
        return f"hf download {self.source}{revision}{only}"

    def _variant(self, variant: str) -> Path:
        folder = self._snapshot([*_CONFIGS, *(pattern.format(f".{variant}") for pattern in _TENSORS)])
        models = [config.parent for config in folder.glob("*/config.json") if config.parent.name != _SAFETY_CHECKER]
        bare = [model.name for model in models if not any(model.glob("*.safetensors"))]
        plain = [pattern.format("").removeprefix("*/") for pattern in _TENSORS[1:]]
        return self._snapshot([f"{name}/{pattern}" for name in bare for pattern in plain]) if bare else folder

    def _snapshot(self, patterns: Sequence[str], *, local: bool = False) -> Path:
        try:
            with without_bars():
                folder = snapshot_download(
                    self.source,
                    revision=self.revision,
                    allow_patterns=[self._inside(pattern) for pattern in patterns],
                    ignore_patterns=_NEVER,
                    local_files_only=local,
                )
        except OSError as error:
            raise UserError(reason_of(error)) from error
        return Path(folder) / self.subfolder

    def _sizes(self) -> dict[str, int]:
        try:
            info = HfApi().model_info(
                self.source, revision=self.revision, files_metadata=True, timeout=_PATIENCE_SECONDS
            )
        except OSError as error:
            raise UserError(reason_of(error)) from error
        return {file.rfilename: file.size or 0 for file in info.siblings or []}

    def _takes(self, name: str) -> bool:
        """Whether a file is downloaded: by the rules of `snapshot_download`, where `*` goes for slashes too."""
        wanted = any(fnmatchcase(name, self._inside(pattern)) for pattern in _FILES)
        return wanted and not any(fnmatchcase(name, pattern) for pattern in _NEVER)

    def _inside(self, pattern: str) -> str:
        return f"{self.subfolder}/{pattern}".lstrip("/")


def reason_of(error: OSError) -> str:
    """In words, what huggingface_hub's error means."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    # The hub's client looks into its cache after most errors, and raises that it found nothing there.
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    if isinstance(cause, RevisionNotFoundError):
        return "the hub has no such revision"
    if isinstance(cause, HfHubHTTPError):
        return _answered(cause.response.status_code)
    if isinstance(error, LocalEntryNotFoundError):
        return f"the hub can't be reached ({type(cause or error).__name__})"
    return one_line(f"{type(error).__name__}: {error}")


def _answered(status: int) -> str:
    if status in (401, 403):
        # For a repository that doesn't exist, the hub answers 401 to whoever hasn't logged in.
        return f"it is gated, private or doesn't exist ({status}): accept its terms on the hub, then `hf auth login`"
    if status == 404:
        return "the hub has no such repository (404)"
    return f"the hub answers {status}"
