"""How a user calls each class of diffusers that `diffusers` accepts, written by hand from its documentation."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """A class, the folder that it is loaded from, and how a user would call it."""

    model: str
    image: str = "image"
    mask: str = "mask_image"
    """Empty: it takes none."""
    blank: str = ""
    """How the control image's masked pixels look."""
    named: bool = False
    """Whether the class has to be named, as the folder's own class leads to another one."""
    controlnet: str = ""
    prior: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)
    """Beside those that the sample gives."""
    own_size: bool = False
    without_sides: bool = False
    prompt: str = "{}"
    slow: bool = False


KONTEXT = {"max_area": 64 * 64, "_auto_resize": False}
CASES = {
    "AmusedInpaintPipeline": Case("amused", without_sides=True, arguments={"strength": 1.0}, slow=True),
    "BriaFibo2Pipeline": Case("bria-2", mask="mask", slow=True),
    "BriaFiboEditPipeline": Case(
        "bria",
        mask="mask",
        prompt='{{"edit_instruction": "{}"}}',
        options={"guidance": 1.0},
        arguments={"guidance_scale": 1.0},
    ),
    "ChromaInpaintPipeline": Case("chroma", arguments={"strength": 1.0}),
    "Flux2KleinInpaintPipeline": Case("flux2-klein", arguments={"strength": 1.0}, slow=True),
    "FluxControlInpaintPipeline": Case("flux-control", blank="black", arguments={"strength": 1.0}, slow=True),
    "FluxControlNetInpaintPipeline": Case(
        "flux", blank="black", controlnet="flux-controlnet", arguments={"strength": 1.0}
    ),
    "FluxFillPipeline": Case("flux-fill", arguments={"strength": 1.0}, slow=True),
    "FluxInpaintPipeline": Case("flux", arguments={"strength": 1.0}, slow=True),
    "FluxKontextInpaintPipeline": Case("flux-kontext", named=True, arguments={"strength": 1.0} | KONTEXT, slow=True),
    "FluxKontextPipeline": Case("flux-kontext", mask="", arguments=KONTEXT),
    "IFInpaintingPipeline": Case("if", own_size=True, without_sides=True, arguments={"strength": 1.0}, slow=True),
    "JoyImageEditPipeline": Case("joy", mask="", own_size=True, slow=True),
    "JoyImageEditPlusPipeline": Case("joy-plus", image="images", mask="", slow=True),
    "KandinskyInpaintCombinedPipeline": Case("kandinsky-1", prior="kandinsky-1-prior", slow=True),
    "KandinskyV22InpaintCombinedPipeline": Case("kandinsky", prior="kandinsky-prior", slow=True),
    "LongCatImageEditPipeline": Case("longcat", mask="", own_size=True, without_sides=True, slow=True),
    "QwenImageControlNetInpaintPipeline": Case(
        "qwen", image="control_image", mask="control_mask", controlnet="qwen-controlnet"
    ),
    "QwenImageEditInpaintPipeline": Case("qwen-edit", own_size=True, arguments={"strength": 1.0}, slow=True),
    "QwenImageEditPipeline": Case("qwen-edit", mask="", named=True, slow=True),
    "QwenImageEditPlusPipeline": Case("qwen-edit-plus", mask="", slow=True),
    "QwenImageInpaintPipeline": Case("qwen", arguments={"strength": 1.0}, slow=True),
    "StableDiffusion3ControlNetInpaintingPipeline": Case(
        "sd3", image="control_image", mask="control_mask", controlnet="sd3-controlnet"
    ),
    "StableDiffusion3InpaintPipeline": Case("sd3", arguments={"strength": 1.0}, slow=True),
    "StableDiffusionControlNetInpaintPipeline": Case(
        "sd", blank="minus one", controlnet="sd-controlnet", arguments={"strength": 1.0}
    ),
    "StableDiffusionControlNetPAGInpaintPipeline": Case(
        "sd", blank="minus one", named=True, controlnet="sd-controlnet", arguments={"strength": 1.0}, slow=True
    ),
    "StableDiffusionInpaintPipeline": Case("sd-inpainting", arguments={"strength": 1.0}, slow=True),
    "StableDiffusionInpaintPipelineLegacy": Case("sd", named=True, without_sides=True, arguments={"strength": 1.0}),
    "StableDiffusionInstructPix2PixPipeline": Case("sd-pix2pix", mask="", without_sides=True, slow=True),
    "StableDiffusionPAGInpaintPipeline": Case("sd", named=True, arguments={"strength": 1.0}, slow=True),
    "StableDiffusionXLControlNetInpaintPipeline": Case(
        "sdxl", blank="minus one", controlnet="sdxl-controlnet", arguments={"strength": 1.0}, slow=True
    ),
    "StableDiffusionXLControlNetUnionInpaintPipeline": Case(
        "sdxl",
        blank="black in a list",
        controlnet="sdxl-union",
        arguments={"strength": 1.0, "control_mode": [7]},
        slow=True,
    ),
    "StableDiffusionXLInpaintPipeline": Case("sdxl", arguments={"strength": 1.0}, slow=True),
    "StableDiffusionXLPAGInpaintPipeline": Case("sdxl", named=True, arguments={"strength": 1.0}, slow=True),
    "ZImageControlNetInpaintPipeline": Case("z-image", blank="black", controlnet="z-image-controlnet"),
    "ZImageInpaintPipeline": Case("z-image", arguments={"strength": 1.0}, slow=True),
}
