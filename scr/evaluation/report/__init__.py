"""A run as people look at it: ``report.md``, one self-contained ``report.html``, and plots.

Made from the files of the run alone, so that a report can be made again on another machine, and by a later version.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from scr.errors import MissingExtra, UsageError
from scr.evaluation.results import Results

__all__ = ["write_report"]


def write_report(run: Path) -> list[Path]:
    """Write the report of a run into its folder.

    Returns:
        ``report.md``, ``report.html``, and the files in ``plots``.

    Raises:
        UsageError: the folder is no run, a file in it is damaged, or it cannot be written.
        MissingExtra: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra("eval", "A report's plots")
    from scr.evaluation.judging import Judgement
    from scr.evaluation.report.html import page
    from scr.evaluation.report.markdown import text
    from scr.evaluation.report.plots import write_plots
    from scr.evaluation.report.sample import sample_rows

    results = Results.read(run)
    name = run.resolve().name
    judgement = Judgement.read(run)
    contents = {
        "report.md": text(name, results, judgement),
        "report.html": page(name, results, sample_rows(run, results), judgement),
    }
    written = []
    try:
        for file, content in contents.items():
            # Beside it first, so that a reader never finds half a report. A name may hold half of a surrogate pair.
            partial = run / f".{file}.partial"
            partial.write_text(content, encoding="utf-8", errors="replace", newline="\n")
            written.append(partial.replace(run / file))
        return written + write_plots(results, run / "plots")
    except OSError as error:
        raise UsageError(f"cannot write the report into {run}: {(error.strerror or str(error)).lower()}") from None
