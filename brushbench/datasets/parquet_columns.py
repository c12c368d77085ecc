"""The columns of a Parquet file, described so that Hugging Face's `datasets` reads them as images and texts.

An image is a struct of its encoded bytes and a name. `datasets` decodes it because of a description in the file's
metadata, under the key `huggingface`. Source: the class `Features` of `datasets`, and files on the hub.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

ID, IMAGE, CAPTION, TAGS = "id", "image", "caption", "tags"
CAPTIONS = (CAPTION, "text", "prompt")
"""Names of the captions' column: ours, then those in files from other sources."""
MASKS: Mapping[str, Sequence[str]] = {
    "inside": ("inpainting_mask", "mask"),
    "outside": ("outpainting_mask",),
    "brush": ("brush_mask",),
}
"""Names of the masks' column by split: ours, as in BrushBench's mapping file, then those of other sources."""
HUGGING_FACE = b"huggingface"
_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_IMAGE_FEATURE = {"_type": "Image"}
_TEXT_FEATURE = {"dtype": "string", "_type": "Value"}


def schema_of(splits: Sequence[str], tags: Iterable[str]) -> pa.Schema:
    """Make a schema with columns for the masks of these splits and for these tags, if there are any."""
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
    """The name of the column for a split's masks."""
    return MASKS[split][0] if split in MASKS else f"{split}_mask"
