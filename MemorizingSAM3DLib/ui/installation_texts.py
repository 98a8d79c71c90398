"""What the installation's dialog says before it begins and when it is over."""

from __future__ import annotations

from slicer.i18n import tr as _

from MemorizingSAM3DLib.installation.installation import Outcome, Result
from MemorizingSAM3DLib.installation.obstacle import size_text
from MemorizingSAM3DLib.installation.plan import Plan


def summary(plan: Plan, free: float) -> str:
    """How much it is, and where it goes.

    Args:
        free: room on that disk, MB.
    """
    if not plan.steps:
        return _("Every package is there.")
    values = {
        "download": size_text(plan.megabytes),
        "disk": size_text(plan.megabytes_on_disk),
        "free": size_text(free),
        "folder": plan.destination,
    }
    if plan.choice.folder is None:
        return _(
            "About {download} are downloaded, with what they need themselves. They go to {folder} and take up to "
            "{disk} there while they are unpacked ({free} are free). No scan leaves this computer."
        ).format(**values)
    return _("They go to {folder} and take up to {disk} there ({free} are free). Nothing is downloaded.").format(
        **values
    )


def sentence(outcome: Outcome) -> str:
    """How it ended, and what is there now."""
    names = ", ".join(outcome.installed) or _("nothing")
    if outcome.result is Result.DONE:
        return _("Everything is installed. You can go on at once.")
    if outcome.result is Result.RESTART and outcome.goes_on:
        return _("Slicer has to be restarted; the installation goes on by itself when the module is opened again.")
    if outcome.result is Result.RESTART:
        return _("Everything is installed. Restart Slicer, since some of it was in use.")
    if outcome.result is Result.DECLINED:
        return _("PyTorch was declined, so it is still missing. Installed: {names}.").format(names=names)
    if outcome.result is Result.CANCELLED:
        return _("Stopped. Installed: {names}. The rest can be installed at any time.").format(names=names)
    return _("It did not work. Installed: {names}.").format(names=names)
