"""Every data set by its name: its layout, where its file lies, and where it is published."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from scr.errors import UsageError
from scr.evaluation.datasets.layout import Layout

_HERE = "scr.evaluation.datasets."


@dataclass(frozen=True, slots=True)
class Known:
    """A data set with a name.

    Attributes:
        layout: ``module:Class`` below this package.
        files: where its file may lie in the folder of data, the best place first.
        stand_ins: files of other records, taken where none of its own is there; the rows are named after them.
        hub: its id for the ``datasets`` library; empty for none.
        part: the file in that id; empty if the id is this data set alone.
        split: the split there.
    """

    layout: str
    files: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    hub: str = ""
    part: str = ""
    split: str = "train"

    def open(self) -> type[Layout]:
        """The class of its layout."""
        module, _, name = self.layout.partition(":")
        return cast("type[Layout]", getattr(import_module(_HERE + module), name))


def _knowedit(name: str, file: str, *stand_ins: str) -> Known:
    """A set of KnowEdit; its public file is known by several paths."""
    part = f"benchmark/{file}"
    files = (f"knowedit/{name}.json", f"knowedit/{file}", f"KnowEdit/{part}", part)
    return Known("knowedit:KnowEdit", files, stand_ins, "zjunlp/KnowEdit", part)


KNOWN: Mapping[str, Known] = {
    "knowedit-wiki_counterfact": _knowedit("wiki_counterfact_test", "wiki_counterfact/test_cf.json"),
    "knowedit-wiki_counterfact-train": _knowedit("wiki_counterfact_train", "wiki_counterfact/train_cf.json"),
    "knowedit-wiki_recent": _knowedit(
        "wiki_recent_test", "wiki_recent/recent_test.json", "knowedit/wiki_recent_train.json"
    ),
    "knowedit-wiki_recent-train": _knowedit("wiki_recent_train", "wiki_recent/recent_train.json"),
    "knowedit-zsre": _knowedit("zsre_test", "ZsRE/ZsRE-test-all.json"),
    "counterfact": Known(
        "counterfact:CounterFact", ("counterfact/counterfact.json",), hub="azhx/counterfact", split="test"
    ),
    "counterfact-rome": Known(
        "counterfact:CounterFact", ("counterfact/counterfact_rome_format.json",), hub="azhx/counterfact", split="test"
    ),
    "zsre-mend": Known("zsre:ZsreMend", ("zsre/zsre_mend_eval.json",), ("zsre/zsre_train_10000.json",)),
    "mquake": Known(
        "mquake:Mquake",
        ("mquake/MQuAKE-CF-3k-v2.json",),
        ("mquake/MQuAKE-CF-3k.json", "mquake/MQuAKE-CF-300-v2.json"),
        "henryzhongsc/MQuAKE-Remastered",
        split="CF3k",
    ),
    "mquake-t": Known("mquake:Mquake", ("mquake/MQuAKE-T.json",), hub="henryzhongsc/MQuAKE-Remastered", split="T"),
    "mquake-hard": Known("mquake:Mquake", ("mquake/MQuAKE-hard.json",)),
    "rippleedits": Known("rippleedits:RippleEdits", ("rippleedits/random.json",)),
    "rippleedits-popular": Known("rippleedits:RippleEdits", ("rippleedits/popular.json",)),
    "rippleedits-recent": Known("rippleedits:RippleEdits", ("rippleedits/recent.json",)),
    "eren": Known("eren:Eren", ("eren/counterfact_hard.json",)),
    "fever": Known("eren:Fever", ("eren/fever.json",)),
    "unke": Known("unke:Unke", ("unke/unke_v2.json", "unke/final_data_v3.json")),
    "qaedit": Known("qaedit:QaEdit", ("qaedit/QAEdit.json",), hub="WenDingY/QAEdit"),
    "mlake": Known("mlake:Mlake", ("mlake/single_hop/qa/en_qa.json", "MLaKE/dataset/single_hop/qa/en_qa.json")),
    "hallueditbench": Known("hallueditbench:HalluEditBench", ("hallueditbench",)),
    "docmedit": Known("docmedit:DocMedit", ("docmedit/docmedit.jsonl",)),
    "wikifactdiff": Known("wikifactdiff:WikiFactDiff", ("wikifactdiff/train.json",)),
    "jsonl": Known("jsonl:Jsonl"),
}

ALIASES: Mapping[str, str] = {
    "wiki_counterfact": "knowedit-wiki_counterfact",
    "wikidata_counterfact": "knowedit-wiki_counterfact",
    "wiki_recent": "knowedit-wiki_recent",
    "wikidata_recent": "knowedit-wiki_recent",
    "zsre": "knowedit-zsre",
    "mquake-cf": "mquake",
    "counterfact-hard": "eren",
}


def names() -> list[str]:
    """The names of all data sets, without aliases."""
    return list(KNOWN)


def find(name: str) -> Known | None:
    """The data set of a name or alias, in capitals or not, with hyphens or underscores."""
    plain = {_plain(one): one for one in KNOWN} | {_plain(one): to for one, to in ALIASES.items()}
    return KNOWN.get(plain.get(_plain(name), ""))


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def recognise(fields: Mapping[str, Any]) -> type[Layout] | None:
    """The layout whose keys a record has; of several the one with most keys."""
    keys = {key for key, value in fields.items() if value is not None}
    layouts = dict.fromkeys(known.open() for known in KNOWN.values())
    fitting = [(len(one), layout) for layout in layouts for one in layout.keys if one <= keys]
    return max(fitting, key=lambda pair: pair[0], default=(0, None))[1]


def data_folder() -> Path | None:
    """``SCR_DATA``, or ``../shared/data`` of a checkout; None if there is neither.

    Raises:
        UsageError: ``SCR_DATA`` is no folder.
    """
    if given := os.environ.get("SCR_DATA"):
        if not Path(given).is_dir():
            raise UsageError(f"SCR_DATA is {given}, which is no folder: correct it or unset it")
        return Path(given)
    beside = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    return beside if beside.is_dir() else None
