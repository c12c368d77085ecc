"""Turn off the progress bars of libraries, as the suite shows its own."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def without_bars() -> Iterator[None]:
    """Turn off the progress bars of the hub, diffusers and transformers, and restore them afterwards."""
    from huggingface_hub import constants

    # Any: the module exports its functions, but not to a type checker.
    bars: Any = importlib.import_module("huggingface_hub.utils")

    with ExitStack() as stack:
        # huggingface_hub's environment variable, if it is set, decides for itself.
        if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
            # First on the stack, so restored last: transformers switches the hub's bars together with its own.
            off = bars.are_progress_bars_disabled()
            stack.callback(bars.disable_progress_bars if off else bars.enable_progress_bars)
            bars.disable_progress_bars()
            for name in ("diffusers", "transformers"):
                module = sys.modules.get(f"{name}.utils.logging")
                if module is not None and module.is_progress_bar_enabled():
                    module.disable_progress_bar()
                    stack.callback(module.enable_progress_bar)
        yield
