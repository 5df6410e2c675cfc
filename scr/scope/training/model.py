"""The network that is trained: BERT over the pair, mean pooling, one linear layer. Only the training needs torch."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

FROZEN = ("embeddings.word_embeddings", "embeddings.position_embeddings")


class PairModel(nn.Module):
    """A cross-encoder; word and position embeddings stay those of the base, so that they need not be shipped.

    Args:
        base: folder of the base model (config.json and model.safetensors).
    """

    def __init__(self, base: Path) -> None:
        super().__init__()
        config = BertConfig.from_pretrained(base)
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        self.bert = BertModel.from_pretrained(base, config=config, add_pooling_layer=False, attn_implementation="sdpa")
        self.head = nn.Linear(config.hidden_size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        for name, weight in self.bert.named_parameters():
            weight.requires_grad = not name.startswith(FROZEN)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """Logit of each pair.

        Args:
            ids: token ids, shape (b, t).
            mask: 1 for tokens, 0 for padding, shape (b, t).
            types: 0 for the fact, 1 for the query, shape (b, t).

        Returns:
            shape (b,), float32.
        """
        hidden = self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state.float()
        weight = mask.unsqueeze(-1).float()
        pooled = (hidden * weight).sum(1) / weight.sum(1)
        return self.head(pooled).squeeze(-1)  # type: ignore[no-any-return]

    def save_trained(self, path: Path) -> None:
        """The trained tensors in half precision; what is frozen is left out."""
        kept = {
            name: weight.detach().half().contiguous()
            for name, weight in self.bert.named_parameters()
            if not name.startswith(FROZEN)
        }
        kept |= {f"head.{name}": weight.detach().half().contiguous() for name, weight in self.head.named_parameters()}
        save_file(kept, path)

    def load_trained(self, path: Path) -> None:
        """Take over tensors that `save_trained` wrote."""
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        self.head.load_state_dict(
            {name.removeprefix("head."): t for name, t in tensors.items() if name.startswith("head.")}
        )
        self.bert.load_state_dict(
            {name: t for name, t in tensors.items() if not name.startswith("head.")}, strict=False
        )
