"""Read a Parquet file of `data convert` with Hugging Face's `datasets`, and compare it with a folder of the same.

Run by tox's `datasets` in an environment with that library; nothing of the suite is needed. What `datasets` itself
writes of it is left in WRITTEN, for `data convert --root WRITTEN` to read back.

    python tests/parity/read_with_datasets.py FILE.parquet FOLDER WRITTEN.parquet
"""

import csv
import sys
from pathlib import Path

from datasets import Image, Value, load_dataset
from PIL import Image as Pillow


def main(file: str, folder: str, written: str) -> None:
    table = load_dataset("parquet", data_files=file, split="train")
    assert table.features["image"] == table.features["inpainting_mask"] == Image(), table.features
    assert table.features["id"] == table.features["caption"] == Value("string"), table.features
    with Path(folder, "captions.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(table)
    for row, sample in zip(rows, table, strict=True):
        assert (row["image"].rpartition(".")[0], row["caption"]) == (sample["id"], sample["caption"])
        with Pillow.open(Path(folder, "images", row["image"])) as image:
            assert image.convert("RGB").tobytes() == sample["image"].tobytes(), sample["id"]
        with Pillow.open(Path(folder, "masks", f"{sample['id']}.png")) as mask:
            assert mask.tobytes() == sample["inpainting_mask"].tobytes(), sample["id"]
        tags = {key: value for key, value in (sample.get("tags") or {}).items() if value}
        assert tags == {key: value for key, value in row.items() if key not in ("image", "caption") and value}
    table.to_parquet(written)
    print(f"{len(table)} samples are the same; {written} is what datasets makes of them")


if __name__ == "__main__":
    main(*sys.argv[1:])
