"""What kind of scan it is, as its voxels tell: whether they are Hounsfield units."""

from __future__ import annotations

import numpy as np

#: DICOM's words, and what people write for them.
MODALITIES = {
    "CT": "CT", "MR": "MR", "MRI": "MR", "PT": "PT", "PET": "PT", "US": "US", "NM": "NM", "SPECT": "NM", "XA": "XA",
    "CBCT": "CBCT", "OT": "OT", "OCT": "OPT", "OPT": "OPT", "MG": "MG", "CR": "CR", "DX": "DX",
}  # fmt: skip
_AIR_HU = -200.0
_SOFT_TISSUE_HU = (-150.0, 300.0)
_LOWEST_HU = -1100.0
_SAMPLES = 64  # an axis
NOT_HOUNSFIELD = (
    "The scan is recorded as CT, but its voxels are not in Hounsfield units ({why}). Its contrast is taken from the "
    "voxels themselves, as for other kinds of scans."
)


def guess_modality(array: np.ndarray) -> str | None:
    """CT when intensities can only be Hounsfield units, else None; judged on some 64^3 voxels spread over the scan.

    CT when all hold: there is air (a minimum of at most -200) or padding below it; the values are whole numbers, or
    reach -900 (a CT resampled to floats); at least a tenth of the voxels is above -200, and their median is that of
    soft tissue (-150 to 300). Phase images (-4096 to 4095), z-scores and subtraction images fail one of these. A CT
    cropped to the inside of an organ fails too: None is the honest answer there.
    """
    sample = _sample(array)
    if sample.size == 0 or sample.dtype.kind not in "if" or sample.min() > _AIR_HU:
        return None
    if sample.min() < _LOWEST_HU and not (sample[sample >= _LOWEST_HU] < 0).any():
        return None  # what is below zero is padding only
    whole = sample.dtype.kind == "i" or bool(np.all(sample == np.round(sample)))
    tissue = sample[sample > _AIR_HU]
    if tissue.size < 0.1 * sample.size or not (whole or sample.min() <= -900):
        return None
    low, high = _SOFT_TISSUE_HU
    return "CT" if low <= np.median(tissue) <= high else None


def believed_modality(array: np.ndarray, recorded: str | None) -> tuple[str | None, str | None]:
    """The modality to go by, and what the user should know when it is not the recorded one.

    A CT whose voxels cannot be Hounsfield units (cone beam and micro-CT in their own units, values stored with 1024
    added, scaled to 16 bits) is not taken for one: the window of a CT would hide its contrast. What is not recorded is
    guessed.
    """
    if not recorded:
        return guess_modality(array), None
    if recorded != "CT":
        return recorded, None
    why = why_not_hounsfield(array)
    return (None, NOT_HOUNSFIELD.format(why=why)) if why else ("CT", None)


def why_not_hounsfield(array: np.ndarray) -> str | None:
    """Why voxels cannot be Hounsfield units, or None where they can; crops without air, too, can."""
    sample = _sample(array).astype(np.float64)
    below = sample[sample < _LOWEST_HU]
    if below.size > 0.01 * sample.size and len(np.unique(below)) > 16:
        return f"many of them are below those of air, at {np.median(below):.0f}"
    sample = sample[(sample >= _LOWEST_HU) & (sample < 65000)]  # padding says nothing
    if sample.size == 0:
        return None
    lowest, p95 = np.percentile(sample, (0.5, 95.0)).tolist()
    if array.dtype == np.uint8 or (sample.min() >= 0 and not _is_within_an_organ(sample)):
        return "none of them is negative"
    if np.ptp(sample) < 20:
        return f"they span {np.ptp(sample):.3g} only"
    if lowest > -150:
        if p95 > 3000:
            return f"a twentieth of them is above {p95:.0f}"
        return "they look like Hounsfield units to which 1024 was added" if _is_shifted(sample) else None
    tissue = sample[sample > _AIR_HU]
    air_share = 1 - tissue.size / sample.size
    if air_share > 0.05 and np.percentile(sample, 0.1) > -750:
        return f"what should be air is at {np.median(sample[sample <= _AIR_HU]):.0f}"
    if tissue.size >= 0.02 * sample.size and not -250 <= np.median(tissue) <= 400:
        return f"what should be soft tissue is at {np.median(tissue):.0f}"
    return None


def _is_within_an_organ(sample: np.ndarray) -> bool:
    """Whether voxels without a negative one can be of a crop within soft tissue: none of them is air."""
    floor = np.count_nonzero(sample <= sample.min() + 0.05 * np.ptp(sample))
    return bool(np.median(sample) <= _SOFT_TISSUE_HU[1] and floor < 0.02 * sample.size)


def _is_shifted(sample: np.ndarray) -> bool:
    """Whether many voxels lie where soft tissue does with 1024 added, and few between them and the rest."""
    soft = np.count_nonzero((sample > 874) & (sample < 1174))
    between = np.count_nonzero((sample > 324) & (sample < 824))
    return bool(soft > 0.02 * sample.size and soft > between)


def _sample(array: np.ndarray) -> np.ndarray:
    steps = [max(1, -(-size // _SAMPLES)) for size in array.shape]
    sample = np.asarray(array[tuple(slice(None, None, step) for step in steps)])
    return sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
