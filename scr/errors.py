"""Every error that scr raises on purpose, as one tree.

::

    ScrError                    the work failed (exit status 1)
    ├── UsageError              what was asked cannot be done as asked (exit status 2)
    │   ├── FactError           a fact's text or field is not acceptable
    │   ├── QueryError          a question is not acceptable
    │   ├── UnknownFact         no fact has this id
    │   └── UnknownStore        there is no store in this folder
    ├── ImportRefused           some lines of a bulk import are bad, so none was taken
    ├── Conflict                the new fact contradicts a stored one and the caller asked to be refused
    ├── StoreError              the fact store cannot be used
    │   ├── StoreBusy           another process has held the write lock for too long
    │   ├── StoreCorrupt        the ledger file is damaged
    │   ├── StoreTooNew         a newer version of scr made this store
    │   ├── StoreReadOnly       the store cannot be written
    │   ├── DiskFull            no space is left for the change
    │   └── EncoderMismatch     the store holds vectors of another encoder
    ├── IndexDamaged            the vector index cannot be read (the store repairs it from the ledger)
    ├── EngineError             the language model could not answer
    │   ├── EngineUnavailable   the server cannot be reached, or went away
    │   ├── EngineTimeout       the server did not answer in time
    │   ├── EngineRefused       the server refused the key
    │   └── ModelNotFound       there is no such model
    ├── EditError               an edit cannot be applied; nothing was changed
    ├── AssetError              model weights could not be fetched or converted
    └── MissingExtra            an optional dependency is not installed

Each message says what was wrong and what to do, in one line.
"""

from __future__ import annotations


class ScrError(Exception):
    """The work failed; the message names the remedy."""

    exit_status = 1


class UsageError(ScrError):
    """What was asked cannot be done as asked."""

    exit_status = 2


class FactError(UsageError):
    """A fact's text or field is not acceptable."""


class QueryError(UsageError):
    """A question is not acceptable."""


class UnknownFact(UsageError):
    """No fact has this id."""


class UnknownStore(UsageError):
    """There is no store in this folder."""


class ImportRefused(ScrError):
    """Some lines of a bulk import are bad, so none was taken."""


class Conflict(ScrError):
    """The new fact contradicts a stored one and the caller asked to be refused."""


class StoreError(ScrError):
    """The fact store cannot be used."""


class StoreBusy(StoreError):
    """Another process has held the write lock for too long."""


class StoreCorrupt(StoreError):
    """The ledger file is damaged."""


class StoreTooNew(StoreError):
    """A newer version of scr made this store."""


class StoreReadOnly(StoreError):
    """The store cannot be written."""


class DiskFull(StoreError):
    """No space is left for the change; nothing was changed."""


class EncoderMismatch(StoreError):
    """The store holds vectors of another encoder."""


class IndexDamaged(ScrError):
    """The vector index cannot be read; the store repairs it from the ledger."""


class EngineError(ScrError):
    """The language model could not answer."""


class EngineUnavailable(EngineError):
    """The server cannot be reached, or went away."""


class EngineTimeout(EngineError):
    """The server did not answer in time."""


class EngineRefused(EngineError):
    """The server refused the key."""


class ModelNotFound(EngineError):
    """There is no such model."""


class EditError(ScrError):
    """An edit cannot be applied; nothing was changed."""


class AssetError(ScrError):
    """Model weights could not be fetched or converted."""


class MissingExtra(ScrError):
    """An optional dependency is not installed; the message is the pip command to run."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an optional dependency: pip install 'scr-edit[{extra}]'")
