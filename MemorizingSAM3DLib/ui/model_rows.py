"""What the list of models says of each of them, and what can be done with it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.model_store import StoredModel

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
    from MemorizingSAM3DLib.engine.model_store import ModelState

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
