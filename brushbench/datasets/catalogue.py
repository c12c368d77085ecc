"""The suite's own data sets: what each is, whose it is, how to get it, and where the class that reads it stands."""

from brushbench.core.dataset_info import STROKES, DatasetInfo, Download
from brushbench.core.registered import Registered

FORM = "https://forms.gle/9TgMZ8tm49UYsZ9s5"
RESULTS = "https://drive.google.com/drive/folders/1dK3oIB2UvswlTtnIS1iHfx4s57MevWdZ"
"""What the authors of BrushNet generated on BrushBench."""
_NOT_VISITED = (
    "(The addresses are those that public code and issues give; none could be visited when this was written.)"
)
_UNPACK = (
    "An archive of it is unpacked there by `brushbench data get {name} --archive FILE`, or downloaded from a link that "
    "you have by `--url URL --sha256 HEX`."
)
_HALVES = ("inside", "outside")

DATASETS: tuple[Registered[DatasetInfo], ...] = (
    Registered(
        "brushbench",
        "brushbench.datasets.brushbench:BrushBench",
        "BrushBench, or any set in its format",
        DatasetInfo(
            splits=(*_HALVES, STROKES),
            licence="the authors': whoever fills in their form agrees to it",
            citation="Ju et al., BrushNet, ECCV 2024, arXiv:2403.06976",
            download=Download(
                "BrushBench",
                (
                    "There is no download of BrushBench: its authors give it out on a form, so this command can't get "
                    "it.",
                    f"Fill in the form, {FORM}; you agree to their licence by that. It is linked in the README of "
                    f"https://github.com/TencentARC/BrushNet, section Data Download. {_NOT_VISITED}",
                    _UNPACK + " Any zip or tar will do.",
                    "Or put mapping_file.json and images/ (600 JPEG files) into {folder}. Called BrushDench, as in "
                    "their README, the folder is found too.",
                ),
                source=f"the authors' form, {FORM}; what they painted, for `score --images` (docs/data.md says how): "
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
        "images/, masks/ and captions of one's own",
        DatasetInfo(splits=_HALVES, licence="yours", citation="yours", complement=True),
    ),
    Registered(
        "papercut",
        "brushbench.datasets.papercut:PaperCut",
        "embedded scenes of cut paper, 128x128, procedural",
        DatasetInfo(
            splits=(*_HALVES, STROKES),
            # The paper's networks would look at a world that they don't know.
            learned=("papercut-clip",),
            licence="Apache-2.0, as the suite",
            citation="this suite",
            weights="papercut",
            embedded=True,
            primary=("psnr", "mse", "lpips", "papercut-clip"),
            notes=(
                "papercut is a toy benchmark with tiny models of its own: do not compare its numbers with published "
                "results",
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
            licence="those of scikit-image's pictures, see its data folder",
            citation="van der Walt et al., 2014",
            complement=True,
            embedded=True,
        ),
    ),
)
