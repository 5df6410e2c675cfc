#!/usr/bin/env python3
"""Causal tracing: which layers carry a fact, so which to edit (Meng et al. 2022, section 2, figures 1 to 3).

    python benchmarks/editors/tracing.py [--model smollm2-135m] [--facts 40] [--noise 5]

Of CounterFact's records those are taken whose right answer the model gives, and none that the editors are measured on.
A prompt is read as it is, with noise on the embeddings of its subject, and so again with one thing put back as it was
without the noise: a state of the residual stream, or what the MLPs (or attentions) of a window of layers give, at the
subject's last token or at the prompt's. The indirect effect is how much of the answer's probability that wins back; its
mean over facts, with a 95 % interval, says how much of a fact goes through there. ROME's layer is where the MLPs' is
highest at the subject's last token.

Writes `results/tracing-MODEL.json` and `.png`, without texts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import write_result
from benchmarks.editors.measure import cases, data_folder, open_model
from scr.editors.weights.hooks import changed, still, traced
from scr.editors.weights.host import Host
from scr.editors.weights.requests import apart
from scr.editors.weights.sequences import Row, answer_ids, batch_of, row_of
from scr.errors import ScrError, UsageError
from scr.evaluation.cases import Case
from scr.evaluation.datasets import load
from scr.evaluation.statistics import mean_interval

if TYPE_CHECKING:
    import torch

WINDOW = 5
"""One part in so many of the layers is restored together, of MLPs and attentions; the paper has 10 of 48."""

NOISE = 3.0
"""Noise in standard deviations of the subjects' embeddings (Meng et al. 2022, appendix B.1)."""

KINDS = ("state", "mlp", "attention")

_ROWS = 300
"""Most rows of a pass."""

_SEED = 1


@dataclass(frozen=True, slots=True)
class Fact:
    """A prompt whose answer the model knows.

    Attributes:
        ids: its tokens.
        first: place of the subject's first token.
        last: place of its last.
        answer: the first token of the right answer.
    """

    ids: tuple[int, ...]
    first: int
    last: int
    answer: int


def candidates(path: Path) -> list[Case]:
    """A file's records, but for those with a prompt that the editors are measured on."""
    taken = {edit.prompt for case in cases(None) for edit in case.edits}
    return [case for case in load(f"counterfact={path}").cases if taken.isdisjoint(edit.prompt for edit in case.edits)]


def known(host: Host, records: Sequence[Case], most: int) -> list[Fact]:
    """The first records whose old answer the model gives, greedily."""
    found: list[Fact] = []
    for case in records:
        if len(found) == most:
            break
        (edit,) = case.edits
        start = edit.prompt.find(edit.subject or "\0")
        if start < 0 or not edit.old:
            continue
        row = row_of(host.tokenizer, edit.prompt, start, start + len(edit.subject))
        first = row_of(host.tokenizer, edit.prompt, start, start + 1).subject
        answer = answer_ids(host.tokenizer, edit.prompt, apart(edit.prompt, edit.old))[0]
        if int(next(host.logits([row]))[0, -1].argmax()) == answer:
            found.append(Fact(row.ids, first, row.subject, answer))
    return found


class Tracer:
    """Traces facts through a model.

    Args:
        host: the model.
        facts: what it knows.
        draws: of noise, for each fact.
    """

    def __init__(self, host: Host, facts: Sequence[Fact], draws: int) -> None:
        import torch

        self._host, self._draws, self._layers = host, draws, host.architecture.layers
        embeddings = host.network.get_input_embeddings()
        self._embeddings = next(name for name, module in host.network.named_modules() if module is embeddings)
        subjects = [token for fact in facts for token in fact.ids[fact.first : fact.last + 1]]
        self._size = NOISE * float(embeddings.weight.detach()[subjects].float().std())
        self._width = embeddings.weight.shape[1]
        self._generator = torch.Generator().manual_seed(_SEED)

    def effects(self, fact: Fact) -> dict[str, list[float]]:
        """The answer's probability without noise and with it; then, by what is restored, each layer's effect."""
        import torch

        tokens = fact.last - fact.first + 1
        noise = self._size * torch.randn(self._draws, tokens, self._width, generator=self._generator)
        every = [name for kind in KINDS for name in self._modules(kind)]
        with traced(self._host.network, every) as trace:
            (clean,) = self._answers(fact, 1)
        corrupted = fmean(self._disturbed(fact, noise, {}, 1))
        found = {"clean": [clean], "noise": [corrupted]}
        for kind in KINDS:
            for place, at in (("subject", fact.last), ("last", len(fact.ids) - 1)):
                restored = self._restored(fact, noise, trace.outputs, kind, at)
                found[f"{kind} at {place}"] = [probability - corrupted for probability in restored]
        return found

    def _modules(self, kind: str) -> list[str]:
        """Of each layer the module whose output is restored."""
        architecture = self._host.architecture
        name = {"state": architecture.block, "mlp": architecture.down, "attention": architecture.attention}[kind]
        return [name(layer) for layer in range(self._layers)]

    def _restored(
        self, fact: Fact, noise: torch.Tensor, clean: Mapping[str, torch.Tensor], kind: str, at: int
    ) -> Iterator[float]:
        """The mean probability of the answer where each layer (of a part, with those around it) is as without noise.

        A pass has the draws of noise once for each of several layers, and each in its rows restored.
        """
        width = 1 if kind == "state" else max(round(self._layers / WINDOW), 1)
        step = max(_ROWS // self._draws, 1)
        for start in range(0, self._layers, step):
            some = range(start, min(start + step, self._layers))
            changes = {}
            for number, name in enumerate(self._modules(kind)):
                near = [place for place, layer in enumerate(some) if number in window(layer, width, self._layers)]
                if rows := [place * self._draws + draw for place in near for draw in range(self._draws)]:
                    changes[name] = partial(_put, rows, at, clean[name][0, at])
            found = self._disturbed(fact, noise, changes, len(some))
            yield from (fmean(found[place * self._draws :][: self._draws]) for place in range(len(some)))

    def _disturbed(
        self, fact: Fact, noise: torch.Tensor, changes: Mapping[str, Callable[..., Any]], copies: int
    ) -> list[float]:
        """The answer's probability with each draw of noise, so many times over."""
        subject = slice(fact.first, fact.last + 1)

        def disturb(_: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[:, subject] += noise.repeat(copies, 1, 1).to(output)
            return output

        with changed(self._host.network, {self._embeddings: disturb, **changes}):
            return self._answers(fact, copies * self._draws)

    def _answers(self, fact: Fact, rows: int) -> list[float]:
        """The answer's probability in each of so many rows of the prompt."""
        import torch

        batch = batch_of([Row(fact.ids, fact.last)], self._host.pad, self._host.device)
        given = {name: tensor.expand(rows, -1) for name, tensor in batch.inputs().items()}
        with torch.no_grad():
            logits = self._host.network(**given, use_cache=False, logits_to_keep=1).logits[:, -1].float()
        found: list[float] = logits.softmax(1)[:, fact.answer].tolist()
        return found


def _put(rows: Sequence[int], at: int, clean: torch.Tensor, _: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    output = output.clone()
    output[rows, at] = clean
    return output


def window(layer: int, width: int, layers: int) -> range:
    """So many layers around one, fewer at the ends."""
    begin = layer - width // 2
    return range(max(begin, 0), min(begin + width, layers))


def summary(traces: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """Means over facts with their intervals, by what is restored and by layer; and where each is highest."""
    rows: dict[str, Any] = {
        name: [asdict(mean_interval(layer)) for layer in zip(*(one[name] for one in traces), strict=True)]
        for name in traces[0]
    }
    peaks = {
        name: max(range(len(layers)), key=lambda layer: layers[layer]["value"])
        for name, layers in rows.items()
        if len(layers) > 1
    }
    return rows | {"peaks": peaks}


def plot(rows: Mapping[str, Any], path: Path) -> None:
    """Write the effects as a picture."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(KINDS), figsize=(12, 3.4), sharey=True)
    titles = {"state": "one state", "mlp": "MLPs of a window", "attention": "attentions of a window"}
    for axis, kind in zip(axes, KINDS, strict=True):
        for place, colour in (("subject", "#0b6bb3"), ("last", "#c4500c")):
            low, middle, high = ([one[end] for one in rows[f"{kind} at {place}"]] for end in ("low", "value", "high"))
            axis.plot(
                middle, color=colour, label=f"at the {'subject’s' if place == 'subject' else 'prompt’s'} last token"
            )
            axis.fill_between(range(len(low)), low, high, color=colour, alpha=0.2)
        axis.set(title=titles[kind], xlabel="layer")
        axis.grid(color="#e2e2de")
    axes[0].set_ylabel("probability of the answer won back")
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> int:
    """Trace what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a name of benchmarks/tools/models.py, or a folder")
    parser.add_argument("--facts", type=int, default=40)
    parser.add_argument("--noise", type=int, default=5, help="draws of noise for each fact")
    parser.add_argument("--data", type=Path, default=data_folder() / "counterfact" / "counterfact.json")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    try:
        host = Host.of(open_model(options.model, options.threads))
        facts = known(host, candidates(options.data), options.facts)
        if not facts:
            raise UsageError(f"the model knows none of the facts in {options.data}: give others, --data FILE")
        tracer, traces = Tracer(host, facts, options.noise), []
        with still(host.network):
            for number, fact in enumerate(facts, 1):
                traces.append(tracer.effects(fact))
                print(f"{number}/{len(facts)}", file=sys.stderr, flush=True)
    except ScrError as error:
        print(f"tracing.py: {error}", file=sys.stderr)
        return error.exit_status
    rows = summary(traces)
    told = {"model": options.model, "facts": len(facts), "noise": options.noise, "data": options.data.name}
    path = options.out / f"tracing-{Path(options.model).name}.json"
    write_result(path, told, rows)
    plot(rows, path.with_suffix(".png"))
    print(rows["peaks"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
