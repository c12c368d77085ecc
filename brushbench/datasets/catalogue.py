"""The suite's own data sets: what each is, who made it, how to get it, and which class reads it."""

from brushbench.core.dataset_info import STROKES, DatasetInfo, Download
from brushbench.core.registered import Registered

FORM = "https://forms.gle/9TgMZ8tm49UYsZ9s5"
RESULTS = "https://drive.google.com/drive/folders/1dK3oIB2UvswlTtnIS1iHfx4s57MevWdZ"
"""The images that the authors of BrushNet generated on BrushBench."""
_NOT_VISITED = "(The addresses come from public code and issues; none could be visited when this was written.)"
_UNPACK = (
    "Then `brushbench data get {name} --archive FILE` unpacks the archive into {folder}; with `--url URL --sha256 HEX` "
    "in place of `--archive`, it downloads the archive from a link that you have."
)
_HALVES = ("inside", "outside")

DATASETS: tuple[Registered[DatasetInfo], ...] = (
    Registered(
        "brushbench",
        "brushbench.datasets.brushbench:BrushBench",
        "BrushBench, or any set in its format",
        DatasetInfo(
            splits=(*_HALVES, STROKES),
            licence="the authors'; you agree to it by filling in their form",
            citation="Ju et al., BrushNet, ECCV 2024, arXiv:2403.06976",
            download=Download(
                "BrushBench",
                (
                    "There is no download of BrushBench that this command could use: request it from its authors via "
                    "their form.",
                    f"Fill in the form, {FORM}, by which you agree to their licence. It is linked in the README of "
                    f"https://github.com/TencentARC/BrushNet, section Data Download. {_NOT_VISITED}",
                    _UNPACK + " Any zip or tar file will do.",
                    "Or put mapping_file.json and images/ (600 JPEG files) into {folder}. A folder called BrushDench, "
                    "as in their README, is found too.",
                ),
                source=f"the authors' form, {FORM}; their generated images, for `score --images` (see docs/data.md): "
                f"{RESULTS}",
            ),
        ),
    ),
    Registered(
        "editbench",
        "brushbench.datasets.editbench:EditBench",
        "EditBench, arXiv:2212.06909, in any layout",
        DatasetInfo(
            splits=(*_HALVES, STROKES),
            licence="not stated in the files: see the page of Imagen Editor",
            citation="Wang et al., Imagen Editor and EditBench, CVPR 2023, arXiv:2212.06909",
            masks="random",
            side=512,
            complement=True,
            download=Download(
                "EditBench",
                address="https://storage.googleapis.com/editbench/editbench.tar.gz",
                with_login="https://storage.cloud.google.com/editbench/editbench.tar.gz",
            ),
        ),
    ),
    Registered(
        "folder",
        "brushbench.datasets.folder:Folder",
        "a folder of your own with images/, masks/ and captions",
        DatasetInfo(splits=_HALVES, licence="yours", citation="yours", complement=True),
    ),
    Registered(
        "papercut",
        "brushbench.datasets.papercut:PaperCut",
        "embedded scenes of cut paper, 128x128, procedural",
        DatasetInfo(
            splits=(*_HALVES, STROKES),
            # The paper's networks have never seen such pictures.
            learned=("papercut-clip",),
            licence="Apache-2.0, like the suite",
            citation="this suite",
            weights="papercut",
            side=128,
            embedded=True,
            primary=("psnr", "mse", "lpips", "papercut-clip"),
            notes=(
                "papercut is a toy benchmark with tiny models of its own: do not compare its numbers with published "
                "results",
                "papercut's parts weren't trained equally, in steps of 32 scenes: sd-inpainting 1500 on objects, their "
                "complements and strokes; brushnet 2000 on objects and complements, or 800 on strokes; controlnet 1000 "
                "on all three; powerpaint 150, version 2 300",
            ),
        ),
    ),
    Registered(
        "parquet",
        "brushbench.datasets.parquet:Parquet",
        "a Parquet file of images, masks and captions",
        DatasetInfo(licence="that of its source", citation="that of its source"),
    ),
    Registered(
        "photos",
        "brushbench.datasets.photos:Photos",
        "embedded photographs with drawn object masks",
        DatasetInfo(
            splits=_HALVES,
            licence="the licences of scikit-image's pictures, see its data folder",
            citation="van der Walt et al. 2014, doi:10.7717/peerj.453",
            complement=True,
            embedded=True,
        ),
    ),
)
