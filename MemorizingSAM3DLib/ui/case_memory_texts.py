"""What a case memory holds, in words."""

from __future__ import annotations

from slicer.i18n import tr as _

from MemorizingSAM3DLib.scene.case_memory_access import CaseMemoryFacts

_MOST_NAMES = 6


def described(facts: CaseMemoryFacts, recalled: str | None, note: str) -> str:
    """A few sentences for the panel.

    Args:
        recalled: the remembered structure that the selected segment began from, "" if it has no name; None: from none.
        note: what was done last, or "".
    """
    sentences = [facts.problem or _summary(facts)]
    if facts.warnings:
        sentences.append(_("Left out because damaged: {cases}.").format(cases=cases(len(facts.warnings))))
    if recalled:
        sentences.append(_("This segment began from what was remembered as '{name}'.").format(name=recalled))
    elif recalled is not None:
        sentences.append(_("This segment began from remembered cases without a name."))
    return " ".join([*sentences, *([note] if note else [])])


def cases(number: int) -> str:
    """How many cases."""
    return str(_("1 case")) if number == 1 else str(_("{number} cases")).format(number=number)


def _summary(facts: CaseMemoryFacts) -> str:
    if not facts.cases:
        return str(
            _("No case is remembered yet. Remember a finished segment: the next one like it needs fewer clicks.")
        )
    shown = [f"{number} {name or _('without a name')}" for name, number in facts.structures[:_MOST_NAMES]]
    rest = len(facts.structures) - len(shown)
    if rest:
        shown.append(_("{number} other structures").format(number=rest))
    return str(_("{cases} ({size} MB): {structures}.")).format(
        cases=cases(facts.cases), size=f"{facts.sizeBytes / 1e6:.1f}", structures=", ".join(shown)
    )
