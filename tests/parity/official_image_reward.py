"""Run by tox's `parity` with the package image-reward 1.5: a small official model with random weights, and its scores.

    python tests/parity/official_image_reward.py FOLDER

writes the model into FOLDER as our metric reads it, and `scores.json`. Only the sizes are changed: the package knows no
smaller vision tower than ViT-L, and takes its vocabulary from the hub.
"""

import json
import shutil
import sys
from pathlib import Path
from unittest.mock import patch

import torch
from ImageReward.ImageReward import MLP, ImageReward
from ImageReward.models.BLIP import blip_pretrain
from ImageReward.models.BLIP.vit import VisionTransformer
from PIL import Image
from transformers import BertTokenizer

GOLDEN = Path(__file__).parent.parent / "golden" / "metrics"
CAPTIONS = (
    "a photo of an astronaut in an orange suit",
    "a tabby cat looking at the camera, close-up, " * 6,
    "Café déjà-vu — [DEC] [ENC] 東京 xyzzyqux!?",
    "",
)
PHOTOS = ("tgt_0", "tgt_1", "src_0", "src_1")
SEED = 7


def main(folder: Path) -> None:
    """Make the model, score with it, write both."""
    stored = GOLDEN / "image_reward"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("med_config.json", "vit_config.json"):
        shutil.copy(stored / name, folder)
    shutil.copytree(stored / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    sizes = json.loads((stored / "vit_config.json").read_text())["vit"]
    hidden = json.loads((stored / "med_config.json").read_text())["hidden_size"]
    vocabulary = BertTokenizer(str(stored / "tokenizer" / "vocab.txt"))
    torch.manual_seed(SEED)
    with (
        patch.object(blip_pretrain, "create_vit", lambda *_: (VisionTransformer(**sizes), sizes["embed_dim"])),
        patch.object(BertTokenizer, "from_pretrained", lambda _name: vocabulary),
    ):
        model = ImageReward(str(folder / "med_config.json"))
    model.mlp = MLP(hidden)
    # As they are initialised, nearly every image and caption would get the same score.
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    model.eval()
    torch.save(model.state_dict(), folder / "ImageReward.pt")
    rows = [
        {"photo": photo, "caption": caption, "score": model.score(caption, Image.open(GOLDEN / f"photos/{photo}.png"))}
        for photo in PHOTOS
        for caption in CAPTIONS
    ]
    (folder / "scores.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
