"""A network on a device, asked about crops of a scan: encodes once a crop, decodes at every click.

From the host to the device.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ..case_memory.attention import CaseAttention
from ..case_memory.descriptor import finer_grid, multi_scale_descriptor
from ..case_memory.retrieval import CaseRetrieval, ShapePrior
from ..errors import VolumeError
from ..geometry import CropGrid, Volume, resample_to_crop
from ..interaction_memory.bank import Interaction
from ..interaction_memory.conditioning import InteractionConditioner, InteractionMemory
from ..networks.click_maps import ClickCanvas
from ..networks.config import spacing_range_of
from ..networks.image_encoder import AttentionHook, ImageFeatures
from ..networks.memory_attention import DEFAULT_CAPACITY
from ..networks.normalisation import normalise
from ..networks.prompt_maps import PADDING
from ..networks.sam3d import SAM3D, NativeSAM3D
from ..prompts import Click, MemorySettings, Prompt
from ..runtime.cuda_graphs import CudaGraphs, GraphBackend, GraphedCalls
from ..runtime.device import Runtime, choose_runtime, tune_allocator
from ..runtime.out_of_memory import DeviceMemory, OutOfMemoryFallback, TorchMemory
from ..runtime.worker import CancelToken
from .crop_prompts import prompts_in


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device. On the CPU it shares the array's memory; to a GPU it is copied without waiting.

    Pinned memory is what a GPU copies from by itself. PyTorch keeps and lends it again, and not before the copy is
    done (caching host allocator), so that nobody has to wait here.
    """
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


#: Voxels finer than this are no clinical scanner's.
MICROSCOPIC_MM = 0.15


class Predictor:
    """A network ready to segment.

    Args:
        network: of either family; it is moved to the device and set to evaluation.
        runtime: device and precision; chosen automatically by default.
        embeddings: how many encoded crops are kept (least recently used goes first); 0 keeps none.
        interaction_memory: what lets past clicks and their masks condition the embedding; None: nothing does.
        bank_size: how many past interactions are used, 1 to 256.
        device_memory: what is done about the device's memory; PyTorch's own ways by default.
        graphs: what records the network's calls; on a GPU CUDA graphs by default, elsewhere nothing.

    Attributes:
        runtime: where it computes; the CPU from the moment on when a GPU's memory was too small (see ``fallback``).
        fallback: what is given up when memory runs out, so that a session goes on, and what was given up so far.
        graphs: replays the network's calls; None: they are made one by one, as they also may be set to.
        encodes: how many crops have been encoded so far.
        case_retrieval: what remembered cases say about a first click; None: nothing is asked.
        case_attention: remembered cases to which the encoder's blocks attend; None: they do not.

    Raises:
        CheckpointError: the interaction memory is for other embeddings than the network's.
    """

    def __init__(self, network: SAM3D, runtime: Runtime | None = None, embeddings: int = 8,
                 interaction_memory: InteractionMemory | None = None,
                 bank_size: int = DEFAULT_CAPACITY,
                 device_memory: DeviceMemory | None = None, graphs: GraphBackend | None = None) -> None:  # fmt: skip
        self.runtime = runtime or choose_runtime()
        if self.runtime.device.type == "cpu":
            tune_allocator()
        self._device_memory = device_memory or TorchMemory()
        self.fallback = OutOfMemoryFallback(self, self._device_memory)
        self._most_used: int | None = None
        if graphs is None and self.runtime.device.type == "cuda":
            graphs = CudaGraphs(self.runtime.device)
        self.graphs = None if graphs is None else GraphedCalls(graphs, self._device_memory)
        self.network = network.eval().requires_grad_(False)
        self.network.to(self.runtime.device)
        for parameter in self.network.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        self.embeddings = embeddings
        self.encodes = 0
        self._cache: OrderedDict[Hashable, ImageFeatures] = OrderedDict()
        self._volume: Volume | None = None
        self._modality: str | None = None
        self._token: CancelToken | None = None
        self._canvas = ClickCanvas()
        self._interactions = None
        if interaction_memory is not None:
            self._interactions = InteractionConditioner(self.network, interaction_memory, self.runtime, bank_size)
        self._remembering = self._interactions is not None
        self.case_retrieval: CaseRetrieval | None = None
        self.case_attention: CaseAttention | None = None

    @contextmanager
    def interruptible(self, token: CancelToken) -> Iterator[None]:
        """Within it, cancelling the token ends whatever the network computes, layer by layer, with CancelledError."""
        self._token = token
        modules = set(self.network.modules())
        if self._interactions is not None:
            modules |= self._interactions.modules()
        leaves = [module for module in modules if not any(True for _ in module.children())]
        hooks = [leaf.register_forward_pre_hook(lambda *_: token.check()) for leaf in leaves]
        try:
            yield
        finally:
            self._token = None
            for hook in hooks:
                hook.remove()

    @property
    def settings(self) -> MemorySettings:
        """All that can be set and changes masks: the same prompts give the same mask under equal settings."""
        interactions = self._interactions.bank.size if self._interactions is not None and self._remembering else None
        asked, attended = (None if one is None else one.settings for one in (self.case_retrieval, self.case_attention))
        return MemorySettings(interactions, asked, attended)

    @property
    def has_interaction_memory(self) -> bool:
        """Whether there is an interaction memory, on or off."""
        return self._interactions is not None

    @property
    def memory_modalities(self) -> tuple[str, ...]:
        """MemoryTypes of scans that the interaction memory is used in; empty: all, or there is none."""
        return () if self._interactions is None else self._interactions.memory.modalities

    @property
    def _uses_interactions(self) -> bool:
        known = self.memory_modalities
        return self._remembering and (not known or self._modality in known)

    @contextmanager
    def memory_settings(self, settings: MemorySettings) -> Iterator[None]:
        """Within it, past interactions are used as they were under these settings."""
        if self._interactions is None:
            yield
            return
        was_on, size = self._remembering, self._interactions.bank.size
        self.set_interaction_memory(settings.interactions is not None, settings.interactions)
        try:
            yield
        finally:
            self.set_interaction_memory(was_on, size)

    def set_interaction_memory(self, on: bool, bank_size: int | None = None) -> None:
        """Turns the interaction memory on or off, or changes how many interactions are used. Nothing is dropped.

        Args:
            on: without an interaction memory it stays off. bank_size: 1 to 256; None leaves it.

        Raises:
            ValueError: another size.
        """
        if bank_size is not None and self._most_used is not None:
            bank_size = min(bank_size, self._most_used)
        if self._interactions is not None and bank_size is not None and bank_size != self._interactions.bank.size:
            self._interactions.resize(bank_size)
            self._forget_bank_graphs()
        self._remembering = on and self._interactions is not None

    def _check(self) -> None:
        if self._token is not None:
            self._token.check()

    @property
    def spacing_range(self) -> tuple[float, float]:
        """Voxel sizes, mm, of crops: those that the network was trained on; published ones know 1.5 mm alone.

        A native network sees no millimetres: of micro-CT and microscopy crops are as fine as the voxels.
        """
        finest, coarsest = spacing_range_of(self.network.config.family, self.crop_size)
        if self._volume is None or self.network.config.published:
            return finest, coarsest
        voxel = min(self._volume.spacing)
        return (voxel if voxel < MICROSCOPIC_MM else finest), coarsest

    @property
    def crop_size(self) -> int:
        """Edge of a crop, voxels."""
        return self.network.config.image_size

    @property
    def output_size(self) -> int:
        """Edge of the logits, cells."""
        return self.network.config.output_size

    @property
    def volume(self) -> Volume:
        """The scan at hand.

        Raises:
            VolumeError: none was set.
        """
        if self._volume is None:
            raise VolumeError("There is no scan.", "Choose a scan first.")
        return self._volume

    @property
    def has_volume(self) -> bool:
        """Whether there is a scan at hand."""
        return self._volume is not None

    @property
    def modality(self) -> str | None:
        """Of the scan at hand, as recorded or guessed; None: not known."""
        return self._modality

    def set_volume(self, volume: Volume) -> None:
        """Takes another scan; the cached crops of the last one are dropped. The scan at hand keeps them."""
        if volume is self._volume:
            return
        self._volume = volume
        self._modality = volume.believed_modality
        self._cache.clear()
        self._canvas.clear()
        self._forget_bank()

    def forget_volume(self) -> None:
        """Lets go of the scan at hand and of its cached crops."""
        self._volume = None
        self._modality = None
        self._cache.clear()
        self._canvas.clear()
        self._forget_bank()

    def _forget_bank(self) -> None:
        if self._interactions is not None:
            self._interactions.forget()
        self._forget_bank_graphs()

    def _forget_bank_graphs(self) -> None:
        if self.graphs is not None:
            self.graphs.forget_memories()

    @property
    def has_room(self) -> bool:
        """Whether one more crop can be kept without another going."""
        return len(self._cache) < self.embeddings

    @property
    def cached_bytes(self) -> int:
        """Bytes of the encoded crops that are kept."""
        crops = self._cache.values()
        tensors = [t for f in crops for t in (f.embedding, *f.skips, f.image, f.half_image) if t is not None]
        return sum(tensor.nbytes for tensor in tensors)

    def drop_crops(self) -> None:
        """Lets go of the cached crops, keeps half as many from now on, and records no graphs any more.

        What is asked for again is computed again.
        """
        self._cache.clear()
        self._canvas.clear()
        self.graphs = None
        self.embeddings = (self.embeddings + 1) // 2
        self._forget_bank()

    def shrink_bank(self, size: int) -> bool:
        """Hears at most so many past interactions from now on, whatever is set; False when it heard no more before."""
        if self._interactions is None or self._interactions.bank.size <= size:
            return False
        self._most_used = size
        self._interactions.resize(size)
        self._forget_bank_graphs()
        return True

    def halve_memories(self) -> bool:
        """Keeps past interactions in half precision from now on; False when they are, or there are none."""
        return self._interactions is not None and self._interactions.halve()

    def move_to(self, runtime: Runtime) -> None:
        """Computes there from now on. Crops are encoded again when they are asked for."""
        self._cache.clear()
        self._canvas.clear()
        self.graphs = None
        if runtime.device.type == "cpu":
            tune_allocator()
        self._device_memory.move_to(self.network, runtime.device)
        if self._interactions is not None:
            self._interactions.move_to(runtime, self._device_memory.move_to)
        if self.case_attention is not None:
            self.case_attention.move_to(runtime.device)
        self.runtime = runtime

    def features(self, grid: CropGrid, plain: bool = False) -> ImageFeatures:
        """The encoded crop, from the cache when it is there.

        Args:
            plain: without attention to remembered cases, whatever is set.

        Raises:
            MemoryExhaustedError: there is too little memory, as in all that computes.
        """
        return self.fallback.run(lambda: self._features(grid, plain))

    def _features(self, grid: CropGrid, plain: bool = False) -> ImageFeatures:
        attention_hook = None if plain else self.case_attention
        if attention_hook is not None:
            attention_hook.refresh()
        key = self._key(grid, attention_hook)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        features = self._encode(grid, attention_hook)
        if self.embeddings > 0:
            self._cache[key] = features
            while len(self._cache) > self.embeddings:
                self._cache.popitem(last=False)
        return features

    def condition_ahead(self, grid: CropGrid, memories: Sequence[Interaction]) -> bool:
        """Conditions a crop on what is remembered before a click asks for it, if the crop is encoded already.

        Returns:
            Whether it did: not without memories, nor where graphs are replayed, which takes no time.
        """
        interactions, key = self._interactions, self._key(grid, self.case_attention)
        if interactions is None or not (self._uses_interactions and memories) or self.graphs is not None:
            return False
        if key not in self._cache:
            return False
        features = self._cache[key]
        with torch.inference_mode(), self.runtime.autocast():
            self.fallback.run(lambda: interactions.prepare(features, grid, memories))
        return True

    @staticmethod
    def _key(grid: CropGrid, attention_hook: CaseAttention | None) -> Hashable:
        return grid, None if attention_hook is None else attention_hook.settings

    def encode(self, grid: CropGrid, attention_hook: AttentionHook | None = None) -> ImageFeatures:
        """The crop, encoded anew and not kept; a hook takes part in the encoder's attention."""
        return self.fallback.run(lambda: self._encode(grid, attention_hook))

    def _encode(self, grid: CropGrid, attention_hook: AttentionHook | None) -> ImageFeatures:
        self._check()
        crop, inside = resample_to_crop(self.volume, grid)
        image = normalise(crop, inside, self._modality, self.network.config.family)
        with torch.inference_mode(), self.runtime.autocast():
            crops = to_device(image, self.runtime.device)[None, None]
            if attention_hook is not None:
                features = self.network.encode(crops, attention_hook)
            elif self.graphs is not None:
                features = self.graphs.encode(self.network, crops)
            else:
                features = self.network.encode(crops)
        self.encodes += 1
        return features

    def multi_scale_features(self, grid: CropGrid, keep: bool = True) -> ImageFeatures:
        """What a case memory knows the place by that a crop is centred on, without attention to remembered cases.

        Args:
            grid: of a first look. keep: whether its encoded crops are kept.
        """
        looks = grid, finer_grid(grid, self.spacing_range)
        if not keep:
            return multi_scale_descriptor(*(self.encode(one) for one in looks))
        return self.fallback.run(lambda: multi_scale_descriptor(*(self._features(one, plain=True) for one in looks)))

    @property
    def knows_regions(self) -> bool:
        """Whether the network was trained with boxes and lassos; if not, it knows points and lines alone."""
        return self.network.config.full_grid

    def logits(self, grid: CropGrid, clicks: Sequence[Prompt], previous: np.ndarray | None,
               memories: Sequence[Interaction] = ()) -> np.ndarray:  # fmt: skip
        """Logits on ``grid.coarser(output_size)``: (m, m, m) float32, positive inside the object.

        Native networks get all the prompts that lie in the crop; published ones the newest point, as their authors
        advise (SAM-Med3D issue 40: they were trained so).

        Args:
            clicks: in the order they were made; at least one of them in the crop.
            previous: (m, m, m) logits so far, or None.
            memories: past interactions, the newest last; not used while the interaction memory is off. Without them
                the logits are those of the plain network.
        """
        return self.fallback.run(lambda: self._logits(grid, clicks, previous, memories))

    def _logits(self, grid: CropGrid, clicks: Sequence[Prompt], previous: np.ndarray | None,
                memories: Sequence[Interaction]) -> np.ndarray:  # fmt: skip
        coords, labels, regions = prompts_in(grid, clicks)
        if len(labels) == 0:  # of the prompts only a box's or lasso's inside, or nothing, lies in this crop
            coords, labels = np.zeros((1, 3), dtype=np.float32), np.array([PADDING])
        if not self.network.uses_click_history:
            coords, labels = coords[-1:], labels[-1:]
        if not self.knows_regions:
            labels, regions = np.where(labels < 0, labels, labels % 2), None
        device = self.runtime.device
        features = self._features(grid)
        self._check()
        with torch.inference_mode(), self.runtime.autocast():
            network: SAM3D = self.network
            if self._interactions is not None and self._uses_interactions:
                network, features = self._interactions.attended(features, grid, memories, self.graphs)
            past = None if previous is None else to_device(previous, device)[None, None]
            places, kinds = torch.from_numpy(coords)[None], torch.from_numpy(labels)[None]
            drawn = None if regions is None else to_device(regions, device)[None]
            if self.graphs is not None and drawn is None:
                logits = self.graphs.decode(network, features, places, kinds, past)
            else:
                logits = self._decoded(network, features, places.to(device), kinds.to(device), past, drawn)
        return logits[0, 0].float().cpu().numpy()

    def _decoded(self, network: SAM3D, features: ImageFeatures, places: torch.Tensor, kinds: torch.Tensor,
                 past: torch.Tensor | None, regions: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
        if not isinstance(network, NativeSAM3D):
            return network.decode(features, places, kinds, past)
        canvas = self._canvas if self.runtime.device.type == "cpu" else None
        return network.decode(features, places, kinds, past, canvas=canvas, regions=regions)

    def retrieve_shape_prior(self, grid: CropGrid, click: Click) -> ShapePrior | None:
        """What remembered cases say about a click that a crop is centred on; None when they know nothing like it."""
        if self.case_retrieval is None:
            return None
        retrieval = self.case_retrieval
        # It was calibrated, and its cases were described, without attention to other cases.
        return retrieval.retrieve_shape_prior(self.multi_scale_features(grid), click.ras, self._modality)

    def append_interaction(self, grid: CropGrid, click: Click, logits: np.ndarray,
                 memories: Sequence[Interaction] = ()) -> tuple[Interaction, ...]:  # fmt: skip
        """The memories after one more click: those so far and its own, the last N; those so far while none is used.

        Args:
            grid: the crop. click: in it. logits: (m, m, m) on ``grid.coarser(m)`` that it led to. memories: so far.
        """
        interactions = self._interactions
        if interactions is None or not self._uses_interactions:
            return tuple(memories)

        def embed() -> tuple[Interaction, ...]:
            features = self._features(grid)
            self._check()
            with torch.inference_mode(), self.runtime.autocast():
                return interactions.remember(features, grid, click, logits, memories)

        return self.fallback.run(embed)
