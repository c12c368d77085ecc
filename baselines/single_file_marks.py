"""Marks in a single-file checkpoint that say what its UNet predicts and whether its schedule ends in pure noise."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from brushbench.baselines.checkpoints import SchedulerConfig, loaded
from brushbench.weights.file_kinds import is_safetensors
from brushbench.weights.runtime import Runtime

V_PREDICTION: SchedulerConfig = {"prediction_type": "v_prediction"}
# A schedule that ends in pure noise is only useful to a sampler that starts at pure noise.
ZERO_SNR: SchedulerConfig = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
V_KEYS = ("modelspec.predict_key", "modelspec.prediction_type")
"""Keys in a safetensors file's metadata, from the older and the newer version of Stability AI's model specification."""


def scheduler_changes(file: Path, names: Iterable[str], runtime: Runtime) -> SchedulerConfig:
    """The changes that a file's marks require in the scheduler config of an epsilon model.

    Marks are tensors named `v_pred` and `ztsnr`, the metadata of a safetensors file, and a config of the original code
    beside the file (`model.yaml` beside `model.ckpt`) with `parameterization: v`. Raises `UserError` for a damaged
    config.
    """
    marks, metadata, config = set(names) & {"v_pred", "ztsnr"}, _metadata(file), _config(file, runtime)
    changes: SchedulerConfig = {}
    if (
        "v_pred" in marks
        or any(metadata.get(key, "").lower() in ("v", "v_prediction") for key in V_KEYS)
        or config.get("parameterization") == "v"
    ):
        changes |= V_PREDICTION
    if "ztsnr" in marks or metadata.get("ss_zero_terminal_snr") == "True":
        changes |= ZERO_SNR
    return changes


def _metadata(file: Path) -> dict[str, str]:
    if not is_safetensors(file):
        return {}
    with safe_open(file, framework="pt") as opened:
        return dict(opened.metadata() or {})


# Any: the content of a YAML file.
def _config(file: Path, runtime: Runtime) -> dict[str, Any]:
    """The model's parameters in the original code's config beside the file; empty without one."""
    beside = file.with_suffix(".yaml")
    if not beside.is_file():
        return {}
    read: Callable[..., Any] = lambda path, **_: yaml.safe_load(path.read_text(encoding="utf-8"))  # noqa: E731
    with runtime.weights.recording("checkpoint_config", [beside]):
        content = loaded(beside, read)
    model = content.get("model") if isinstance(content, dict) else None
    parameters = model.get("params") if isinstance(model, dict) else None
    return parameters if isinstance(parameters, dict) else {}
