"""Task tokens: words of a prompt that are learned vectors, and stand for what is to be painted in a hole."""

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
"""Filling from the context, painting an object of the hole's shape, painting what the text says: in order of ids."""
VECTORS = 10
"""Learned for each task."""
PREFIX = "text_model."
"""How the names in published checkpoints begin."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A caption with words before it, and words and a task behind it."""

    caption: str
    task: str = ""
    before: str = ""
    behind: str = ""


@final
class TaskEmbedding(nn.Module):
    """A table of tokens and, as its last rows, ten vectors for each task: with the names of the published files."""

    def __init__(self, wrapped: nn.Embedding, start: Float[Tensor, " c"]) -> None:
        super().__init__()
        self.wrapped = wrapped
        self.trainable_embeddings = nn.ParameterDict(
            {task: nn.Parameter(start.detach().clone().repeat(VECTORS, 1)) for task in TASKS}
        )

    def forward(self, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n tokens c"]:
        """Vectors of the ids; a task's ids follow those of the table, in the order of `TASKS`."""
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
    """What has been encoded so far."""

    @classmethod
    def of(cls, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> "TaskText":
        """Give a text encoder task tokens that all mean "a", as training begins. It is changed."""
        table = text_encoder.get_input_embeddings()
        embedding = TaskEmbedding(table, table.weight[tokenizer.convert_tokens_to_ids("a</w>")])
        text_encoder.set_input_embeddings(embedding)
        return cls(tokenizer, text_encoder, embedding)

    @classmethod
    def load(cls, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, file: Path, runtime: Runtime) -> "TaskText":
        """Give a text encoder the tokens, and all other weights, of a published file. It is changed.

        Raises `UserError` for a file that can't be read, and for tensors that are missing, left over or of another
        shape.
        """
        text = cls.of(tokenizer, text_encoder)
        with runtime.weights.recording("task_text_encoder", [file]):
            tensors = {name: tensor for name, tensor in read_tensors(file).items() if not name.endswith("position_ids")}
            stripped = {name.removeprefix(PREFIX): tensor.to(runtime.dtype) for name, tensor in tensors.items()}
            load_checked(text.text_encoder, stripped, file)
        # What was added to the encoder is where it rests, too.
        text.text_encoder.to(text_encoder.device, runtime.dtype)
        return text

    def save(self, file: Path) -> None:
        """Half precision, with the names of the published files."""
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"{PREFIX}{name}": tensor.half() for name, tensor in self.text_encoder.state_dict().items()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)

    def ids(self, prompt: Prompt) -> list[int]:
        """Padded to the encoder's length. A caption that is too long is cut, what stands around it is not.

        The official code cuts the end, which is the task, or fails.
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
        """The last hidden states, each text encoded once and by itself."""
        return torch.cat([self.texts.get(prompt, self._encoded) for prompt in prompts])

    def _encoded(self, prompt: Prompt) -> Float[Tensor, "1 77 c"]:
        ids = to_device(torch.tensor([self.ids(prompt)]), self.embedding.wrapped.weight.device)
        with torch.inference_mode():
            return cast(Tensor, self.text_encoder(ids).last_hidden_state)

    def mixed(self, first: Sequence[Prompt], second: Sequence[Prompt], weight: float) -> Float[Tensor, "n 77 c"]:
        """`weight` of the first texts and the rest of the second, mixed after the encoder: the fitting degree."""
        return weight * self.encode(first) + (1 - weight) * self.encode(second)
