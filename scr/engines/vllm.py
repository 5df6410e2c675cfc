"""vLLM in this process, for bulk work on a GPU. The only file that imports vllm."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from scr.engines import Completion, Outcome, Prompt, Sampling
from scr.engines.local import LocalEngine, name_of, source_of
from scr.engines.tokens import PromptEncoder
from scr.errors import EngineError, MissingExtra

_WINDOW = 4096
"""How many prompts vLLM is given at once; it schedules them itself."""


class VLLMEngine(LocalEngine):
    """Answers through ``vllm.LLM``: many prompts at once. For one at a time, or to stream, serve the model instead."""

    def __init__(self, llm: Any, name: str) -> None:
        """Take a ``vllm.LLM``; ``name`` is how results call it."""
        super().__init__(name, PromptEncoder(llm.get_tokenizer(), name, llm.llm_engine.model_config.max_model_len))
        self._llm = llm

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
        source = source_of(model)
        try:
            llm = vllm.LLM(model=source, **options)
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"vLLM cannot load {source}: {reason} (its log says more)") from error
        return cls(llm, name_of(source))

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
