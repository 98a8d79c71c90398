"""What the product must not import: PyTorch's compiler, whose LLVM collides with Mesa's in a process that renders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
COMPILERS = ("torch._dynamo", "torch._inductor", "triton")

CLICKING_WITH_BOTH_MEMORIES = """
import sys
import tempfile
from pathlib import Path
import numpy as np
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session.remember_case import attention_to, open_or_create_case_retrieval
from MemorizingSAM3DLib.engine.session import InteractiveSession

session = InteractiveSession()
predictor = session.predictor
scan = np.random.default_rng(0).normal(0, 50, (48, 48, 48)).astype(np.int16)
session.set_image(Volume(scan, np.eye(4), modality="CT"))
for number in range(3):
    session.add_click(Click((20.0 + number, 24.0, 24.0), positive=number != 1))
predictor.case_retrieval = open_or_create_case_retrieval(Path(tempfile.mkdtemp()), predictor.network, layers=[4])
session.remember("liver")
predictor.case_attention = attention_to(predictor.case_retrieval.memory, predictor.network, [4])
session.reset()
session.add_click(Click((20.0, 24.0, 24.0)))
assert predictor.has_interaction_memory and predictor.case_retrieval.memory.cases
print([name for name in {compilers!r} if name in sys.modules])
"""

PUBLISHED_NETWORK = """
import sys
from MemorizingSAM3DLib.engine.models.checkpoints import build_published
from MemorizingSAM3DLib.engine.models.weights_file import without_values

with without_values():
    network = build_published("fastsam3d")
assert all(parameter.is_meta for parameter in network.parameters())
print([name for name in {compilers!r} if name in sys.modules])
"""


def modules_after(script):
    done = subprocess.run(
        [sys.executable, "-c", script.format(compilers=COMPILERS)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_loading_and_clicking_import_no_compiler():
    assert modules_after(CLICKING_WITH_BOTH_MEMORIES) == "[]"


def test_a_published_network_is_built_without_a_compiler():
    assert modules_after(PUBLISHED_NETWORK) == "[]"
