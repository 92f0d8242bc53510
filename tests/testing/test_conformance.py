"""Every plugin in the box keeps everything that the conformance kit asks of its kind, whatever its options."""

from __future__ import annotations

from typing import Any

import pytest

from seqaug.core.registries import REGISTRIES
from seqaug.testing import Subject, check_plugin, parametrize_with_checks

BUILT_IN = [
    Subject(registry.get(info.name), kind=kind)
    for kind, registry in REGISTRIES.items()
    for info in registry.all()
    if info.builtin
]

OPTIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("encoders", "transformer", {"causal": False}),
    ("encoders", "transformer", {"norm": "pre", "positions": "from_end", "dropout": 0.0}),
    ("encoders", "gru", {"layers": 2}),
    ("noise_sources", "similarity", {"k": 100, "metric": "cosine", "refresh": "epoch"}),
    ("noise_sources", "mixture", {"share": 1.0}),
    ("position_selectors", "random", {"probability": 0.3}),
    ("position_selectors", "random", {"count": 2, "except_first": True}),
    ("position_selectors", "confidence", {"ratio": 0.5, "rounding": "above"}),
    ("position_selectors", "last", {"count": 3}),
    ("negative_samplers", "uniform", {"exclude": "history"}),
    ("negative_samplers", "popularity", {"exclude": "target", "power": 0.75}),
    ("negative_samplers", "in_batch", {"exclude": "history"}),
    ("negative_samplers", "rank", {"rank": 5, "exclude_target": False}),
    ("negative_samplers", "among_top", {"k": 20, "exclude_target": True}),
    ("schedules", "linear", {"zero_terminal_snr": False, "steps": 50}),
    ("schedules", "cosine", {"steps": 10}),
    ("denoisers", "mlp", {"predicts": "noise", "layers": 3}),
    ("denoisers", "transformer", {"layers": 2, "predicts": "noise"}),
    ("denoisers", "concatenated", {"layers": 2}),
    ("denoisers", "unet", {"predicts": "clean"}),
    ("heads", "linear", {"norm": "unit", "activation": "gelu"}),
    ("heads", "linear", {"width": 1}),
    ("heads", "mlp", {"norm": "layer", "width": 8, "inner": [16]}),
    ("augmenters", "denoised", {"reverse": "chain", "chain_steps": 3}),
    (
        "augmenters",
        "denoised",
        {"copies": 2, "negative": "rank", "freeze_items": True, "confidence_step": "drawn", "corrupt": "random"},
    ),
    ("augmenters", "mask", {"last": 0.5}),
    ("augmenters", "mask", {"select": "last", "view": "edited.first"}),
    (
        "augmenters",
        "random_edits",
        {"operators": ["crop", "mask", "reorder", "insert", "substitute", "delete"], "insert": 0.9, "new_items": "popularity"},
    ),
    ("augmenters", "random_edits", {"operators": ["insert"], "insert": 1.0, "distinct": False}),
    ("objectives", "info_nce", {"last": 3, "negatives": ["diffused.negative"], "in_batch": "positives"}),
    ("objectives", "info_nce", {"anchor": "edited.first", "positive": "edited.second", "similarity": "dot"}),
    ("objectives", "next_item_bce", {"count": 3, "negatives": "popularity", "reduction": "sum"}),
    ("objectives", "nt_xent", {"exclude_same_target": True, "similarity": "cosine"}),
    ("objectives", "denoising", {"squared_error": 1.0, "positions": "corrupted", "average": "sequences"}),
    ("objectives", "next_item_diffusion", {"standardised": True, "detach_target": True}),
    ("objectives", "contrast_margin", {"scope": "batch", "similarity": "cosine"}),
    ("objectives", "prefix_diffusion", {"guidance": "released", "pool": "sum"}),
    ("scorers", "item_knn", {"neighbours": None, "latest": None, "similarity": "count"}),
    ("scorers", "generated_item", {"method": "ddim", "similarity": "cosine", "samples": 2, "guidance": 0.0}),
    ("scorers", "last_position", {"head": "main"}),
    ("rewriters", "prepend_generated", {"guidance": "classifier_guided"}),
]


@parametrize_with_checks(*BUILT_IN)
def test_conformance(check) -> None:  # type: ignore[no-untyped-def]
    check()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "options"), OPTIONS, ids=lambda value: value if isinstance(value, str) else None)
def test_conformance_with_other_options(kind: str, name: str, options: dict[str, Any]) -> None:
    outcomes = check_plugin(Subject(REGISTRIES[kind].get(name), kind=kind, options=options))
    assert not [(one.check.name, one.message) for one in outcomes if one.state == "failed"]
