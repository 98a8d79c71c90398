"""`slicer.util`'s messages and questions, recorded instead of shown; questions get the answers that a test scripts."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Dialog:
    """What would have been shown.

    Attributes:
        kind: "info", "warning", "error", "message", "okCancel", "yesNo", "retryClose" or "delay".
        details: further keyword arguments: `detailedText`, `dontShowAgainSettingsKey`, ...
        answer: what the function returned.
    """

    kind: str
    text: str
    windowTitle: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    answer: Any = None


_QUESTIONS = {
    "confirmOkCancelDisplay": "okCancel",
    "confirmYesNoDisplay": "yesNo",
    "confirmRetryCloseDisplay": "retryClose",
}
_MESSAGES = {"infoDisplay": "info", "warningDisplay": "warning", "errorDisplay": "error"}
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Dialogs:
    """All that was shown, in order.

    Example:
        >>> dialogs.answer(True)
        >>> slicer.util.confirmOkCancelDisplay("Remember this case?")
        True
        >>> dialogs.last.text
        'Remember this case?'
    """

    def __init__(self) -> None:
        self.shown: list[Dialog] = []
        self._answers: list[Any] = []

    @property
    def last(self) -> Dialog:
        return self.shown[-1]

    @property
    def errors(self) -> list[str]:
        return [dialog.text for dialog in self.shown if dialog.kind == "error"]

    def answer(self, *answers: Any) -> None:
        """For the next questions, in this order."""
        self._answers.extend(answers)

    def clear(self) -> None:
        """Forgets what was shown and the answers that nobody asked for."""
        self.shown.clear()
        self._answers.clear()

    def replacements(self) -> dict[str, Callable[..., Any]]:
        """Functions for `slicer.util`, by name. They take what the real ones take."""
        import slicer

        replaced: dict[str, Callable[..., Any]] = {}
        for name, kind in {**_QUESTIONS, **_MESSAGES, "messageBox": "message"}.items():
            replaced[name] = self._recorder(kind, inspect.signature(getattr(slicer.util, name)))
        replaced["delayDisplay"] = self._delayDisplay
        return replaced

    def _recorder(self, kind: str, signature: inspect.Signature) -> Callable[..., Any]:
        def display(*arguments: Any, **keywords: Any) -> Any:
            bound = signature.bind(*arguments, **keywords).arguments
            details = dict(bound.pop("kwargs", {}))
            details.update({name: value for name, value in bound.items() if name not in ("text", "windowTitle")})
            # Qt shows whatever str() makes of it.
            dialog = Dialog(kind, str(bound["text"]), bound.get("windowTitle"), details, self._answerTo(kind, bound))
            self.shown.append(dialog)
            logging.log(_LEVELS.get(kind, logging.INFO), "%s", dialog.text)
            return dialog.answer

        return display

    def _answerTo(self, kind: str, bound: dict[str, Any]) -> Any:
        if kind in _MESSAGES.values():
            return None
        if self._answers:
            return self._answers.pop(0)
        if kind == "message":
            import qt

            return qt.QMessageBox.Ok
        # In Slicer the user would be asked, and the test would wait for ever.
        raise AssertionError(f"A question without a scripted answer (dialogs.answer(...)): {bound['text']}")

    def _delayDisplay(self, message: str, autoCloseMsec: int = 1000, parent: Any = None, **keywords: Any) -> None:
        import slicer

        self.shown.append(Dialog("delay", str(message), None, keywords))
        logging.info("%s", message)
        slicer.app.processEvents()
