"""Task tokens: learned vectors in a prompt that say how to fill a hole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, final

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from brushbench.baselines.captions import cleaned
from brushbench.baselines.recent import Recent
from brushbench.baselines.transfer import to_device
from brushbench.weights.runtime import Runtime
from brushbench.weights.tensors import load_checked, read_tensors

CONTEXT, SHAPE, OBJECT = TASKS = ("P_ctxt", "P_shape", "P_obj")
"""Fill from the context, generate an object of the hole's shape, generate what the text says; in the order of ids."""
VECTORS = 10
"""Number of learned vectors for each task."""
PREFIX = "text_model."
"""Prefix of the names in published checkpoints."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A caption with words before it, and words and a task after it."""

    caption: str
    task: str = ""
    before: str = ""
    behind: str = ""


@final
class TaskEmbedding(nn.Module):
    """A token embedding with ten more vectors for each task, under the names of the published files."""

    def __init__(self, wrapped: nn.Embedding, start: Float[Tensor, " c"]) -> None:
        super().__init__()
        self.wrapped = wrapped
        self.trainable_embeddings = nn.ParameterDict(
            {task: nn.Parameter(start.detach().clone().repeat(VECTORS, 1)) for task in TASKS}
        )

    def forward(self, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n tokens c"]:
        """The vectors of the ids; the tasks' ids follow those of the tokens, in the order of `TASKS`."""
        table = torch.cat([self.wrapped.weight, *(self.trainable_embeddings[task] for task in TASKS)])
        return nn.functional.embedding(ids, table)


@final
@dataclass(frozen=True, slots=True)
class TaskText:
    """A tokenizer, and a text encoder that knows the tasks."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    embedding: TaskEmbedding
    texts: Recent[Prompt, Tensor] = field(default_factory=Recent)
    """Texts that have been encoded so far."""

    @classmethod
    def of(cls, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> "TaskText":
        """Add task tokens that all mean "a", as at the start of training, to a text encoder; it is changed in place."""
        table = text_encoder.get_input_embeddings()
        embedding = TaskEmbedding(table, table.weight[tokenizer.convert_tokens_to_ids("a</w>")])
        text_encoder.set_input_embeddings(embedding)
        return cls(tokenizer, text_encoder, embedding)

    @classmethod
    def load(cls, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, file: Path, runtime: Runtime) -> "TaskText":
        """Load the tokens and all other weights of a published file into a text encoder, which is changed in place.

        Raises `UserError` for a file that can't be read, and for tensors that are missing, unknown or of another shape.
        """
        text = cls.of(tokenizer, text_encoder)
        with runtime.weights.recording("task_text_encoder", [file]):
            tensors = {name: tensor for name, tensor in read_tensors(file).items() if not name.endswith("position_ids")}
            stripped = {name.removeprefix(PREFIX): tensor.to(runtime.dtype) for name, tensor in tensors.items()}
            load_checked(text.text_encoder, stripped, file)
        # Move what was added to the encoder to where the encoder is.
        text.text_encoder.to(text_encoder.device, runtime.dtype)
        return text

    def save(self, file: Path) -> None:
        """Save the text encoder in half precision, under the names of the published files."""
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"{PREFIX}{name}": tensor.half() for name, tensor in self.text_encoder.state_dict().items()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)

    def ids(self, prompt: Prompt) -> list[int]:
        """A prompt's token ids, padded to the encoder's length.

        A caption that is too long is cut, but never the words and the task around it. The official code cuts the end,
        which is the task, or fails.
        """
        length = self.tokenizer.model_max_length
        before, caption, behind = (
            self.tokenizer(part, add_special_tokens=False).input_ids
            for part in (prompt.before, cleaned(prompt.caption), prompt.behind)
        )
        first = len(self.embedding.wrapped.weight) + TASKS.index(prompt.task) * VECTORS if prompt.task else 0
        task = list(range(first, first + VECTORS)) if prompt.task else []
        room = length - 2 - len(before) - len(behind) - len(task)
        words = [self.tokenizer.bos_token_id, *before, *caption[:room], *behind, *task, self.tokenizer.eos_token_id]
        return cast(list[int], words + [self.tokenizer.pad_token_id] * (length - len(words)))

    def encode(self, prompts: Sequence[Prompt]) -> Float[Tensor, "n 77 c"]:
        """The last hidden states of the prompts; each text is encoded only once and by itself."""
        return torch.cat([self.texts.get(prompt, self._encoded) for prompt in prompts])

    def _encoded(self, prompt: Prompt) -> Float[Tensor, "1 77 c"]:
        ids = to_device(torch.tensor([self.ids(prompt)]), self.embedding.wrapped.weight.device)
        with torch.inference_mode():
            return cast(Tensor, self.text_encoder(ids).last_hidden_state)

    def mixed(self, first: Sequence[Prompt], second: Sequence[Prompt], weight: float) -> Float[Tensor, "n 77 c"]:
        """The encoded prompts, `weight` (the fitting degree) of the first and the rest of the second."""
        return weight * self.encode(first) + (1 - weight) * self.encode(second)
