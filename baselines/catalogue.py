"""The suite's own methods: what each one is, and where its class is defined."""

from brushbench.core.method_info import MethodInfo
from brushbench.core.registered import Registered

METHODS: tuple[Registered[MethodInfo], ...] = (
    Registered(
        "autoencoder",
        "brushbench.baselines.autoencoder:Autoencoder",
        "the source after a round trip through the VAE: the ceiling of latent methods that don't blend",
        MethodInfo(
            role="reference",
            footnote="autoencoder is the source after a round trip through the VAE, the ceiling of latent methods that "
            "don't blend",
            ignores_seed=True,
        ),
    ),
    Registered(
        "biharmonic",
        "brushbench.baselines.classical:Biharmonic",
        "biharmonic interpolation (scikit-image)",
        MethodInfo(role="floor", ignores_seed=True, citation="van der Walt et al. 2014, doi:10.7717/peerj.453"),
    ),
    Registered(
        "blended-latent",
        "brushbench.baselines.blended_latent:BlendedLatent",
        "Blended Latent Diffusion, arXiv:2206.02779",
        MethodInfo(published="BLD", citation="Avrahami et al., arXiv:2206.02779"),
    ),
    Registered(
        "brushnet",
        "brushbench.baselines.brushnet:BrushNet",
        "BrushNet, arXiv:2403.06976",
        MethodInfo(published="BrushNet", citation="Ju et al., arXiv:2403.06976"),
    ),
    Registered(
        "controlnet",
        "brushbench.baselines.controlnet_inpainting:ControlNetInpainting",
        "inpainting ControlNet, arXiv:2302.05543",
        MethodInfo(published="CNI", citation="Zhang et al., arXiv:2302.05543"),
    ),
    Registered(
        "copy",
        "brushbench.baselines.classical:Copy",
        "the source image itself: what a perfect method would score",
        MethodInfo(
            role="reference",
            footnote="copy is the source itself",
            paper_footnote="copy is the source stored as JPEG, like every result: JPEG's ceiling, which fills that "
            "compress well exceed slightly",
            ignores_seed=True,
        ),
    ),
    Registered(
        "diffusers",
        "brushbench.baselines.diffusers_pipeline:DiffusersPipeline",
        "any inpainting pipeline of diffusers: -o model=FOLDER or HUB_ID",
        MethodInfo(citation="von Platen et al. 2022, https://github.com/huggingface/diffusers"),
    ),
    Registered(
        "hd-painter",
        "brushbench.baselines.hd_painter:HDPainter",
        "HD-Painter, arXiv:2312.14091",
        MethodInfo(published="HDP", citation="Manukyan et al., arXiv:2312.14091"),
    ),
    Registered(
        "lama",
        "brushbench.baselines.lama:LaMa",
        "LaMa, arXiv:2109.07161: one pass with Fourier convolutions, without captions",
        MethodInfo(ignores_seed=True, process_wide=True, citation="Suvorov et al., arXiv:2109.07161"),
    ),
    Registered(
        "mean-fill",
        "brushbench.baselines.classical:MeanFill",
        "the mean colour of the known pixels",
        MethodInfo(role="floor", ignores_seed=True),
    ),
    Registered(
        "navier-stokes",
        "brushbench.baselines.classical:NavierStokes",
        "Bertalmio et al. 2001 (OpenCV)",
        MethodInfo(role="floor", ignores_seed=True, citation="Bertalmio et al. 2001, doi:10.1109/CVPR.2001.990497"),
    ),
    Registered(
        "powerpaint",
        "brushbench.baselines.powerpaint:PowerPaint",
        "PowerPaint, arXiv:2312.03594, versions 1 and 2",
        MethodInfo(published="PP", citation="Zhuang et al., arXiv:2312.03594"),
    ),
    Registered(
        "sd-inpainting",
        "brushbench.baselines.sd_inpainting:StableDiffusionInpainting",
        "Stable Diffusion Inpainting",
        MethodInfo(published="SDI", citation="Rombach et al., arXiv:2112.10752"),
    ),
    Registered(
        "telea",
        "brushbench.baselines.classical:Telea",
        "fast marching, Telea 2004 (OpenCV)",
        MethodInfo(role="floor", ignores_seed=True, citation="Telea 2004, doi:10.1080/10867651.2004.10487596"),
    ),
)
