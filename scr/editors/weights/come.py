"""CoME, conflict-free model editing (Jung et al. 2025): MEMIT with the outdated answer unlearned.

Beside the vector δ that makes the model give the new answer, the vector δ′ is sought that makes it give the old one.
What both have in common is how an answer to this prompt looks at all, and is to stay; what else is in δ′ is the
outdated knowledge, and is taken out. It is taken out only where it matters: in the p components of the target that
are highest. With h the state at the bare prompt, and δ″ = (δ′·ĉ) ĉ the common part along the direction ĉ of
δ/‖δ‖ + δ′/‖δ′‖,

    z = h + δ − a (δ′ − δ″)   in those components,   z = h + δ   in the others,

after which the update is MEMIT's. The implementation that the authors published adds the common part whole,
z = h + δ − a δ′ + δ″ (the setting `whole`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from scr.editors import Traits
from scr.editors.weights.host import Host
from scr.editors.weights.memit import Memit, MemitConfig
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import rows_of
from scr.editors.weights.spread import Seek
from scr.editors.weights.targets import optimise

if TYPE_CHECKING:
    import torch

_ANSWER = 3
"""Tokens of the model's own answer, where the old one is not given."""


@dataclass(frozen=True, slots=True)
class ComeConfig(MemitConfig):
    """Settings, as published for GPT-J; the rest are MEMIT's.

    Attributes:
        share: a, how much of the old answer's vector is taken out.
        top: p, the share of components in which it is.
        whole: whether the common part is added whole, as the published implementation does.
    """

    share: float = 0.1
    top: float = 0.2
    whole: bool = False


class Come(Memit):
    """MEMIT on targets from which the outdated answer is taken out."""

    traits: ClassVar[Traits] = Traits(
        "come",
        "weights",
        "Jung et al. 2025, CoME: An Unlearning-based Approach to Conflict-free Model Editing",
        needs=("subject", "statistics"),
        resumable=True,
    )
    settings: ClassVar[type] = ComeConfig

    def _seek(self, prefixes: Sequence[str]) -> Seek:
        import torch

        config = self.config
        assert isinstance(config, ComeConfig)  # noqa: S101 (it is made of `settings`)
        module = self.host.architecture.block(self._layers()[-1])
        # The old answer is sought for half as long: the model all but gives it already.
        brief = replace(config.target, steps=max(1, config.target.steps // 2))

        def seek(requests: Sequence[Request]) -> torch.Tensor:
            old = [request.old or _own_answer(self.host, request) for request in requests]
            new = optimise(self.host, requests, module, prefixes, config.target)
            outdated = optimise(self.host, requests, module, prefixes, brief, old)
            pairs = zip(new, outdated, strict=True)
            return torch.stack([come_target(one.start, one.delta, other.delta, config) for one, other in pairs])

        return seek


def come_target(start: torch.Tensor, new: torch.Tensor, old: torch.Tensor, config: ComeConfig) -> torch.Tensor:
    """The state z without the outdated knowledge [hidden].

    Args:
        start: h, the state at the bare prompt [hidden].
        new: δ [hidden].
        old: δ′ [hidden].
        config: a, p and the form.
    """
    import torch

    plain = start + new
    count = round(config.top * len(plain))
    if not count or not bool(old.any()):
        return plain
    common = torch.nn.functional.normalize(
        torch.nn.functional.normalize(new, dim=0) + torch.nn.functional.normalize(old, dim=0), dim=0
    )
    kept = (old @ common) * common
    highest = plain.topk(count).indices
    unlearned = plain - config.share * old + (kept if config.whole else config.share * kept)
    return plain.index_copy(0, highest, unlearned[highest])


def _own_answer(host: Host, request: Request) -> str:
    """What the model says now, in a few tokens."""
    (row,) = rows_of(host.tokenizer, request, [""])
    for _ in range(_ANSWER):
        (logits,) = host.logits([row])
        row = row.then([int(logits[0, -1].argmax())])
    text: str = host.tokenizer.decode(row.ids[-_ANSWER:], skip_special_tokens=True)
    return text if text.strip() else request.target
