"""Every plugin in the box keeps everything that the conformance kit asks of its kind."""

from __future__ import annotations

from seqaug.core.registries import REGISTRIES
from seqaug.testing import Subject, parametrize_with_checks

BUILT_IN = [
    Subject(registry.get(info.name), kind=kind)
    for kind, registry in REGISTRIES.items()
    for info in registry.all()
    if info.builtin
]


@parametrize_with_checks(*BUILT_IN)
def test_conformance(check) -> None:  # type: ignore[no-untyped-def]
    check()
