"""Where things are in a model: names of layers and matrices, from its configuration and its structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scr.errors import EditError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Layout:
    """How a family of models calls its parts.

    Attributes:
        family: who does so.
        blocks: list of transformer blocks.
        down: the MLP's second matrix, within a block: keys to values.
        attention: the attention's output matrix, within a block.
        projections: the attention's matrices that LoRA adapts (queries and values, or all in one), within a block.
    """

    family: str
    blocks: str
    down: str
    attention: str
    projections: tuple[str, ...]


LAYOUTS = (
    Layout(
        "Llama, Mistral, Qwen-like",
        "model.layers",
        "mlp.down_proj",
        "self_attn.o_proj",
        ("self_attn.q_proj", "self_attn.v_proj"),
    ),
    Layout("Phi-3-like", "model.layers", "mlp.down_proj", "self_attn.o_proj", ("self_attn.qkv_proj",)),
    Layout("Phi-like", "model.layers", "mlp.fc2", "self_attn.dense", ("self_attn.q_proj", "self_attn.v_proj")),
    Layout("GPT-2-like", "transformer.h", "mlp.c_proj", "attn.c_proj", ("attn.c_attn",)),
    Layout("GPT-J-like", "transformer.h", "mlp.fc_out", "attn.out_proj", ("attn.q_proj", "attn.v_proj")),
    Layout(
        "GPT-NeoX-like",
        "gpt_neox.layers",
        "mlp.dense_4h_to_h",
        "attention.dense",
        ("attention.query_key_value",),
    ),
)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Names and sizes of one model's parts.

    Attributes:
        layout: how its family calls them.
        layers: number of blocks.
        hidden: width of the residual stream, and so of a value.
        inner: width of a key, the input of the MLP's second matrix.
    """

    layout: Layout
    layers: int
    hidden: int
    inner: int

    @classmethod
    def of(cls, network: Any) -> Architecture:
        """Recognise a ``transformers`` causal language model.

        Raises:
            EditError: its parts are not where any known family has them, or its matrices are quantised.
        """
        for layout in LAYOUTS:
            blocks = _part(network, layout.blocks)
            names = (layout.down, layout.attention, *layout.projections)
            # All blocks: in mixtures of experts the first ones may be plain.
            if blocks and all(_part(block, name) is not None for block in blocks for name in names):
                break
        else:
            known = "; ".join(layout.family for layout in LAYOUTS)
            raise EditError(
                f"{type(network).__name__} is no architecture whose weights can be edited here: use a model "
                f"that is built like one of these ({known}), or a method that leaves the weights alone"
            )
        sizes = {oriented(network, f"{layout.blocks}.{place}.{layout.down}").shape for place in range(len(blocks))}
        if len(sizes) > 1:
            raise EditError(
                f"the MLPs of this {type(network).__name__} are not all of one size, which is not known here: "
                "use a method that leaves the weights alone"
            )
        rows, columns = sizes.pop()
        return cls(layout, len(blocks), rows, columns)

    def block(self, layer: int) -> str:
        """The block, whose output is the residual stream after it."""
        return f"{self.layout.blocks}.{layer}"

    def unreached(self, module: str) -> list[str]:
        """The blocks that a module's output cannot reach: those below its own, and itself if it is one."""
        blocks = [self.block(layer) for layer in range(self.layers)]
        layer = next(layer for layer, block in enumerate(blocks) if f"{module}.".startswith(f"{block}."))
        return blocks[: layer + (module == blocks[layer])]

    def down(self, layer: int) -> str:
        """The MLP's second matrix: its input is the key, its output the value."""
        return f"{self.block(layer)}.{self.layout.down}"

    def weight(self, layer: int) -> str:
        """The tensor that locate-then-edit methods change."""
        return f"{self.down(layer)}.weight"

    def attention(self, layer: int) -> str:
        """The attention's output matrix."""
        return f"{self.block(layer)}.{self.layout.attention}"

    def projections(self, layer: int) -> tuple[str, ...]:
        """The attention's input matrices that LoRA adapts."""
        return tuple(f"{self.block(layer)}.{name}" for name in self.layout.projections)

    def check(self, layers: tuple[int, ...]) -> tuple[int, ...]:
        """The layers, if the model has them.

        Raises:
            EditError: it has not, or there are none.
        """
        wrong = [layer for layer in layers if not 0 <= layer < self.layers]
        if wrong or not layers or list(layers) != sorted(set(layers)):
            shown = ", ".join(map(str, layers)) or "none"
            raise EditError(
                f"the layers to edit are {shown}: give one or more from 0 to {self.layers - 1}, each once, in order"
            )
        return layers


def oriented(network: Any, module: str) -> torch.Tensor:
    """A matrix as [outputs, inputs], a view of the parameter itself; GPT-2 keeps its own the other way round.

    Raises:
        EditError: the module is no plain matrix, such as a quantised one.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    part = network.get_submodule(module)
    weight: torch.Tensor | None = getattr(part, "weight", None)
    plain = (torch.float64, torch.float32, torch.bfloat16, torch.float16)  # in 8 bits a scale lies elsewhere
    if weight is None or weight.dim() != 2 or weight.dtype not in plain:
        raise EditError(f"{module} is no matrix of floating-point numbers: load the model without quantisation")
    if isinstance(part, Conv1D):
        return weight.detach().T
    if isinstance(part, torch.nn.Linear):
        return weight.detach()
    raise EditError(f"{module} is a {type(part).__name__}, which is not known here: use a model without adapters")


def is_transposed(network: Any, module: str) -> bool:
    """Whether the module keeps its matrix as [inputs, outputs]."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(network.get_submodule(module), Conv1D)


def _part(network: Any, name: str) -> Any:
    """The module of that name; None if there is none."""
    try:
        return network.get_submodule(name)
    except AttributeError:
        return None
