"""vLLM in this process, for bulk work on a GPU. The only file that imports vllm."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from scr.engines import Completion, Outcome, Prompt, Sampling, in_order
from scr.engines.tokens import PromptEncoder
from scr.errors import EngineError, MissingExtra, ModelNotFound

_WINDOW = 4096
"""How many prompts vLLM is given at once; it schedules them itself."""


class VLLMEngine:
    """Answers through ``vllm.LLM``: many prompts at once. For one at a time, or to stream, serve the model instead."""

    def __init__(self, llm: Any, name: str) -> None:
        """Take a ``vllm.LLM``; ``name`` is how results call it."""
        self._llm, self._name = llm, name
        self._encoder = PromptEncoder(llm.get_tokenizer(), name, llm.llm_engine.model_config.max_model_len)

    @classmethod
    def from_pretrained(cls, model: str | Path | None = None, **options: Any) -> VLLMEngine:
        """Load a model.

        Args:
            model: a Hugging Face folder or hub id; None is SmolLM2-135M-Instruct, which comes with scr.
            **options: further arguments of ``vllm.LLM``, such as ``tensor_parallel_size``.

        Raises:
            ModelNotFound: there is no such folder.
            EngineError: vLLM cannot load it.
            AssetError: the model that comes with scr could not be fetched.
            MissingExtra: vllm is not installed.
        """
        try:
            import vllm
        except ModuleNotFoundError as error:
            if error.name != "vllm":
                raise
            raise MissingExtra("vllm", "vLLM in this process") from None
        if model is None:
            from scr.assets import smollm2_folder

            model = smollm2_folder()
        path = Path(model).expanduser()
        if not path.is_dir() and (isinstance(model, Path) or str(model).startswith((".", "/", "~"))):
            raise ModelNotFound(f"there is no model folder {model}: give a Hugging Face model folder or a hub id")
        source = str(path) if path.is_dir() else str(model)
        try:
            llm = vllm.LLM(model=source, **options)
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"vLLM cannot load {source}: {reason} (its log says more)") from error
        return cls(llm, path.name if path.is_dir() else source)

    @property
    def model(self) -> str:
        """The folder's name or the hub id."""
        return self._name

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        """Answer a batch of prompts, in their order.

        Raises:
            EngineError: one of the prompts cannot be answered.
        """
        with closing(self.generate_each(prompts, sampling)) as outcomes:
            return in_order(outcomes)

    def generate_each(
        self, prompts: Iterable[Prompt], sampling: Sampling
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Answer prompts, thousands together."""
        numbered = enumerate(prompts)
        while window := list(islice(numbered, _WINDOW)):
            places, encoded = [], []
            for place, prompt in window:
                try:
                    encoded.append(self._encoder.encode(prompt))
                    places.append(place)
                except EngineError as error:
                    yield place, error
            if encoded:
                yield from zip(places, self._run(encoded, sampling), strict=True)

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        """The whole answer as one piece: this engine answers in bulk.

        Raises:
            EngineError: the prompt cannot be answered.
        """
        (completion,) = self.generate([prompt], sampling)
        if completion.text:
            yield completion.text

    def count_tokens(self, text: str) -> int:
        """Length of a text in this model's tokens."""
        return len(self._encoder.plain(text))

    def close(self) -> None:
        """Let go of the model."""
        self._llm = None

    def _run(self, encoded: list[list[int]], sampling: Sampling) -> list[Completion]:
        import vllm

        parameters = [
            vllm.SamplingParams(
                max_tokens=self._encoder.room(ids, sampling.max_tokens),
                temperature=sampling.temperature,
                seed=sampling.seed,
                stop=list(sampling.stop),
            )
            for ids in encoded
        ]
        inputs = [{"prompt_token_ids": ids} for ids in encoded]
        results = self._llm.generate(inputs, parameters, use_tqdm=False)
        return [
            Completion(
                text=result.outputs[0].text,
                finish_reason=str(result.outputs[0].finish_reason),
                prompt_tokens=len(ids),
                completion_tokens=len(result.outputs[0].token_ids),
            )
            for ids, result in zip(encoded, results, strict=True)
        ]
