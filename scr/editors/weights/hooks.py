"""Hooks as context managers: see what goes into and out of parts of a model, and change what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch

Change: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
"""From a module's input and output to what is to come out instead."""


@dataclass(slots=True)
class Trace:
    """What was seen in the latest pass, by module name; tensors as they were, not copies.

    Attributes:
        inputs: the first of each module.
        outputs: the first of each module.
        whole: all that came out, which of a block is more than its states in some versions.
    """

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    whole: dict[str, Any] = field(default_factory=dict)


class _Enough(Exception):  # control flow, never seen outside this file
    """Everything asked for was seen."""


@contextmanager
def traced(network: Any, modules: Sequence[str]) -> Iterator[Trace]:
    """See the first input and output of modules in the passes made while this lasts."""
    trace = Trace()

    def hook_of(name: str) -> Callable[..., None]:
        def hook(_: Any, inputs: Any, output: Any) -> None:
            if inputs:  # a block may be given its states by name
                trace.inputs[name] = inputs[0]
            trace.outputs[name], trace.whole[name] = first(output), output

        return hook

    with ExitStack() as stack:
        for name in modules:
            stack.callback(network.get_submodule(name).register_forward_hook(hook_of(name)).remove)
        yield trace


def seen(network: Any, modules: Sequence[str], run: Callable[[], Any]) -> Trace:
    """What goes through modules in one pass, which ends with the last of them: later layers cost nothing."""
    with traced(network, modules) as trace, ExitStack() as stack:

        def stop(*_: Any) -> None:
            if trace.outputs.keys() >= set(modules):
                raise _Enough

        for name in modules:
            stack.callback(network.get_submodule(name).register_forward_hook(stop).remove)
        with suppress(_Enough):
            run()
    return trace


@contextmanager
def changed(network: Any, changes: Mapping[str, Change]) -> Iterator[None]:
    """Put other outputs in the place of modules' own while this lasts.

    Args:
        network: the model.
        changes: by module name, a function from its input and its output to what is to come out instead. Of a block,
            which may be given its states by name, the input is its output.
    """

    def hook_of(change: Change) -> Callable[..., Any]:
        def hook(_: Any, inputs: Any, output: Any) -> Any:
            new = change(inputs[0] if inputs else first(output), first(output))
            return (new, *output[1:]) if isinstance(output, tuple) else new

        return hook

    with ExitStack() as stack:
        for name, change in changes.items():
            stack.callback(network.get_submodule(name).register_forward_hook(hook_of(change)).remove)
        yield


@contextmanager
def once(network: Any, modules: Sequence[str]) -> Iterator[None]:
    """Let modules compute in the first pass, and give the same again in all others while this lasts."""

    def repeated(forward: Callable[..., Any]) -> Callable[..., Any]:
        given: list[Any] = []

        def give(*inputs: Any, **named: Any) -> Any:
            if not given:
                given.append(forward(*inputs, **named))
            return given[0]

        return give

    with _replaced(network, dict.fromkeys(modules, repeated)):
        yield


@contextmanager
def skipped(network: Any, outputs: Mapping[str, Any]) -> Iterator[None]:
    """Let modules compute nothing while this lasts: each gives what stands here, whatever it is given."""

    def constant(output: Any) -> Callable[..., Any]:
        return lambda _: lambda *_, **__: output

    with _replaced(network, {name: constant(output) for name, output in outputs.items()}):
        yield


@contextmanager
def _replaced(network: Any, others: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Put what others make of modules' own functions in their place while this lasts."""
    parts = {network.get_submodule(name): other for name, other in others.items()}
    before = [vars(part).get("forward") for part in parts]  # a loader may have put one there
    try:
        for part, other in parts.items():
            part.forward = other(part.forward)
        yield
    finally:
        for part, forward in zip(parts, before, strict=True):
            if forward is None:
                del part.forward
            else:
                part.forward = forward


def first(output: Any) -> Any:
    """A block gives a tensor, or in some versions a tuple that begins with it."""
    return output[0] if isinstance(output, tuple) else output


@contextmanager
def still(network: Any) -> Iterator[None]:
    """The model in evaluation mode and without gradients for its own parameters while this lasts."""
    training = {module for module in network.modules() if module.training}
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        network.eval()
        for parameter in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True
