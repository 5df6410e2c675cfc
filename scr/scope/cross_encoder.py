"""The learned scope classifier: a cross-encoder that reads fact and query together.

It runs in ONNX Runtime, without torch. What ships is what training changed of all-MiniLM-L6-v2, in half precision;
word and position embeddings are the base's own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xxhash
from numpy.typing import NDArray

from scr.assets import build_folder, cache_folder, minilm_folder
from scr.bert import LinearHead, read_bert
from scr.encoder.onnx_encoder import batches
from scr.errors import AssetError
from scr.scope import Candidate
from scr.scope.network import Exits, Network, write_stages

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Tokens: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
"""Ids, mask and types of pairs, each of shape (b, t)."""

SHIPPED = Path(__file__).parent / "weights"
"""Folder of the weights that come with the package."""

WEIGHTS = "model.safetensors"
"""File of a classifier's folder with what training changed."""

_RECIPE = "4"
"""Names the arithmetic; raised whenever the prepared graph changes, so that older ones in the cache are left alone."""

_BATCH_TOKENS = 4096
"""Most tokens, padding included, that are run at once."""


@dataclass(frozen=True)
class CrossEncoderConfig:
    """What config.json of a classifier says.

    Attributes:
        threshold: probability from which a fact applies.
        floor: cosine of fact and query under which the network is not asked.
        margin: how far below the query's nearest fact's a cosine may lie for the network to be asked.
        first: how many of a query's nearest facts are read before the others; 0 reads all at once.
        doubt: probability that one of the first must have for the others to be read.
        scale: factor on the logit, fitted on held-out pairs (Platt 1999).
        shift: added to the scaled logit.
        max_tokens: longest pair in tokens; fact and query are cut in turn beyond it.
        arithmetic: `int8` (dynamic quantisation of the weights' products) or `fp32`.
        base: name of the model whose embeddings it shares.
        trained_on: names of the data sets, for the reader.
    """

    threshold: float = 0.5
    floor: float = 0.0
    margin: float = 2.0
    first: int = 0
    doubt: float = 0.0
    scale: float = 1.0
    shift: float = 0.0
    max_tokens: int = 256
    arithmetic: str = "fp32"
    base: str = "all-MiniLM-L6-v2"
    trained_on: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> CrossEncoderConfig:
        """Read a classifier's config.json.

        Raises:
            AssetError: it is missing or damaged.
        """
        try:
            given: Mapping[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            known = {name: given[name] for name in cls.__dataclass_fields__ if name in given}
            return cls(**known | {"trained_on": tuple(known.get("trained_on", ()))})
        except (OSError, ValueError, TypeError) as error:
            raise AssetError(
                f"cannot read the scope classifier in {folder} ({error}): train or copy it again"
            ) from error

    def write(self, folder: Path) -> None:
        """Write config.json."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")


class CrossEncoder:
    """Scores (fact, query) pairs jointly.

    Args:
        folder: where its weights lie.
        config: calibration and threshold.
        tokenizer: of the base model.
        network: in ONNX Runtime.
    """

    name = "cross-encoder"

    def __init__(self, folder: Path, config: CrossEncoderConfig, tokenizer: Tokenizer, network: Network) -> None:
        self.folder = folder
        self.config = config
        self._tokenizer = tokenizer
        self._network = network

    @classmethod
    def from_pretrained(cls, folder: Path | str | None = None, *, base: Path | None = None) -> CrossEncoder:
        """Open a classifier; the graph is made once and kept in the cache.

        Args:
            folder: one that `save_pretrained` or the training wrote; None is the shipped one.
            base: folder of the base model; None is the shipped all-MiniLM-L6-v2.

        Raises:
            AssetError: weights or base cannot be read, or the cache cannot be written.
        """
        from tokenizers import Tokenizer

        place = SHIPPED if folder is None else Path(folder)
        config = CrossEncoderConfig.read(place)
        base = base or minilm_folder()
        exits = Exits.read(place)
        prepared = prepare(place, config, base, exits)
        try:
            tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
            network = Network.open(prepared, exits.below.tolist() if exits else ())
        except Exception as error:  # both libraries raise bare exceptions
            raise AssetError(
                f"the prepared scope classifier in {prepared} is damaged ({error}): delete that folder"
            ) from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(config.max_tokens)
        return cls(place, config, tokenizer, network)

    def save_pretrained(self, folder: Path | str) -> None:
        """Write weights, calibration and threshold into a folder that `from_pretrained` reads."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        if target.resolve() != self.folder.resolve():
            for path in self.folder.iterdir():
                if path.is_file() and path.suffix in {".safetensors", ".md"}:
                    shutil.copyfile(path, target / path.name)
        self.config.write(target)

    @property
    def threshold(self) -> float:
        """The score from which a fact applies, where the fact has no threshold of its own."""
        return self.config.threshold

    def with_threshold(self, threshold: float) -> CrossEncoder:
        """The same classifier with another threshold."""
        return CrossEncoder(self.folder, replace(self.config, threshold=threshold), self._tokenizer, self._network)

    def with_network(self, network: Network) -> CrossEncoder:
        """The same classifier reading by another network."""
        return CrossEncoder(self.folder, self.config, self._tokenizer, network)

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """Probability that each candidate governs the query beside it, shape (len(pairs),).

        A candidate whose cosine is under the floor, or farther below the query's nearest than the margin, is not
        read, and neither is one behind the first few where these are plainly out of scope; it scores 0.
        """
        scores = np.zeros(len(pairs), np.float32)
        # A question that a batch asks twice is read once: its nearest fact counts once among the first.
        once: dict[tuple[str, str], int] = {}
        for place, (query, candidate) in enumerate(pairs):
            once.setdefault((query, candidate.fact.id), place)

        def read(places: Sequence[int]) -> None:
            scores[places] = self.score_pairs([(pairs[place][1].fact.text, pairs[place][0]) for place in places])

        near = self._worth_reading(pairs, once.values())
        first = self.config.first or len(pairs)
        read([place for places in near for place in places[:first]])
        hopeful = (places for places in near if scores[places[:first]].max() >= self.config.doubt)
        read([place for places in hopeful for place in places[first:]])
        return scores[[once[query, candidate.fact.id] for query, candidate in pairs]]

    def _worth_reading(self, pairs: Sequence[tuple[str, Candidate]], among: Iterable[int]) -> list[list[int]]:
        """Places of the candidates near enough to their query, those of a query together and nearest first."""
        near: dict[str, list[int]] = {}
        for place in sorted(among, key=lambda place: -pairs[place][1].similarity):
            query, candidate = pairs[place]
            places = near.setdefault(query, [])
            nearest = pairs[places[0]][1].similarity if places else candidate.similarity
            if candidate.similarity >= max(self.config.floor, nearest - self.config.margin):
                places.append(place)
        return [places for places in near.values() if places]

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """Probability that each fact governs its query.

        Args:
            pairs: (fact, query).

        Returns:
            shape (len(pairs),), values in [0, 1].
        """
        chance = 1 / (1 + np.exp(-(self.config.scale * self.logits(pairs) + self.config.shift)))
        return np.asarray(chance, np.float32)

    def logits(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """The network's raw output for each pair, before calibration; shape (len(pairs),)."""
        found = np.empty(len(pairs), np.float32)
        for rows, tokens in self._batches(pairs):
            found[rows] = self._network.logits(*tokens)
        return found

    def vectors(self, pairs: Sequence[tuple[str, str]]) -> list[NDArray[np.float32]]:
        """What the heads of every stage say of each pair: as `Network.vectors`, shapes (len(pairs), width)."""
        parts = [(rows, self._network.vectors(*tokens)) for rows, tokens in self._batches(pairs)]
        order = np.argsort(np.concatenate([rows for rows, _ in parts]))
        return [np.concatenate(stage)[order] for stage in zip(*(said for _, said in parts), strict=True)]

    def _batches(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[NDArray[np.int64], Tokens]]:
        """Rows of pairs that are run at once, with their tokens."""
        codes = self._tokenizer.encode_batch_fast(list(pairs)) if pairs else []
        for rows in batches([len(code.ids) for code in codes], _BATCH_TOKENS):
            lengths = np.array([len(codes[row].ids) for row in rows])
            mask = np.arange(lengths.max()) < lengths[:, None]
            ids, types = np.zeros((2, *mask.shape), np.int32)
            ids[mask] = np.concatenate([codes[row].ids for row in rows])
            types[mask] = np.concatenate([codes[row].type_ids for row in rows])
            yield rows, (ids, mask.astype(np.int32), types)


def prepare(folder: Path, config: CrossEncoderConfig, base: Path, exits: Exits | None) -> Path:
    """The folder of the cache with the classifier's network; made if it is not there or its weights are others.

    Raises:
        AssetError: weights or base cannot be read, or the cache cannot be written.
    """
    try:
        trained = (folder / WEIGHTS).read_bytes()
        stat = (base / "model.safetensors").stat()
    except OSError as error:
        raise AssetError(f"cannot read the scope classifier in {folder} ({error}): train or copy it again") from error
    heads = exits.heads() if exits else {}
    marks = [xxhash.xxh3_128_hexdigest(trained), *(f"{layer} {_digest(head)}" for layer, head in heads.items())]
    key = f"{_RECIPE} {config.arithmetic} {' '.join(marks)} {base} {stat.st_size} {stat.st_mtime_ns}"
    target = cache_folder() / "scope" / xxhash.xxh3_64_hexdigest(key.encode())
    if not target.is_dir():
        build_folder(target, lambda into: write_network(trained, config.arithmetic, base, heads, into))
    return target


def write_network(trained: bytes, arithmetic: str, base: Path, heads: Mapping[int, LinearHead], into: Path) -> None:
    """Write the network of a classifier's weights into a folder.

    Args:
        trained: the file of the weights.
        arithmetic: see `CrossEncoderConfig`.
        base: folder of the base model.
        heads: of the early exits, by the number of layers before them.
        into: an empty folder.

    Raises:
        AssetError: the weights are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    shape, weights = read_bert(base)
    try:
        own = {name: np.asarray(array, np.float32) for name, array in load(trained).items()}
    except SafetensorError as error:
        raise AssetError(f"the scope classifier's weights are damaged ({error}): train or copy it again") from error
    if missing := {"head.weight", "head.bias"} - own.keys():
        raise AssetError(f"the scope classifier's weights lack {', '.join(sorted(missing))}: train or copy it again")
    last = LinearHead(own.pop("head.weight"), own.pop("head.bias"))
    write_stages(shape, {**weights, **own}, {**heads, int(shape["num_hidden_layers"]): last}, into, arithmetic)


def _digest(head: LinearHead) -> str:
    return xxhash.xxh3_128_hexdigest(head.weight.tobytes() + head.bias.tobytes())
