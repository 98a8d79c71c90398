"""What tests put in place of what the pages write, so that a command that takes hours takes a second."""

from __future__ import annotations

SMALL_MODEL = "small.safetensors"  # in the folder in which commands run

# Placeholders of the pages, which stand for files of the reader.
PLACEHOLDERS = {"MANIFEST": "data/manifest.json"}

# Options of each command that are set, replaced or added. None: the command is not run, only read: it needs the
# internet, minutes, or gigabytes, and has tests of its own.
_TRAINING = {"--batch": "1", "--workers": "0", "--threads": "1", "--device": "cpu"}
INSTEAD: dict[str, dict[str, str] | None] = {
    "segment": {},
    "data manifest": {},
    "data pack": {},
    "train": {**_TRAINING, "--from": SMALL_MODEL, "--steps": "1"},
    "train-memory": {**_TRAINING, "--from": SMALL_MODEL, "--steps": "1", "--longest": "4", "--window": "2",
                     "--bank-size": "4", "--updates-per-batch": "1"},
    "distill": {**_TRAINING, "--teacher": SMALL_MODEL, "--layer-steps": "1", "--logit-steps": "1", "--clicks": "1"},
    "evaluate": {"--clicks": "1", "--start": "point", "--labels-per-case": "1", "--model": SMALL_MODEL,
                 "--datasets": "FOLDER"},
    "studies cases": None,
    "studies mais": None,
    "studies model": None,
    "benchmark encode": None,
    "benchmark click": None,
    "benchmark session": None,
    "benchmark memory": None,
    "benchmark writing": None,
    "benchmark start": None,
    "benchmark scaling": None,
    "benchmark all": None,
    "benchmark knn": {"--vectors": "100", "--width": "16", "--repeats": "1"},
    "checkpoint list": {},
    "checkpoint inspect": {},
    "checkpoint download": None,
    "checkpoint convert": None,
    "checkpoint remove": None,
    "checkpoint pack": None,
    "memory build": {"--model": SMALL_MODEL},
    "memory add": {"--model": SMALL_MODEL},
    "memory info": {},
    "memory list": {},
    "memory verify": {},
    "memory export": {},
    "memory import": {},
    "memory merge": {},
    "memory remove": {},
    "memory calibrate": None,
}  # fmt: skip

# Programs that are not ours: that the pages call them is not tested here.
OTHER_PROGRAMS = {"cmake", "ctest", "pip", "python", "python3", "$PythonSlicer", "PythonSlicer"}


def replaced(words: list[str], command: str) -> list[str] | None:
    """The words of a command as a test runs them; None if it is only read."""
    options = INSTEAD[command]
    if options is None:
        return None
    result, number = [], 0
    while number < len(words):
        if words[number] in options:
            number += 2
            continue
        result.append(words[number])
        number += 1
    return result + [word for option in options.items() for word in option]
