"""Any finished runs beside each other: which are one method, which may not be compared, and what is said of the rest."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqaug.errors import CheckFailed, RecipeError, SeqaugError, UnknownName
from seqaug.experiments.compare import TABLE_METRICS, Given, compare, given
from seqaug.experiments.records import read_record
from seqaug.experiments.run import run
from seqaug.experiments.settings import RunSettings

Keep = Callable[..., Path]

PROTOCOL = {
    "split": "leave-one-out",
    "seen_items": {"valid": "kept", "test": "kept", "test_unseen": "removed"},
    "candidates": "all items",
    "num_candidates": 40,
    "ties": "pessimistic",
    "average": "over all users",
    "selection": {"metric": "ndcg@10"},
    "max_length": 50,
    "loss": {},
}


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Writes what is kept of a finished run into tmp_path / name."""

    def make(
        name: str,
        recipe: str = "sasrec",
        *,
        seed: int = 0,
        gain: float = 0.0,
        users: int = 60,
        first_user: int = 0,
        values: dict[str, Any] | None = None,
        changed: dict[str, str] | None = None,
        torch: str = "2.13.0",
        sha256: str = "aa" * 32,
        data: str = "toy",
        hash: str | None = "",
        protocol: dict[str, Any] | None = None,
        **facts: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        identity = {
            "recipe": {"name": recipe, "items": {"dim": 64}, **(values or {})},
            "data": sha256, "seed": seed, "precision": "float32", "plugins": {},
        }  # fmt: skip
        own = f"{recipe} {json.dumps(values)} {data} {sha256} {seed}" if hash == "" else hash
        metrics = {
            "recipe": recipe, "data": {"name": data, "sha256": sha256}, "seed": seed, "test": {}, "hash": own,
            "protocol": {**copy.deepcopy(PROTOCOL), **(protocol or {})},
            "device": "cpu", "precision": "float32", "threads": 1, "parameters": 1, **facts,
        }  # fmt: skip
        (folder / "metrics.json").write_text(json.dumps(metrics))
        if own is not None:
            origins = {"items.dim": "recipe", **(changed or {})}
            resolved = {"hash": own, "identity": identity, "values": identity["recipe"], "origins": origins}
            (folder / "resolved.json").write_text(json.dumps(resolved))
        (folder / "environment.json").write_text(json.dumps({"versions": {"torch": torch}}))
        rng = np.random.default_rng([seed, len(recipe)])
        rank = np.maximum(1, np.exp(2 + rng.normal(size=users) - gain)).astype(np.int64)
        np.savez_compressed(
            folder / "per_user.npz",
            user=np.array([f"u{first_user + place}" for place in range(users)]),
            target=np.array([f"i{place % 7}" for place in range(users)]),
            rank=rank,
            rank_unseen=np.maximum(1, rank - 2),
        )
        return folder

    return make


# ---- which runs are one method ----


def test_runs_that_differ_in_the_seed_alone_are_one_method(keep: Keep) -> None:
    folders = [keep(f"{recipe}-{seed}", recipe, seed=seed) for recipe in ("sasrec", "duorec") for seed in range(3)]
    found = compare(folders)
    assert found.methods == ("sasrec", "duorec") and found.reference == "sasrec"
    assert found.cells["toy", "hr@10", "duorec"].seeds == (0, 1, 2)
    assert found.metrics == TABLE_METRICS and found.compared == 4


def test_a_folder_of_run_folders_counts_as_all_of_them(keep: Keep, tmp_path: Path) -> None:
    for recipe in ("duorec", "sasrec"):
        for seed in range(2):
            keep(f"runs/{recipe}-{seed}", recipe, seed=seed)
    found = compare([tmp_path / "runs"], reference="sasrec")
    assert found.methods == ("duorec", "sasrec") and found.cells["toy", "hr@5", "duorec"].seeds == (0, 1)


def test_what_is_changed_in_a_recipe_makes_another_method_and_names_it(keep: Keep) -> None:
    plain = keep("plain", values={"items": {"dim": 64}})
    wide = keep("wide", values={"items": {"dim": 128}}, changed={"items.dim": "-s"})
    less = keep("less", values={"noise": {"use": "gaussian"}}, changed={"noise.use": "ablation w/o k_noise"})
    found = compare([plain, wide, less])
    assert found.methods == ("sasrec", "sasrec, items.dim=128", "sasrec w/o k_noise")


def test_a_method_on_two_data_sets_is_one_column(keep: Keep) -> None:
    folders = []
    for recipe in ("sasrec", "duorec"):
        for data, dim in (("toys", 64), ("yelp", 128)):
            changed = {"items.dim": f"variant {data}"}
            values = {"items": {"dim": dim}}
            folders.append(keep(f"{recipe}-{data}", recipe, data=data, sha256=data * 16, values=values, changed=changed))
    found = compare(folders)
    assert found.methods == ("sasrec", "duorec") and found.data == ("toys", "yelp")
    assert found.compared == 0 and len(found.cells) == 16


def test_a_label_names_a_method_and_joins_its_runs(keep: Keep) -> None:
    folders = [
        keep(f"{name}-{seed}", recipe, seed=seed) for name, recipe in (("a", "sasrec"), ("b", "duorec")) for seed in range(2)
    ]
    found = compare(
        [given(f"plain={folders[0]}"), given(f"plain={folders[1]}"), given(f"new={folders[2]}"), given(f"new={folders[3]}")]
    )
    assert found.methods == ("plain", "new") and found.cells["toy", "hr@10", "plain"].seeds == (0, 1)


def test_a_label_that_joins_unlike_runs_says_so(keep: Keep) -> None:
    one = keep("one", seed=0)
    other = keep("other", seed=1, values={"items": {"dim": 128}}, changed={"items.dim": "-s"})
    reference = [keep(f"duorec-{seed}", "duorec", seed=seed) for seed in range(2)]
    found = compare([*reference, given(f"mixed={one}"), given(f"mixed={other}")])
    assert any("mixed on toy joins runs that differ in more than the seed" in note for note in found.notes)


def test_a_folder_whose_name_has_an_equals_sign_is_a_folder(keep: Keep) -> None:
    folder = keep("a=b")
    assert given(folder).label is None and given(f"x={folder}").label == "x"


def test_the_same_run_twice_counts_once(keep: Keep) -> None:
    one, copy_of_it, other = keep("one"), keep("copy"), keep("other", "duorec")
    found = compare([one, copy_of_it, other])
    assert found.methods == ("sasrec", "duorec") and found.cells["toy", "hr@10", "sasrec"].seeds == (0,)


def test_two_different_runs_of_one_method_and_seed_are_refused(keep: Keep) -> None:
    one, other, third = keep("one", hash=None), keep("other", hash=None, gain=1.0), keep("third", "duorec")
    with pytest.raises(SeqaugError, match=r"two runs of one method and one seed \(0\).*name them apart"):
        compare([one, other, third])
    found = compare([given(f"A={one}"), given(f"B={other}"), third])
    assert found.methods == ("A", "B", "duorec")


def test_two_runs_of_one_label_and_seed_are_refused(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec")
    with pytest.raises(SeqaugError, match="A has two runs of seed 0 on toy"):
        compare([given(f"A={one}"), given(f"A={other}"), keep("third", "mclrec")])


def test_a_label_that_another_method_has_by_itself_is_refused(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec")
    with pytest.raises(RecipeError, match="duorec is what another method here is called"):
        compare([given(f"duorec={one}"), other])


# ---- the reference, the metrics ----


def test_the_reference_is_a_name_or_the_folder_of_a_run(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec")
    assert compare([one, other]).reference == "sasrec"
    assert compare([one, other], reference="duorec").reference == "duorec"
    assert compare([one, other], reference=str(other)).reference == "duorec"
    with pytest.raises(UnknownName, match="Did you mean 'duorec'"):
        compare([one, other], reference="duorek")


def test_metrics_are_any_of_the_three_at_any_k(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec")
    assert compare([one, other], metrics=["HR@3", "mrr@20"]).metrics == ("hr@3", "mrr@20")
    for wrong in ("hr", "hr@0", "recall@10", "ndcg@1O"):
        with pytest.raises(UnknownName, match="no metric is called"):
            compare([one, other], metrics=[wrong])


def test_unseen_takes_the_ranks_with_seen_items_removed_and_says_so(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec")
    kept, removed = compare([one, other]), compare([one, other], unseen=True)
    assert removed.cells["toy", "hr@10", "sasrec"].mean > kept.cells["toy", "hr@10", "sasrec"].mean
    assert "Test ranks, seen items removed." in removed.notes and "Test ranks, seen items kept." in kept.notes


def test_one_method_alone_is_nothing_to_compare(keep: Keep) -> None:
    with pytest.raises(RecipeError, match="all runs given are sasrec"):
        compare([keep("one"), keep("other", seed=1)])


# ---- unlike protocols ----

UNLIKE = {
    "split": ({"split": "by time"}, "split: "),
    "seen items": ({"seen_items": {"test": "removed"}}, "seen_items: "),
    "candidates": ({"candidates": "100 sampled", "num_candidates": 100}, "candidates: "),
    "ties": ({"ties": "optimistic"}, "ties: "),
    "average": ({"average": "over users with a warm target"}, "average: "),
}


@pytest.mark.parametrize(("protocol", "said"), UNLIKE.values(), ids=UNLIKE)
def test_runs_that_were_not_measured_alike_are_refused_with_the_difference(
    keep: Keep, protocol: dict[str, Any], said: str
) -> None:
    one, other = keep("one"), keep("other", "duorec", protocol=protocol)
    with pytest.raises(CheckFailed) as refused:
        compare([one, other])
    assert refused.value.exit_code == 5
    assert said in str(refused.value) and str(one) in str(refused.value) and str(other) in str(refused.value)


def test_every_difference_is_named_and_none_twice(keep: Keep) -> None:
    unlike = {"ties": "optimistic", "split": "by time"}
    folders = [keep("one"), *(keep(f"other-{seed}", "duorec", seed=seed, protocol=unlike) for seed in range(3))]
    with pytest.raises(CheckFailed) as refused:
        compare(folders)
    assert str(refused.value).count("ties: ") == 1 and str(refused.value).count("split: ") == 1


def test_force_compares_them_and_says_what_differs(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec", protocol={"ties": "optimistic"})
    found = compare([one, other], force=True)
    assert found.notes[0].startswith("Forced: these runs were not measured alike. ties: ")
    assert found.cells["toy", "hr@10", "duorec"].difference is not None


def test_unlike_runs_of_one_method_stay_apart_when_forced(keep: Keep) -> None:
    one, other = keep("one", hash="1"), keep("other", hash="2", protocol={"ties": "optimistic"})
    found = compare([one, other], force=True)
    assert len(found.methods) == 2 and all(name.startswith("sasrec") for name in found.methods)


def test_other_data_under_the_same_name_is_refused_and_forced_compares_the_users_in_common(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec", sha256="bb" * 32, users=50, first_user=20)
    with pytest.raises(CheckFailed, match="data: toy"):
        compare([one, other])
    found = compare([one, other], force=True)
    assert any("compared by the 40 of 70 that all have" in note for note in found.notes)
    assert any("ask 40 of the 40 users for different items" in note for note in found.notes)
    told = found.cells["toy", "hr@10", "duorec"].difference
    assert told is not None and "40 users" in told.how


def test_other_data_without_a_common_user_gives_values_and_no_differences_when_forced(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec", sha256="bb" * 32, first_user=500)
    found = compare([one, other], force=True)
    assert found.data == ("toy (aaaaaaaa)", "toy (bbbbbbbb)") and found.compared == 0
    assert found.cells["toy (bbbbbbbb)", "hr@10", "duorec"].difference is None


def test_methods_that_never_met_on_any_data_are_refused(keep: Keep) -> None:
    one, other = keep("one"), keep("other", "duorec", data="beauty", sha256="bb" * 32)
    with pytest.raises(CheckFailed, match="sasrec on toy; duorec on beauty"):
        compare([one, other])
    found = compare([one, other], force=True)
    assert found.cells["beauty", "hr@10", "duorec"].mean > 0 and found.compared == 0


def test_a_row_that_some_methods_lack_is_no_reason_to_refuse(keep: Keep) -> None:
    folders = [keep("one"), keep("two", "duorec"), keep("three", "duorec", data="beauty", sha256="bb" * 32)]
    found = compare(folders)
    assert ("beauty", "hr@10", "sasrec") not in found.cells and any(
        "No run of sasrec on beauty" in note for note in found.notes
    )


REMARKS = {
    "selection": ({"protocol": {"selection": {"metric": "mrr@10"}}}, "selected by: ndcg@10 for sasrec; mrr@10 for duorec"),
    "length": ({"protocol": {"max_length": 20}}, "longest history: 50 for sasrec; 20 for duorec"),
    "device": ({"device": "cuda"}, "device: cpu for sasrec; cuda for duorec"),
    "precision": ({"precision": "bfloat16"}, "precision: float32 for sasrec; bfloat16 for duorec"),
    "threads": ({"threads": 2}, "threads: 1 for sasrec; 2 for duorec"),
    "torch": ({"torch": "2.11.0"}, "torch: 2.13.0 for sasrec; 2.11.0 for duorec"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "said"), REMARKS.values(), ids=REMARKS)
def test_what_else_differs_is_a_note_and_no_refusal(keep: Keep, changed: dict[str, Any], said: str) -> None:
    found = compare([keep("one"), keep("other", "duorec", **changed)])
    assert f"Not alike on toy, {said}." in found.notes


def test_nothing_else_is_said_of_runs_that_are_alike(keep: Keep) -> None:
    assert not [note for note in compare([keep("one"), keep("other", "duorec")]).notes if "alike" in note.lower()]


# ---- folders ----


def test_a_folder_that_is_none_and_a_run_that_is_not_finished_are_refused_in_words(keep: Keep, tmp_path: Path) -> None:
    with pytest.raises(SeqaugError, match="there is no run folder"):
        given(tmp_path / "nowhere")
    (keep("begun") / "metrics.json").unlink()
    with pytest.raises(SeqaugError, match="is not finished"):
        given(tmp_path / "begun")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SeqaugError, match="no run folder"):
        given(tmp_path / "empty")


def test_unfinished_runs_in_a_folder_are_passed_over_and_named(keep: Keep, tmp_path: Path) -> None:
    keep("runs/one")
    keep("runs/two", "duorec")
    (keep("runs/begun", "mclrec") / "metrics.json").unlink()
    found = compare([tmp_path / "runs"])
    assert found.methods == ("sasrec", "duorec")
    assert any(note.startswith("Not finished, so left out, in ") and "begun" in note for note in found.notes)


def test_records_may_be_given_as_they_are(keep: Keep) -> None:
    one, other = read_record(keep("one")), read_record(keep("other", "duorec"))
    assert compare([one, Given((other,), "named")]).methods == ("sasrec", "named")


# ---- real runs ----


def test_real_runs_of_two_recipes_are_compared(small: Callable[..., RunSettings], tmp_path: Path) -> None:
    for seed in range(2):
        list(run(small(seed=seed, out=tmp_path / f"sasrec-{seed}")))
        list(run(small(seed=seed, out=tmp_path / f"wide-{seed}", values={"items.dim": 16})))
    found = compare([tmp_path])
    assert set(found.methods) == {"sasrec, items.dim=8", "sasrec, items.dim=16"}
    for method in found.methods:
        cell = found.cells["toy", "ndcg@10", method]
        folder = "sasrec" if method.endswith("=8") else "wide"
        stored = [json.loads((tmp_path / f"{folder}-{seed}" / "metrics.json").read_text())["test"] for seed in range(2)]
        assert cell.values == pytest.approx([one["ndcg@10"] for one in stored])
    assert found.compared == 4 and not [note for note in found.notes if "alike" in note.lower()]
