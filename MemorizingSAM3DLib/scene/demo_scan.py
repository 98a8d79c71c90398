"""The demonstration's scan: MNI152 T1 with its brain mask, out of nilearn's wheel; no account, no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..engine.errors import EngineError


class DemoError(EngineError):
    """The demonstration lacks something."""


def writeDemoScan(folder: Path) -> tuple[Path, np.ndarray]:
    """Writes the template as NIfTI and gives its brain mask.

    The MNI ICBM152 2009a symmetric template (Fonov 2011) at 1 mm, as nilearn ships it, skull-stripped.

    Args:
        folder: an existing folder; the file is ``mni152_t1.nii.gz``.

    Returns:
        the file; the mask, (K, J, I) bool on its grid.

    Raises:
        DemoError: nilearn is not installed.
    """
    try:
        from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
    except ImportError as error:
        raise DemoError("The demonstration's scan is not here.", "pip install nilearn") from error
    path = folder / "mni152_t1.nii.gz"
    template = load_mni152_template(resolution=1)
    scaled = template.get_fdata() * 1000  # nilearn scales to 0..1; integers make a scan of it
    type(template)(scaled.astype(np.int16), template.affine).to_filename(path)
    mask = load_mni152_brain_mask(resolution=1)
    return path, np.ascontiguousarray(np.asarray(mask.dataobj).astype(bool).transpose(2, 1, 0))
