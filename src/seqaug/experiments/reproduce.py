"""The paper's tables and figures, run: what fits into a budget, and what came of it beside what was printed.

Every run is an ordinary run folder, found by its hash, so what `seqaug run`, `seqaug ablate` or an earlier budget has finished
counts.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from .beside import reproduced
from .executors import LOCAL
from .files import write_json, write_text
from .matrix import Ended, Failed, MatrixEvent, run_matrix
from .records import Record
from .reproduced import Reproduced
from .reproduction import Reproduction, write_decision

__all__ = ["reproduce"]


def reproduce(
    reproduction: Reproduction,
    *,
    jobs: int = 1,
    threads: int | None = None,
    devices: Sequence[str] = (),
    executor: str = LOCAL,
) -> Generator[MatrixEvent | Reproduced, None, None]:
    """Run what is not finished, then set it beside the paper. The last event is `Reproduced`.

    Writes plan.json first, and result.json, result.md, values.csv and the figures at the end. Raises Interrupted, all states
    kept.
    """
    assert reproduction.cut is not None, "the budget has been asked"
    reproduction.folder.mkdir(parents=True, exist_ok=True)
    write_decision(reproduction)
    done: dict[tuple[str, str, int], Record] = {}
    failed: list[Failed] = []
    results = reproduction.request.results
    events = run_matrix(reproduction.matrix, jobs=jobs, threads=threads, devices=devices, keep=results, executor=executor)
    try:
        for event in events:
            if isinstance(event, Ended):
                done[event.member.place] = event.record
            elif isinstance(event, Failed):
                failed.append(event)
            yield event
    except KeyboardInterrupt as error:
        # It struck between two events of the matrix, which has states to keep.
        events.throw(error)
        raise
    found = reproduced(reproduction, done, failed)
    write_json(found.folder / "result.json", found.document())
    write_text(found.folder / "result.md", found.markdown())
    write_text(found.folder / "values.csv", found.values_csv())
    for name, drawing in found.figures.items():
        write_text(found.folder / name, drawing)
    yield found
