"""The two sets of UNet weights that a checkpoint in the original layout may have: plain weights and their EMA.

EMA is the exponential moving average over training. Its tensors have the plain names without the dots.
"""

import re
from pathlib import Path

from torch import Tensor

from brushbench.core.errors import UserError, one_line

PLAIN, EMA = "model.diffusion_model.", "model_ema."
"""Prefixes of the tensors' names."""
AVERAGED = f"{EMA}diffusion_model"
_PARTS = re.compile(
    r"in_layers|emb_layers|out_layers|skip_connection|proj_in|proj_out|transformer_blocks|attn[12]|to_[qkv]|to_out"
    r"|time_embed|label_emb|input_blocks|middle_block|output_blocks|norm[123]?|proj|ff|net|op|conv|out|weight|bias"
    # Only block numbers have several digits, and except in a transformer a one-digit number follows them.
    r"|(?<=transformer_blocks)\d+|\d+(?=\d(?:\D|$))|\d"
)
"""The parts of a plain name between its dots."""


def of_one_kind(tensors: dict[str, Tensor], file: Path, *, ema: bool) -> tuple[dict[str, Tensor], str]:
    """(the tensors of a file with its UNet's plain weights, or with `ema` its EMA weights; which were taken, in words).

    EMA weights get the plain names. The words are empty for a file without EMA weights. A file that has only EMA
    weights has them taken. Raises `UserError` if `ema` is set for a file without EMA weights, and for incomplete ones.
    """
    averaged = {name for name in tensors if name.startswith(AVERAGED)}
    plain = {name for name in tensors if name.startswith(PLAIN)}
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(EMA)}
    if not averaged and ema:
        reason = "the file has no EMA weights, or has only EMA weights under the plain names"
        raise UserError(one_line(f"ema=true: {file}: {reason}; valid: a file with both, or ema=false"))
    if not averaged:
        return rest, ""
    if plain and not ema:
        return rest, f"{file.name}: its plain weights (for its EMA weights: -o ema=true)"
    names = {_flat(name): name for name in plain} or {name: _dotted(name, file) for name in averaged}
    if missing := sorted(names.keys() - averaged):
        raise UserError(one_line(f"ema=true: {file}: its EMA weights lack {missing[0]} ({len(missing)} in all)"))
    said = "its EMA weights" if plain else "its EMA weights, as it has no plain ones"
    return rest | {name: tensors[flat] for flat, name in names.items()}, f"{file.name}: {said}"


def _flat(plain: str) -> str:
    return EMA + plain.removeprefix("model.").replace(".", "")


def _dotted(flat: str, file: Path) -> str:
    """The plain name of an EMA tensor. Raises `UserError` for a name that no UNet of the original code has."""
    together = flat.removeprefix(AVERAGED)
    parts = _PARTS.findall(together)
    if "".join(parts) != together:
        raise UserError(one_line(f"{file}: the EMA weight {flat} is unknown to the original code"))
    return PLAIN + ".".join(parts)
