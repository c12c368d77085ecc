"""The columns of a Parquet file that Hugging Face's `datasets` reads as images and texts.

An image is a struct of its encoded bytes and a name; what makes `datasets` decode it is a description in the file's
metadata, under the key `huggingface`. Source: the class `Features` of `datasets`, and files on the hub.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

ID, IMAGE, CAPTION, TAGS = "id", "image", "caption", "tags"
CAPTIONS = (CAPTION, "text", "prompt")
"""What the column of captions is called in files of others."""
MASKS: Mapping[str, Sequence[str]] = {
    "inside": ("inpainting_mask", "mask"),
    "outside": ("outpainting_mask",),
    "brush": ("brush_mask",),
}
"""Column of a split's masks: ours, which are the names in BrushBench's mapping file, then those of others."""
HUGGING_FACE = b"huggingface"
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_IMAGE_FEATURE = {"_type": "Image"}
_TEXT_FEATURE = {"dtype": "string", "_type": "Value"}


def schema_of(splits: Sequence[str], tags: Iterable[str]) -> pa.Schema:
    """Columns for the masks of these splits and, if there are any, these tags."""
    pictures = [IMAGE, *(mask_column(split) for split in splits)]
    keys = sorted(tags)
    fields = [pa.field(ID, pa.string()), pa.field(CAPTION, pa.string())]
    fields += [pa.field(name, _PICTURE) for name in pictures]
    features: dict[str, object] = {ID: _TEXT_FEATURE, CAPTION: _TEXT_FEATURE, **dict.fromkeys(pictures, _IMAGE_FEATURE)}
    if keys:
        fields.append(pa.field(TAGS, pa.struct([(key, pa.string()) for key in keys])))
        features[TAGS] = dict.fromkeys(keys, _TEXT_FEATURE)
    return pa.schema(fields, {HUGGING_FACE: json.dumps({"info": {"features": features}}).encode()})


def mask_column(split: str) -> str:
    """Where a split's masks are."""
    return MASKS[split][0] if split in MASKS else f"{split}_mask"
