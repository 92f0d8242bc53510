"""Every check of the conformance kit catches a defect that was planted for it, and lets a sound plugin pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqaug.core.registries import REGISTRIES
from seqaug.testing import Outcome, Subject, check_plugin, checks_of
from seqaug.testing.running import outcome_of
from testing.defects import DEFECTS, Defect
from testing.sound import SOUND


def only(check: str, subject: Subject) -> Outcome:
    (one,) = [each for each in checks_of(subject.kind) if each.name == check]
    return outcome_of(one, subject)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: f"{one.kind}-{one.name}-{one.check}")
def test_a_planted_defect_is_caught(defect: Defect, tmp_path: Path) -> None:
    if "GPU" in defect.check and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    outcome = only(defect.check, Subject(defect.make(tmp_path), kind=defect.kind))
    assert outcome.state == "failed", f"the defect passes: {outcome}"
    assert outcome.message


@pytest.mark.parametrize("kind", list(REGISTRIES))
def test_a_sound_plugin_passes_every_check(kind: str) -> None:
    outcomes = check_plugin(SOUND[kind], kind=kind)
    assert not [(one.check.name, one.message) for one in outcomes if one.state == "failed"]


def test_no_check_is_without_a_planted_defect() -> None:
    planted = {(defect.kind, defect.check) for defect in DEFECTS}
    there = {(kind, one.name) for kind in REGISTRIES for one in checks_of(kind)}
    assert there - planted == set(), "nothing shows that these checks can fail"
    assert planted - there == set(), "these defects are planted for checks that are gone"
