"""A network's calls, replayed from recorded graphs: a click launches one graph instead of hundreds of small kernels.

A graph has fixed shapes, so clicks are padded to one of few numbers, and inputs are copied to where the graph reads
them.

CUDA graphs, captured by hand: no compiler is needed, on any platform.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from ..interaction_memory.bank import known_alone
from ..networks.image_encoder import ImageFeatures
from ..networks.memory_attention import MemoryAttention, MemoryStack, conditioned
from ..networks.sam3d import SAM3D
from .out_of_memory import DeviceMemory

_WARM_UPS = 3  # as PyTorch's own make_graphed_callables: cuBLAS and cuDNN choose and allocate during these
T = TypeVar("T")


class GraphBackend(Protocol):
    """What records work to be replayed; tests put another one in place of :class:`CudaGraphs`."""

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """Records what ``work`` does.

        Args:
            work: reads and writes tensors that stay where they are, waits for nothing and asks nothing of the host.

        Returns:
            what does it again, on the same tensors, and the output that this writes each time.

        Raises:
            RuntimeError: it cannot be recorded.
        """
        ...


class CudaGraphs:
    """Records on one GPU; its graphs share one memory pool.

    Graphs of a pool may be replayed in any order as long as none of them runs beside another and an output is copied
    before the next one runs (PyTorch, CUDA semantics, "Graph memory management"): whoever uses this keeps to both.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._pool: Any = None  # a handle of PyTorch's own, without a public type

    def record(self, work: Callable[[], T]) -> tuple[Callable[[], None], T]:
        """See :class:`GraphBackend`. Other threads may go on using the GPU meanwhile."""
        with torch.cuda.device(self._device):
            # One stream for all, since what a pool has freed is lent again on the stream it was freed on only.
            stream = self._stream = self._stream or torch.cuda.Stream()
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            current = torch.cuda.current_stream()
            # The outer context is left in any case; torch.cuda.graph does not restore the stream after a failure.
            with torch.cuda.stream(current):
                stream.wait_stream(current)
                with torch.cuda.stream(stream):
                    for _ in range(_WARM_UPS):
                        work()
                current.wait_stream(stream)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                    output = work()
        return graph.replay, output


BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # numbers of clicks for which graphs are recorded
GRAPHS_KEPT = 24
_PADDING = -1  # the label of a click that is none
_CONDITION = "condition"


def bucket_for(clicks: int) -> int | None:
    """The smallest number of clicks, of those that are recorded, that holds so many; None: there is none."""
    return next((bucket for bucket in BUCKETS if 0 < clicks <= bucket), None)


class _Graph(NamedTuple):
    replay: Callable[[], None]
    output: ImageFeatures | Tensor
    read: object  # kept alive: where the graph reads weights, and what is remembered


class GraphedCalls:
    """Encodes and decodes through graphs, or as the network itself does where none can be recorded.

    For one thread, within the inference mode and the autocast in which the network would be called. Weights must stay
    where they are: :meth:`clear` before a network is moved.

    Args:
        backend: records. device_memory: tells a shortage, which is raised, from a graph that cannot be recorded.
        most: how many graphs are kept; the least recently used goes first.

    Attributes:
        problem: why something is not replayed, in the library's words; None: all is.
    """

    def __init__(self, backend: GraphBackend, device_memory: DeviceMemory, most: int = GRAPHS_KEPT) -> None:
        self._backend, self._memory, self._most = backend, device_memory, most
        self.problem: str | None = None
        self._unrecordable: set[str] = set()
        self.clear()

    def clear(self) -> None:
        """Forgets all graphs and frees what they hold; they are recorded anew when needed."""
        self._graphs: OrderedDict[tuple[Hashable, ...], _Graph] = OrderedDict()
        self._inputs: dict[Hashable, Tensor] = {}
        self._sources: dict[Hashable, weakref.ref[Tensor]] = {}

    def forget_memories(self) -> None:
        """Lets go of the graphs of the memory attention, and of the bank that they read."""
        for key in [key for key in self._graphs if key[0] == _CONDITION]:
            del self._graphs[key]

    def encode(self, network: SAM3D, image: Tensor) -> ImageFeatures:
        """As ``network.encode(image)``; a fresh copy.

        Args:
            image: (1, 1, S, S, S) normalised crop, on the host or the device.
        """
        device = next(network.parameters()).device
        place = self._place(("image", tuple(image.shape)), image, device)
        place.copy_(image, non_blocking=True)
        output = self._replayed("encode", network, ("encode", id(network)), lambda: network.encode(place))
        return network.encode(image.to(device)) if output is None else _copied(output)

    def decode(self, network: SAM3D, features: ImageFeatures, coords: Tensor, labels: Tensor,
               logits: Tensor | None = None) -> Tensor:  # fmt: skip
        """As ``network.decode(...)``; a fresh copy.

        Published networks take padding for a prompt of its own kind: their clicks are never padded.

        Args:
            coords: (1, N, 3), labels: (1, N), logits: (1, 1, m, m, m) or None; on the host or the device.
        """
        device = features.embedding.device
        count = coords.shape[1]
        bucket = bucket_for(count)
        if bucket is None or (network.config.published and bucket != count):
            return _decoded(network, features, coords, labels, logits)
        held = self._held(features)
        padding = bucket - count
        clicks = self._place(("coords", bucket), coords, device, (1, bucket, 3))
        kinds = self._place(("labels", bucket), labels, device, (1, bucket))
        # In front: networks read the newest prompts from the end.
        clicks.copy_(functional.pad(coords, (0, 0, padding, 0)), non_blocking=True)
        kinds.copy_(functional.pad(labels, (padding, 0), value=_PADDING), non_blocking=True)
        past = None
        if logits is not None:
            past = self._place(("logits", tuple(logits.shape)), logits, device)
            past.copy_(logits, non_blocking=True)

        def work() -> Tensor:
            return network.decode(held, clicks, kinds, past)

        key = "decode", id(network), bucket, past is not None, _signature(features)
        output = self._replayed("decode", network, key, work)
        if output is None:
            return _decoded(network, features, coords, labels, logits)
        assert isinstance(output, Tensor)
        return output.clone()

    def condition(self, network: SAM3D, attention: MemoryAttention, features: ImageFeatures,
                  stack: MemoryStack) -> ImageFeatures:  # fmt: skip
        """As ``conditioned(network, attention, features, known_alone(stack))``; its embedding is a fresh copy.

        Args:
            stack: by :meth:`.InteractionBank.load_padded`; read where it lies, its ages on the host or the device.
        """
        embedding = features.embedding
        place = self._place(("conditioned", tuple(embedding.shape), embedding.dtype), embedding, embedding.device)
        ages = self._place(("ages", len(stack.ages)), stack.ages, embedding.device)
        place.copy_(embedding)
        ages.copy_(stack.ages, non_blocking=True)
        lying = stack._replace(ages=ages)
        where = tuple(part.data_ptr() for half in (stack.sparse, stack.dense) if half is not None for part in half)
        stem = _CONDITION, id(attention)
        key = *stem, where, len(stack.ages), embedding.dtype
        if key not in self._graphs:  # a bank that was let go would be kept by graphs that nobody replays any more
            for other in [old for old in self._graphs if old[:2] == stem and old[2] != where]:
                del self._graphs[other]

        def work() -> Tensor:
            held = ImageFeatures(place, (), None)
            return conditioned(network, attention, held, known_alone(lying)).embedding

        output = self._replayed(_CONDITION, (network, attention, lying), key, work)
        if output is None:
            return conditioned(network, attention, features, known_alone(lying))
        assert isinstance(output, Tensor)
        return features._replace(embedding=output.clone())

    def _replayed(self, kind: str, read: object, key: tuple[Hashable, ...],
                  work: Callable[[], ImageFeatures | Tensor]) -> ImageFeatures | Tensor | None:  # fmt: skip
        """The graph's own output, which its next replay overwrites; None: this kind of call cannot be recorded."""
        if kind in self._unrecordable:
            return None
        graph = self._graphs.get(key)
        if graph is None:
            try:
                graph = _Graph(*self._backend.record(work), read)
            except RuntimeError as error:
                if self._memory.shortage(error):
                    raise
                self._unrecordable.add(kind)
                self.problem = self.problem or str(error).partition("\n")[0]
                return None
            self._graphs[key] = graph
            while len(self._graphs) > self._most:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        graph.replay()
        return graph.output

    def _held(self, features: ImageFeatures) -> ImageFeatures:
        """Features where graphs read them; what lies there already is not copied again."""
        signature = _signature(features)
        tensors = _tensors(features)
        held = []
        for number, tensor in enumerate(tensors):
            key = "features", number, signature
            place = self._place(key, tensor, tensor.device)
            source = self._sources.get(key)
            if source is None or source() is not tensor:
                place.copy_(tensor)
                self._sources[key] = weakref.ref(tensor)
            held.append(place)
        return _assembled(features, held)

    def _place(self, key: Hashable, like: Tensor, device: torch.device,
               shape: Sequence[int] | None = None) -> Tensor:  # fmt: skip
        """The tensor that graphs read an input from."""
        place = self._inputs.get(key)
        if place is None:
            place = like.new_zeros(shape, device=device) if shape else torch.zeros_like(like, device=device)
            self._inputs[key] = place
        return place


def _decoded(network: SAM3D, features: ImageFeatures, coords: Tensor, labels: Tensor, logits: Tensor | None) -> Tensor:
    device = features.embedding.device
    past = None if logits is None else logits.to(device)
    return network.decode(features, coords.to(device), labels.to(device), past)


def _tensors(features: ImageFeatures) -> tuple[Tensor, ...]:
    images = (image for image in (features.image, features.half_image) if image is not None)
    return (features.embedding, *features.skips, *images)


def _assembled(like: ImageFeatures, tensors: Sequence[Tensor]) -> ImageFeatures:
    embedding, *others = tensors
    skips, images = tuple(others[: len(like.skips)]), iter(others[len(like.skips) :])
    image, half_image = (None if one is None else next(images) for one in (like.image, like.half_image))
    return ImageFeatures(embedding, skips, image, half_image)


def _copied(features: ImageFeatures | Tensor) -> ImageFeatures:
    assert isinstance(features, ImageFeatures)
    return _assembled(features, [tensor.clone() for tensor in _tensors(features)])


def _signature(features: ImageFeatures) -> Hashable:
    return tuple((tuple(tensor.shape), tensor.dtype) for tensor in _tensors(features))
