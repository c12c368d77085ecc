"""Progress bars of libraries, which the suite's own take the place of."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def without_bars() -> Iterator[None]:
    """Those of the hub, diffusers and transformers are off inside, and afterwards what they were before."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    with ExitStack() as stack:
        # Whoever asks for bars by huggingface_hub's environment variable has them.
        if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
            # First on the stack, so restored last: transformers switches the hub's bars with its own.
            stack.callback(disable_progress_bars if are_progress_bars_disabled() else enable_progress_bars)
            disable_progress_bars()
            for name in ("diffusers", "transformers"):
                module = sys.modules.get(f"{name}.utils.logging")
                if module is not None and module.is_progress_bar_enabled():
                    module.disable_progress_bar()
                    stack.callback(module.enable_progress_bar)
        yield
