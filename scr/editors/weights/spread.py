"""Spreading many edits over several layers, as MEMIT does and AlphaEdit and CoME after it (Meng et al. 2023).

For each edit the state z after the last layer is found that gives the answer (eq. 16). Then, layer by layer, what is
still missing is shared evenly among the layers left (eq. 20), and the layer's matrix is changed so that the edits'
keys (eq. 19) give it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from scr.editors.weights.delta import Delta
from scr.editors.weights.hooks import changed
from scr.editors.weights.host import Host
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import row_of, rows_of
from scr.editors.weights.targets import TargetConfig, optimise
from scr.errors import EditError

if TYPE_CHECKING:
    import torch

Solve: TypeAlias = "Callable[[int, torch.Tensor, torch.Tensor], Delta]"
"""From a layer, keys and residuals, the change of its matrix."""

Seek: TypeAlias = "Callable[[Sequence[Request]], torch.Tensor]"
"""Finds the states z of edits [edits, hidden]."""

LENGTH = 10
"""Tokens of a context of the model's own."""


def contexts(host: Host, count: int) -> list[str]:
    """The empty context, and so many of the model's own."""
    return ["", *(host.prefixes(LENGTH, count) if count else [])]


def refuse_bent(host: Host, layer: int) -> None:
    """Refuse a model in which what an MLP's second matrix gives is normed or scaled on its way to the residual stream.

    Residuals of that stream are what the matrix is to give (eq. 14); in Gemma 2 or Granite it would give others.

    Raises:
        EditError: the model is one.
    """
    import torch

    row, block = row_of(host.tokenizer, "It is so"), host.architecture.block(layer)
    before = host.states([row], [block])[block][1][0]
    step = torch.full_like(before, float(before.abs().mean()))

    def add(_: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[:, row.subject] += step.to(output.dtype)
        return output

    with changed(host.network, {host.architecture.down(layer): add}):
        after = host.states([row], [block])[block][1][0]
    # The median: a few components are so large that a coarse type rounds more than the step away.
    if not float((after - before - step).abs().median()) <= 0.1 * float(step[0]):
        raise EditError(
            f"{host.name} norms or scales what its MLPs give, so that this method would miss its targets: "
            "use rome, ft-m or lora"
        )


def keys_of(host: Host, requests: Sequence[Request], layer: int, prefixes: Sequence[str]) -> torch.Tensor:
    """The edits' keys at a layer (eq. 19), [inner, edits], in float64.

    As in the published implementation the bare prompt has one half of the weight, the contexts share the other.
    """
    rows = [row for request in requests for row in rows_of(host.tokenizer, request, prefixes)]
    module = host.architecture.down(layer)
    keys = host.states(rows, [module])[module][0].double().view(len(requests), len(prefixes), -1)
    bare = keys[:, 0]
    mean = bare if len(prefixes) == 1 else (bare + keys[:, 1:].mean(1)) / 2
    return mean.T


def target_of(host: Host, layer: int, prefixes: Sequence[str], config: TargetConfig) -> Seek:
    """The function that finds z of edits."""
    import torch

    module = host.architecture.block(layer)
    return lambda requests: torch.stack([one.value for one in optimise(host, requests, module, prefixes, config)])


def spread(
    host: Host,
    requests: Sequence[Request],
    layers: Sequence[int],
    prefixes: Sequence[str],
    seek: Seek,
    solve: Solve,
    patch: Patch,
) -> None:
    """Apply edits together.

    Args:
        host: the model.
        requests: the edits.
        layers: in ascending order; z stands after the last of them.
        prefixes: contexts before the prompts.
        seek: finds z of the edits.
        solve: from a layer, keys [inner, edits] and residuals [hidden, edits], the change of its matrix.
        patch: receives the changes.
    """
    targets = seek(requests).double()
    module = host.architecture.block(layers[-1])
    bare = [row for request in requests for row in rows_of(host.tokenizer, request, prefixes[:1])]
    for place, layer in enumerate(layers):
        keys = keys_of(host, requests, layer, prefixes)
        states = host.states(bare, [module])[module][1].double()
        residuals = (targets - states).T / (len(layers) - place)
        patch.add(host.architecture.weight(layer), solve(layer, keys, residuals))
