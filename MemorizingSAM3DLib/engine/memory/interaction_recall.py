"""Writing and hearing past interactions in a session: what a predictor asks of an interaction memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..geometry import CropGrid
from ..graph_capture import GraphedCalls
from ..networks.image_encoder import ImageFeatures
from ..networks.sam3d import SAM3D
from ..prompts import Click
from ..runtime import Runtime
from .interaction import Interaction
from .interaction_bank import InteractionBank
from .interaction_weights import InteractionMemory
from .memory_attention import conditioned

_MOST_OF_OTHER_CROPS = 4


class InteractionRecall:
    """An interaction memory on a device, with its bank.

    Args:
        network: the plain one. memory: made for its image encoder. runtime: where it computes, and how precisely.
        size: how many interactions are heard.

    Attributes:
        network: the one that decodes where memories are heard, and that embeds what is remembered.

    Raises:
        CheckpointError: the memory is for other embeddings than the network's.
    """

    def __init__(self, network: SAM3D, memory: InteractionMemory, runtime: Runtime, size: int) -> None:
        self._plain, self.memory, self.runtime = network, memory, runtime
        self.network = memory.decoding_network(network).to(runtime.device)
        self.attention = memory.attention.eval().requires_grad_(False).to(runtime.device)
        self._half = False
        self._prepared: tuple[ImageFeatures, tuple[Interaction, ...], ImageFeatures] | None = None
        for parameter in [*self.network.parameters(), *self.attention.parameters()]:
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        self.resize(size)

    def modules(self) -> set[nn.Module]:
        """Every module that computes here."""
        return {*self.network.modules(), *self.attention.modules()}

    def resize(self, size: int) -> None:
        """Another number of interactions that are heard.

        Raises:
            ValueError: it is not 1 to 256.
        """
        self.bank = InteractionBank(self.attention, self.network.prompt_encoder, size, self._half)
        self._prepared = None

    def forget(self) -> None:
        """Forgets all that is kept of interactions."""
        self.bank.clear()
        self._prepared = None

    def halve(self) -> bool:
        """Keeps what is remembered in float16 from now on, the bank's keys and values too.

        Interactions that states of a session hold already stay as they are: nothing is ever written to one.

        Returns:
            False where there is nothing to gain: it is so already, or bfloat16 is no larger.
        """
        if self._half or self.runtime.precision != "float32":
            return False
        self._half = True
        self.resize(self.bank.size)
        return True

    def move_to(self, runtime: Runtime, move: Callable[[nn.Module, torch.device], None]) -> None:
        """Computes there from now on; interactions follow when they are heard next.

        Args:
            move: moves a module's weights in place.
        """
        move(self.network, runtime.device)
        move(self.attention, runtime.device)
        self.runtime = runtime
        self.resize(self.bank.size)

    def heard(self, features: ImageFeatures, grid: CropGrid, memories: Sequence[Interaction],
              graphs: GraphedCalls | None = None) -> tuple[SAM3D, ImageFeatures]:  # fmt: skip
        """The network to decode with, and the features that it gets. Without memories: the plain network's own.

        Heard are those made in this crop, and the newest few of others whose click lies in it: these have to be
        embedded anew, and more of them change nothing (docs/evaluation.md).

        Args:
            graphs: replay the attention; None: it is computed.
        """
        memories = self._near(memories, grid)
        if not memories:
            return (self.network if self.memory.from_first_click else self._plain), features
        if graphs is not None:
            stack = self.bank.load_padded(memories, grid)
            return self.network, graphs.condition(self.network, self.attention, features, stack)
        if self._prepared is not None and self._prepared[0] is features and self._prepared[1] == memories:
            return self.network, self._prepared[2]
        return self.network, conditioned(self.network, self.attention, features, self.bank.load(memories, grid))

    def prepare(self, features: ImageFeatures, grid: CropGrid, memories: Sequence[Interaction]) -> None:
        """Conditions a crop's features before the click that will need them: what is remembered is known by then.

        The last ones are kept, for :meth:`heard` of the same crop and memories, which then takes no time.
        """
        if near := self._near(memories, grid):
            self._prepared = features, near, self.heard(features, grid, memories)[1]

    @staticmethod
    def _near(memories: Sequence[Interaction], grid: CropGrid) -> tuple[Interaction, ...]:
        others = [one for one in memories if one.grid != grid and grid.contains(one.click.ras)]
        heard = {one.number for one in others[-_MOST_OF_OTHER_CROPS:]}
        return tuple(one for one in memories if one.grid == grid or one.number in heard)

    def remember(self, features: ImageFeatures, grid: CropGrid, click: Click, logits: np.ndarray,
                 memories: Sequence[Interaction]) -> tuple[Interaction, ...]:  # fmt: skip
        """The memories after one more click: the last N.

        Args:
            features: of the crop. click: in the crop. logits: (m, m, m) that it led to. memories: so far.
        """
        coords = torch.from_numpy(grid.ras_to_index(click.ras)).float()[None, None].to(self.runtime.device)
        labels = torch.tensor([[int(click.positive)]], device=self.runtime.device)
        mask: Tensor = torch.from_numpy(logits).to(self.runtime.device)[None, None]
        sparse, dense = self.network.prompt_encoder.memory_of(coords, labels, features.image, mask)
        if self._half:
            sparse, dense = sparse.half(), dense.half()
        number = memories[-1].number + 1 if memories else 0
        return (*memories, Interaction(number, click, grid, sparse, dense))[-self.bank.size :]
