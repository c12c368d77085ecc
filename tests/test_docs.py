"""The commands do what the documents say."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from support import assert_one_line, run_on

from brushbench.core.registry import load_class
from brushbench.runs.folder import Run

ROOT = Path(__file__).parent.parent
METHOD = """
import torch


class MyMethod:
    def __call__(self, batch, seeds):
        return torch.where(batch.masks, torch.tensor(LEVEL, dtype=torch.uint8), batch.images)
"""


def block(document: str, name: str) -> str:
    """The code below `<!-- name -->`."""
    return re.search(rf"<!-- {name} -->\n```\w+\n(.*?)```", document, re.DOTALL).group(1)


def commands(text: str) -> list[list[str]]:
    """Return the suite's commands, without pipes, limited to few samples."""
    lines = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("python -m brushbench ")]
    return [shlex.split(line.replace("--limit 48", "--limit 4"))[3:] for line in lines]


def test_the_workflow_does_what_the_page_says(brushbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    method = tmp_path / "my_method.py"
    method.write_text(METHOD.replace("LEVEL", "128"))
    for command in commands(block(page, "baseline")):
        assert brushbench(*command)[0] == 0
    workflow = yaml.safe_load(block(page, "workflow"))
    job = workflow["jobs"]["gate"]
    assert job["defaults"]["run"]["shell"] == "bash"
    paint, check = (made for step in job["steps"] for made in commands(step.get("run", "")))
    for level, code in (("128", 0), ("0", 1)):
        (tmp_path / "runs" / "papercut-inside" / "MyMethod" / "run.json").unlink(missing_ok=True)
        method.write_text(METHOD.replace("LEVEL", level))
        again = [part if part != "runs" else f"again{level}" for part in paint]
        assert brushbench(*again)[0] == 0
        found, out, _ = brushbench(*(part if part != "runs" else f"again{level}" for part in check))
        assert found == code, out
    assert "weights or code of file" in out


def test_the_tables_of_the_protocol_are_the_script_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import protocol_quirks

    monkeypatch.setattr(protocol_quirks, "WHERE", [("photos", "inside")])
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    squeezed = [re.sub(r"\s+", " ", line) for line in page.splitlines()]
    for table in (protocol_quirks.jpeg_table(), protocol_quirks.identical_table()):
        assert re.sub(r"\s+", " ", table.splitlines()[-1]) in squeezed


def test_the_network_of_the_contributing_page_paints(
    brushbench, write_bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = block((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), "network")
    Path("repaint.py").write_text(text)
    torch.manual_seed(0)
    network = load_class("method", "repaint.py:Network")()
    save_file(network.state_dict(), "repaint.safetensors")
    asked = run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr", method="repaint.py:Repaint")
    assert_one_line(brushbench(*asked), "option checkpoint of repaint.py:Repaint has no default")
    code, _, err = brushbench(*asked, "-o", "checkpoint=repaint.safetensors", "--dtype", "bfloat16")
    assert code == 0, err
    run = Run.open(tmp_path / "runs" / "brushbench-inside" / "Repaint")
    assert run.record.identity.dtype == "bfloat16"
    assert run.record.provenance["device"] == "cpu"
    assert run.record.identity.method.options == {"checkpoint": "repaint.safetensors", "noise": 1.0}
    assert len(run.intact()) == 4
