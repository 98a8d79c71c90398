"""What the list of models says of each of them, and what can be done with it.

The question before a download: what comes, from where, and under which licence.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.files import resource_path

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.models.store import StoredModel

_UNKNOWN = "\N{EN DASH}"
_FAMILIES = {"native": "MemorizingSAM3D", "sam_med3d": "SAM-Med3D", "fastsam3d": "FastSAM3D"}
_CONVERTED = (".pth", ".pt")


@dataclass(frozen=True)
class ModelRow:
    """A row of the list.

    Attributes:
        source: a registered name, or the path of the user's own file.
        cells: model, family, size, licence, state.
        details: rich text. isInUse: whether it is the model that segments.
        whyNotUse, whyNotDownload, whyNotRemove: None where it can be done.
    """

    source: str
    isOwnFile: bool
    isShipped: bool
    cells: tuple[str, str, str, str, str]
    details: str
    isInUse: bool
    whyNotUse: str | None
    whyNotDownload: str | None
    whyNotRemove: str | None
    stored: StoredModel | None = None


def rowOf(model: StoredModel, isInUse: bool) -> ModelRow:
    """The row of a known model."""
    from MemorizingSAM3DLib.engine.models.store import ModelState

    entry, state = model.entry, model.state
    states = {
        ModelState.SHIPPED: _("comes with the extension"),
        ModelState.HERE: _("downloaded"),
        ModelState.PARTLY: _("partly downloaded"),
        ModelState.ABSENT: _("not downloaded"),
    }
    isHere = state in (ModelState.SHIPPED, ModelState.HERE)
    whyNotDownload = {
        ModelState.SHIPPED: _("It comes with the extension."),
        ModelState.HERE: _("It is downloaded already."),
    }.get(state)
    whyNotRemove = None
    if entry.shipped:
        whyNotRemove = _("It comes with the extension, and goes when the extension is removed.")
    elif not model.size:
        whyNotRemove = _("Nothing of it is on this computer.")
    details = [_text(entry.description), _text(entry.citation)]
    if entry.url is not None:
        host = urlsplit(entry.url).hostname or ""
        details.append(
            _("From {link}.").format(link=f'<a href="{html.escape(entry.url)}">{_text(host)}</a>')
            + " "
            + (_("Its SHA-256 is checked.") if entry.sha256 else _("Its authors publish no SHA-256 to check it by."))
        )
    if model.size and not entry.shipped:
        details.append(_("On this computer: {size} in {folder}.").format(
            size=megabytes(model.size), folder=_text(str(model.path.parent))))  # fmt: skip
    return ModelRow(
        source=entry.name,
        isOwnFile=False,
        isShipped=entry.shipped,
        cells=(
            entry.title,
            _FAMILIES.get(entry.family, entry.family),
            megabytes(entry.size),
            entry.licence,
            _stateText(states[state], isInUse),
        ),
        details="<br>".join(details),
        isInUse=isInUse,
        whyNotUse=_whyNotUse(isInUse, None if isHere else _("Download it first.")),
        whyNotDownload=whyNotDownload,
        whyNotRemove=whyNotRemove,
        stored=model,
    )


def ownFileRow(path: str, isInUse: bool) -> ModelRow:
    """The row of the user's own file."""
    file = Path(path)
    isThere = file.is_file()
    details = [_text(path)]
    if file.suffix.lower() in _CONVERTED:
        details.append(_("It was converted once; that copy goes when you remove it here. Your file stays."))
    return ModelRow(
        source=path,
        isOwnFile=True,
        isShipped=False,
        cells=(
            file.name,
            _UNKNOWN,
            megabytes(file.stat().st_size) if isThere else _UNKNOWN,
            _UNKNOWN,
            _stateText(_("your file") if isThere else _("your file, not found"), isInUse),
        ),
        details="<br>".join(details),
        isInUse=isInUse,
        whyNotUse=_whyNotUse(isInUse, None if isThere else _("The file is not there any more.")),
        whyNotDownload=_("It is a file of your own."),
        whyNotRemove=None,
    )


def megabytes(size: int | None) -> str:
    """A size in bytes for the user."""
    if size is None:
        return _UNKNOWN
    return _("{number} MB").format(number=f"{size / 1e6:.0f}" if size >= 1e7 else f"{size / 1e6:.1f}")


def _stateText(state: str, isInUse: bool) -> str:
    return _("{state}, in use").format(state=state) if isInUse else state


def _whyNotUse(isInUse: bool, reason: str | None) -> str | None:
    return _("It is in use.") if isInUse and reason is None else reason


def _text(text: str) -> str:
    return html.escape(text, quote=False)


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
