"""The two sets of weights that a checkpoint in the original layout may have for its UNet: plain ones, and their EMA.

EMA is the exponential moving average over the training. Its tensors have the names of the plain ones without dots.
"""

import re
from pathlib import Path

from torch import Tensor

from brushbench.core.errors import UserError, one_line

PLAIN, EMA = "model.diffusion_model.", "model_ema."
"""How the names begin."""
AVERAGED = f"{EMA}diffusion_model"
_PARTS = re.compile(
    r"in_layers|emb_layers|out_layers|skip_connection|proj_in|proj_out|transformer_blocks|attn[12]|to_[qkv]|to_out"
    r"|time_embed|label_emb|input_blocks|middle_block|output_blocks|norm[123]?|proj|ff|net|op|conv|out|weight|bias"
    # Only the numbers of blocks have several digits, and but for a transformer's another number of one digit follows.
    r"|(?<=transformer_blocks)\d+|\d+(?=\d(?:\D|$))|\d"
)
"""What stood between the dots."""


def of_one_kind(tensors: dict[str, Tensor], file: Path, *, ema: bool) -> tuple[dict[str, Tensor], str]:
    """The tensors of a file with the plain weights of its UNet, or with `ema` their EMA, under the plain names.

    Also which was taken, to read; empty for a file without EMA. A file with nothing but EMA weights has them taken.
    Raises `UserError` with `ema` for a file without EMA, and for an EMA that isn't complete.
    """
    averaged = {name for name in tensors if name.startswith(AVERAGED)}
    plain = {name for name in tensors if name.startswith(PLAIN)}
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith(EMA)}
    if not averaged and ema:
        reason = "the file has no EMA weights, or they are its only ones and have the plain names"
        raise UserError(one_line(f"ema=true: {file}: {reason}; valid: a file with both, or ema=false"))
    if not averaged:
        return rest, ""
    if plain and not ema:
        return rest, f"{file.name}: its plain weights, not its EMA weights, which -o ema=true takes"
    names = {_flat(name): name for name in plain} or {name: _dotted(name, file) for name in averaged}
    if missing := sorted(names.keys() - averaged):
        raise UserError(one_line(f"ema=true: {file}: its EMA weights lack {missing[0]} ({len(missing)} in all)"))
    said = "its EMA weights" if plain else "its EMA weights, as it has no plain ones"
    return rest | {name: tensors[flat] for flat, name in names.items()}, f"{file.name}: {said}"


def _flat(plain: str) -> str:
    return EMA + plain.removeprefix("model.").replace(".", "")


def _dotted(flat: str, file: Path) -> str:
    """The plain name; raises `UserError` for one that no UNet of the original code has."""
    together = flat.removeprefix(AVERAGED)
    parts = _PARTS.findall(together)
    if "".join(parts) != together:
        raise UserError(one_line(f"{file}: the name {flat} of an EMA weight is none of the original code's"))
    return PLAIN + ".".join(parts)
