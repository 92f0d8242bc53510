"""Every benchmark runs, with tiny budgets, and says what it is there to say. Nothing is asserted about how long it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
ABOUT = {"machine", "cores", "threads", "torch", "gflops_of_a_product", "load", "commit", "date", "command"}


def ran(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / words[0]), *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def said(*words: str, code: int = 0) -> dict[str, Any]:
    found = json.loads(ran(*words, "--json", code=code).stdout)
    assert isinstance(found, dict)
    return found


def inside(code: str) -> Any:
    """What a piece of Python prints as JSON, run where the benchmarks can import one another."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "benchmarks")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_recipe_is_measured_beside_its_own_products() -> None:
    found = said("recipes.py", "--quick", "--recipes", "sasrec", "popularity")
    assert set(found) >= ABOUT
    sasrec, popularity = found["rows"]
    (stage,) = sasrec["training"]
    assert stage["products_per_batch"] == 3  # scores, gradient of the vectors, gradient of the items
    assert stage["rows_of_products_per_batch"] % 3 == 0
    for name in ("times_the_floor", "times_the_chunks"):
        assert 0 < stage[name]["min"] <= stage[name]["median"] <= stage[name]["max"]
    assert stage["seconds_per_epoch"] > 0 and stage["users_per_second"] > 0
    assert sasrec["evaluation"]["times_the_product"]["median"] > 0
    assert sasrec["seconds_to_first_batch"] > 0 and sasrec["peak_bytes"] > 0 and sasrec["batches_in_peak"] == 2
    assert popularity["training"] == [] and popularity["evaluation"]["times_the_product"] is None
    assert popularity["seconds_to_first_batch"] is None and popularity["evaluation"]["users_per_second"] > 0


def test_the_watched_products_are_those_of_the_catalogue_and_chunks_add_up() -> None:
    code = """
import json, torch
from timing import watched
from seqaug.core import items
items.CHUNK_BYTES["cpu"] = 4 * 50 * 40  # 40 rows a chunk
table, hidden = items.ItemTable(50, 8), torch.randn(100, 8, requires_grad=True)
with watched(50) as found:
    items.ItemScores(hidden, table).nll(torch.randint(1, 51, (100,))).backward()
    (torch.randn(7, 8) @ torch.randn(8, 9)).sum()
    items.ItemScores(torch.randn(30, 8), table).top(3)
print(json.dumps([[list(map(str, (p.kind, p.rows, p.dim))) for p in part] for part in (found.chunks, found.joined)]))
"""
    chunks, joined = inside(code)
    kinds = ["scores", "states", "items"]
    assert chunks == [[kind, rows, "8"] for rows in ("40", "40", "20") for kind in kinds] + [["scores", "30", "8"]]
    assert joined == [[kind, "100", "8"] for kind in kinds] + [["scores", "30", "8"]]


def test_a_step_on_an_accelerator_is_counted_by_what_it_asks() -> None:
    found = said("launches.py", "--quick", "--recipes", "sasrec", "simdiffrec", "popularity", "--kinds", "3")
    assert set(found) >= ABOUT
    sasrec, simdiffrec, popularity = (row["stages"] for row in found["rows"])
    assert popularity == []
    (step,) = sasrec
    assert step["operations"] == step["forward"] + step["backward"] + step["optimiser"]
    assert step["optimiser"] == 4  # of each part one kernel for the weights and one for the count of steps
    assert step["waits"] == 0 and step["where_it_waits"] == {}
    assert step["copies"] == 2 and step["bytes"] > 0
    assert len(step["kinds"]) == 3
    assert simdiffrec[0]["operations"] > step["operations"] > 100
    assert "sasrec main" in ran("launches.py", "--quick", "--recipes", "sasrec").stdout


GPU = ("gpu.py", "--device", "cpu", "--quick", "--data", "movietweetings", "--recipes", "sasrec")


def test_the_visit_to_a_gpu_is_rehearsed_on_the_cpu_and_keeps_its_parts(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    found = said(*GPU, "--into", str(file), "--parts", "tests", "agreement", "waits")
    assert set(found) >= ABOUT and found["quick"]
    parts = found["parts"]
    assert all("CUDA" in parts[name]["skipped"] for name in ("tests", "waits"))
    assert [row["what"] for row in parts["agreement"]["rows"]] == ["sasrec main", "sasrec ranking"]
    assert parts["agreement"]["all_agree"] and all(row["apart"] == 0 for row in parts["agreement"]["rows"])
    again = said(*GPU, "--into", str(file), "--parts", "plan")["parts"]
    assert again["agreement"] == parts["agreement"]  # a part that is not named is kept
    assert "not there" in again["plan"]["skipped"]


@pytest.mark.slow
def test_a_whole_visit_to_a_gpu_is_rehearsed_on_the_cpu(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    parts = said(*GPU, "--into", str(file))["parts"]
    assert all(row["float32"] > 0 for row in parts["epochs"]["rows"])
    assert parts["run"]["epochs"] == 1 and parts["run"]["seconds"] > parts["run"]["seconds_per_epoch"] > 0
    assert parts["profile"]["top"] and parts["profile"]["utilisation_percent"] == {}
    assert parts["plan"]["runs"] == 60 and parts["plan"]["seconds"] > 60 * parts["run"]["seconds"]
    shown = ran(*GPU, "--into", str(file), "--parts", "plan").stdout  # the other parts are kept
    assert "plan (" in shown and "run (" not in shown
    assert json.loads(file.read_text())["parts"]["run"] == parts["run"]


def test_a_part_that_takes_too_long_is_stopped_and_said_so() -> None:
    found = said(*GPU, "--parts", "epochs", "--limit", "0.05")
    assert "stopped after 0.05 seconds" in found["parts"]["epochs"]["failed"]


def test_without_a_gpu_the_visit_says_what_can_be_had() -> None:
    if not torch.cuda.is_available():
        assert "--device cpu --quick" in ran("gpu.py", code=2).stderr


def test_made_up_histories_stand_in_for_a_data_set_that_is_not_there() -> None:
    code = """
import json
from gpu import made_up
found = made_up(500, 300)
print(json.dumps([found.num_users, found.num_actions / found.num_users, int(found.lengths.min())]))
"""
    users, mean, shortest = inside(code)
    assert users == 500 and shortest == 5 and 8 < mean < 10


def test_a_curve_grows_and_says_by_which_power() -> None:
    found = said("growth.py", "--quick", "--over", "items", "users", "--recipes", "sasrec", "--seconds", "0.1")
    assert set(found) >= ABOUT and found["quick"]
    assert [one["over"] for one in found["curves"]] == ["items", "users"]
    for curve in found["curves"]:
        sizes = [row[curve["over"]] for row in curve["rows"]]
        assert sizes == sorted(sizes) and len(sizes) == 2
        assert all(row["seconds_per_epoch"] > 0 and row["memory_bytes"] > 0 for row in curve["rows"])
        assert {"exponent_of_seconds", "exponent_of_products", "bytes_more", "matrix_bytes_more"} <= set(curve)
    items = found["curves"][0]
    assert items["matrix_bytes_more"] == 4 * 64 * 5


def test_the_exponent_is_that_of_the_upper_half() -> None:
    rows = [{"n": n, "y": max(100.0, n**1.5)} for n in (1, 10, 100, 1000, 10000)]
    assert inside(f"from growth import exponent; print(exponent({rows}, 'n', 'y'))") == pytest.approx(1.5)


def test_a_grid_tells_a_matrix_of_positions_and_items_from_what_rows_and_items_take_each_for_themselves() -> None:
    def taken(batch: int, items: int) -> int:
        return 10**6 + 500 * items + 3_000 * batch + 7 * batch**2 + 4 * 5 * batch * items

    rows = [
        {"batch": batch, "items": items, "length": 5, "memory_bytes": taken(batch, items)}
        for items in (5_000, 45_000)
        for batch in (1_024, 2_048, 4_096)
    ]
    found = inside(f"import json; from growth import in_grid; print(json.dumps(in_grid('sasrec', {rows})))")
    assert found["bytes_per_position_and_item"] == pytest.approx(4)
    assert found["bytes_per_row"] == pytest.approx(3_000 + 4 * 5 * 5_000)
    assert found["bytes_per_pair_of_rows"] == pytest.approx(7)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks of memory are read from /proc")
def test_rows_and_items_are_varied_at_once() -> None:
    found = said("growth.py", "--quick", "--over", "grid", "--recipes", "sasrec")
    (grid,) = found["grids"]
    assert found["curves"] == []
    assert [(row["items"], row["batch"]) for row in grid["rows"]] == [(v, b) for v in (1_000, 3_000) for b in (32, 64, 128)]
    assert all(row["memory_bytes"] > 0 for row in grid["rows"])


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("baseline") / "baseline.json"
    ran("baseline.py", "record", "--quick", "--recipes", "sasrec", "--file", str(file))
    return file


def test_a_baseline_holds_ratios_and_no_seconds(baseline: Path) -> None:
    kept = json.loads(baseline.read_text())
    assert set(kept) == ABOUT | {"device", "data", "ratios"}
    parts = ("a batch of main", "a ranking", "the first batch", "memory")
    assert set(kept["ratios"]) == {f"sasrec: {part}" for part in parts}
    assert all(ratio > 0 for ratio in kept["ratios"].values())


def test_a_planted_slowdown_is_found_and_the_others_are_not_blamed(baseline: Path, tmp_path: Path) -> None:
    kept = json.loads(baseline.read_text())
    kept["ratios"] = {name: 1000 * ratio for name, ratio in kept["ratios"].items()}
    planted = "sasrec: a batch of main"
    kept["ratios"][planted] /= 1e6  # the baseline says that it once took a thousandth of what it takes
    kept["torch"] = "0.1"
    file = tmp_path / "baseline.json"
    file.write_text(json.dumps(kept))
    words = ["baseline.py", "compare", "--quick", "--recipes", "sasrec", "--file", str(file)]
    report = said(*words, code=1)
    assert list(report["slower"]) == [planted] and report["slower"][planted] > 1.3
    assert report["settings_differ"] == [f"torch 0.1 then, {torch.__version__} now"]
    del kept["ratios"][planted]
    file.write_text(json.dumps(kept))
    report = said(*words)
    assert report["slower"] == {} and report["without_a_baseline"] == [planted]


def test_what_looks_slower_once_and_not_again_is_not_blamed() -> None:
    code = """
import json
from baseline import compared
tries = iter([{"a": 2.0, "b": 1.0}, {"a": 1.1, "b": 9.0}])
print(json.dumps(compared({"a": 1.0, "b": 1.0}, ["one"], 0.3, lambda recipe: next(tries), 2)))
"""
    assert inside(code) == [{"a": 1.1, "b": 1.0}, {}]


def test_a_baseline_that_is_not_there_and_a_recipe_that_is_none_are_said_in_words(tmp_path: Path) -> None:
    missing = ran("baseline.py", "compare", "--quick", "--file", str(tmp_path / "none.json"), code=2)
    assert "record" in missing.stderr
    for script in (("baseline.py", "compare"), ("recipes.py",)):
        assert "Did you mean 'sasrec'?" in ran(*script, "--recipes", "sarsec", code=2).stderr


def test_the_committed_baseline_has_every_recipe_that_trains() -> None:
    kept = json.loads((ROOT / "benchmarks" / "baseline.json").read_text())
    library = {path.stem for path in (ROOT / "src/seqaug/recipes/library").glob("*.toml")}
    assert {name.partition(":")[0] for name in kept["ratios"]} == library
    assert all(ratio > 0 for ratio in kept["ratios"].values())


def test_what_is_recorded_is_rounded_and_has_a_line_for_each_row() -> None:
    found = {"load": 0.123456, "rows": [{"a": {"b": 2.000049}}, {"a": None}]}
    text = inside(f"import json\nfrom record import compact\nprint(json.dumps(compact({found})))")
    assert json.loads(text) == {"load": 0.1235, "rows": [{"a": {"b": 2.0}}, {"a": None}]}
    assert len(text.splitlines()) == 7


def test_a_plan_that_missed_is_named_and_one_that_kept_its_promise_is_not() -> None:
    rows = [
        {"data": "toy", "recipe": name, "memory_ratio": memory, "seconds_ratio": seconds}
        for name, memory, seconds in (("good", 0.7, 1.4), ("slow", 1.0, 1.6), ("large", 0.6, 1.0))
    ]
    said = inside(f"import json\nfrom plan import outside\nprint(json.dumps(outside({rows})))")
    assert said == [
        "slow on toy: seconds foretold over measured 1.60",
        "large on toy: memory foretold over measured 0.60",
    ]


def test_foretold_seconds_are_of_the_epochs_that_were_run_and_of_one_ranking_where_none_was() -> None:
    estimate = {
        "seconds_per_epoch": 2.0,
        "stages": [{"name": "a", "seconds_per_epoch": 2.0}, {"name": "b", "seconds_per_epoch": 5.0}],
    }
    run = {"seconds": {"evaluate": 3.0}}
    events = [{"stage": stage, "seconds": {"train": 4.0, "valid": 0.5}} for stage in ("a", "b", "b")]
    code = f"import json\nfrom plan import seconds\nprint(json.dumps([seconds({estimate}, {run}, e) for e in ({events}, [])]))"
    assert inside(code) == [
        {"foretold_seconds": 12.0, "seconds": 13.5},
        {"foretold_seconds": 2.0, "seconds": 1.5},
    ]


@pytest.mark.slow
def test_a_plan_is_compared_with_a_run() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "plan.py"), "--recipes", "popularity", "sasrec", "--json"],
        capture_output=True,
        text=True,
    )
    # On a busy machine the seconds may miss, which is what the exit code says; memory does not hang on that.
    found = json.loads(done.stdout)
    assert done.returncode == (1 if found["outside"] else 0)
    assert [row["recipe"] for row in found["rows"]] == ["popularity", "sasrec"]
    assert all(1 / 1.5 < row["memory_ratio"] < 1.5 for row in found["rows"])


@pytest.mark.slow
def test_one_command_records_everything(tmp_path: Path) -> None:
    words = ["--quick", "--data", "movietweetings", "--into", str(tmp_path / "into"), "--threads", "1"]
    ran("record.py", *words, "--baseline", str(tmp_path / "baseline.json"))
    assert {path.stem for path in (tmp_path / "into").glob("*.json")} == {"recipes", "others", "epoch", "growth"}
    for path in (tmp_path / "into").glob("*.json"):
        found = json.loads(path.read_text())
        assert set(found) >= ABOUT and found["command"].startswith(f"python benchmarks/{path.stem}.py")
    assert json.loads((tmp_path / "baseline.json").read_text())["ratios"]
