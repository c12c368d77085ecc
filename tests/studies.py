"""Texts of studies, and the method that they run."""

METHODS = """
from dataclasses import dataclass
from pathlib import Path
import torch


@dataclass(frozen=True)
class Shade:
    level: int = 128
    share: float = 1.0

    def __call__(self, batch, seeds):
        if (stop := Path(__file__).with_name("stop")).exists() and self.level == 50:
            stop.unlink()
            raise KeyboardInterrupt
        grey = torch.tensor([(self.level + seed) % 256 for seed in seeds], dtype=torch.uint8)
        known = (batch.images * self.share).to(torch.uint8)
        return torch.where(batch.masks, grey[:, None, None, None], known)
"""
STUDY = """
[run]
dataset = "brushbench"
root = "bench"
splits = ["inside", "outside"]
methods = ["mean-fill", "./shade.py:Shade"]
metrics = ["psnr", "mse"]

[[method]]
method = "./shade.py:Shade"
name = "ours, dark"
options = { level = 50, share = 0.9 }
"""
SEEDS = STUDY.replace("[run]", "[run]\nseeds = [1, 2]\nlimit = 2").replace('["inside", "outside"]', '["inside"]')
"""Two seeds on one split."""
OUTPUTS = """
[[table]]
file = "tables/main.md"

[[table]]
file = "tables/numbers.json"
rows = ["ours, dark", "mean-fill"]

[[figure]]
file = "figures/all.svg"
no-title = true

[gallery]
output = "page"
"""
ROW = '[[method]]\nmethod = "./shade.py:Shade"\n'
TABLE = '[[table]]\nfile = "main.md"\n'
