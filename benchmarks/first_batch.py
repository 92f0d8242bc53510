"""The first batches of a run in a process of their own: how long until there is one, and how much memory they take.

    python benchmarks/first_batch.py sasrec --data beauty

Does what `seqaug run` does, its rehearsal included, and stops after some batches; a recipe that trains nothing is done when
it has ranked. The clock starts when Python does; another process that starts this one can name an earlier moment. Prints JSON.
"""

from __future__ import annotations

import time

BEGAN = time.time()

import argparse  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402

from seqaug.experiments.environment import peak_device_memory, peak_memory  # noqa: E402
from seqaug.experiments.run import BatchReport, Evaluated, run  # noqa: E402
from seqaug.experiments.settings import RunSettings  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data", default="movietweetings")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--began", type=float, default=BEGAN, help="seconds since 1970")
    options = parser.parse_args()
    first, processor, seen = None, None, 0
    with tempfile.TemporaryDirectory() as folder:
        settings = RunSettings(
            recipe=options.recipe, data=options.data, device=options.device, threads=options.threads, out=Path(folder) / "run"
        )
        events = run(settings)
        for event in events:
            if isinstance(event, BatchReport):
                float(event.loss)  # waits for the device
                first, processor = first or time.time() - options.began, processor or time.process_time()
                seen += 1
            if seen >= options.batches or isinstance(event, Evaluated):
                break
        events.close()
    found = {
        "seconds_to_first_batch": first,
        "processor_seconds_to_first_batch": processor,
        "peak_bytes": peak_memory(),
        "peak_device_bytes": peak_device_memory(torch.device(options.device)),
        "batches_in_peak": seen,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
