"""The question before a download: what comes, from where, and under which licence."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.resources import resource_path
from MemorizingSAM3DLib.ui.model_rows import megabytes

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.model_store import StoredModel


def licenceAccepted(model: StoredModel, parent: Any) -> bool:
    """Shows the licence of a model that is about to be downloaded, and asks. Nothing is fetched before.

    Args:
        parent: the window that asks.
    """
    entry = model.entry
    paragraphs = [
        _("{title} ({size}) will be downloaded from {host} to {folder}.").format(
            title=f"<b>{_text(entry.title)}</b>", size=megabytes(entry.size),
            host=_text(urlsplit(entry.url or "").hostname or ""), folder=_text(str(model.path.parent)),
        ),
        _("Its converted form takes about as much again."),
        _("Licence: {licence}.").format(licence=f"<b>{_text(entry.licence)}</b>"),
        _("To cite: {citation}").format(citation=_text(entry.citation)),
    ]  # fmt: skip
    if entry.sha256 is None:
        paragraphs.append("<b>" + _(
            "Its authors publish no SHA-256: whether the file is the one that they meant cannot be checked. It is "
            "opened without running anything in it."
        ) + "</b>")  # fmt: skip
    if model.part:
        paragraphs.append(_("{size} are here already: the download goes on from there.").format(
            size=megabytes(model.part)))  # fmt: skip
    details = {}
    text = licenceText(entry.licence)
    if text is None:
        link = f"https://spdx.org/licenses/{entry.licence}.html"
        paragraphs[2] += f' <a href="{html.escape(link)}">{_("Read it.")}</a>'
    else:
        paragraphs[2] += " " + _("Its text is under the button for details.")
        details["detailedText"] = text
    paragraphs.append(_("Do you accept the licence, and download the model?"))
    question = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return bool(
        slicer.util.confirmYesNoDisplay(question, windowTitle=_("Licence of the model"), parent=parent, **details)
    )


def licenceText(licence: str) -> str | None:
    """The licence's full text by its SPDX identifier; None if it does not come with this package."""
    try:
        return resource_path("Licences", f"{licence}.txt").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _text(text: str) -> str:
    return html.escape(text, quote=False)
