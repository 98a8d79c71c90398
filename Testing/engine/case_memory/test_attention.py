from __future__ import annotations

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.case_memory.attention import CaseAttention, KeyRecorder, empty_tokens
from MemorizingSAM3DLib.engine.case_memory.case import CaseLayout
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.case_memory.shape_prior import StructureShape
from MemorizingSAM3DLib.engine.errors import CaseMemoryError, VolumeError
from MemorizingSAM3DLib.engine.models.weights_file import encoder_fingerprint
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.session.crop_policy import first_grid
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.remember_case import (
    attention_to,
    open_case_retrieval,
    open_or_create_case_retrieval,
    remember,
)
from Testing.engine.phantoms import ball, ct_of, either
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_FULL_GRID, SMALL_NATIVE, SMALL_SAM_MED3D
from Testing.engine.small_retrievals import CPU

# The native one of two tokens an edge; the one with logits on the full grid, which has no relative bias; the published
# student with its relative positions; the published teacher, whose blocks 0, 1 and 3 have windows with a sink key.
LAYERS = {
    "native": (SMALL_NATIVE, 1),
    "full grid": (SMALL_FULL_GRID, 1),
    "student": (SMALL_FASTSAM3D, 1),
    "teacher": (SMALL_SAM_MED3D, 1),
}
PLACES = [(0.0, 0.0, 0.0), (-8.0, 5.0, 2.0), (9.0, -3.0, 4.0), (3.0, 8.0, -6.0)]


def a_network_that_attends(family: str):
    torch.manual_seed(5)
    network = build_network(LAYERS[family][0]).eval()
    for parameter in network.image_encoder.parameters():
        if parameter.ndim > 1 and not parameter.any():  # positions start at zero
            torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.fixture(params=LAYERS)
def family(request):
    return request.param


def a_scan(place):
    """A ball at a place, and a smaller one beside it."""
    return ct_of(either(ball(5, place), ball(4, (place[0], place[1] + 6, 4))), (32, 32, 32), 1.5)


def a_predictor(family: str, folder, places=PLACES, layers: tuple[int, ...] | None = None) -> Predictor:
    """It remembers balls at these places of a scan, keys and values included."""
    predictor = Predictor(a_network_that_attends(family), CPU)
    layers = (LAYERS[family][1],) if layers is None else layers
    predictor.case_retrieval = open_or_create_case_retrieval(folder, predictor.network, layers=layers)
    for place in places:
        volume, mask = a_scan(place)
        predictor.set_volume(volume)
        remember(predictor, mask, f"ball {PLACES.index(place)}")
    return predictor


def with_attention(predictor: Predictor, family: str, **options) -> CaseAttention:
    attention = attention_to(predictor.case_retrieval.memory, predictor.network, (LAYERS[family][1],), **options)
    predictor.case_attention = attention
    return attention


def embedding(predictor: Predictor) -> torch.Tensor:
    volume, _ = ct_of(ball(7, (2, 2, 0)), (32, 32, 32), 1.5)
    predictor.set_volume(volume)
    grid = first_grid(volume, (2.0, 2.0, 0.0), predictor.spacing_range, predictor.crop_size)
    return predictor.features(grid).embedding.clone()


def test_remembered_cases_are_heard(family, tmp_path):
    predictor = a_predictor(family, tmp_path / "memory")
    plain = embedding(predictor)
    with_attention(predictor, family)
    attended = embedding(predictor)
    assert attended.isfinite().all() and (attended - plain).abs().max() > 1e-4


def test_an_empty_memory_is_the_plain_encoder_bit_for_bit(tmp_path):
    predictor = a_predictor("native", tmp_path / "memory", places=[])
    plain, settings = embedding(predictor), predictor.settings
    with_attention(predictor, "native")
    predictor.set_volume(ct_of(ball(3), (20, 20, 20), 1.0)[0])  # drops what was encoded
    assert torch.equal(embedding(predictor), plain)
    assert predictor.settings == settings


def test_an_empty_memory_is_the_plain_encoder_in_every_family(family, tmp_path):
    predictor = a_predictor(family, tmp_path / "memory", places=[])
    image = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(2))
    attention = with_attention(predictor, family)
    attention.refresh()
    assert torch.equal(predictor.network.encode(image, attention).embedding, predictor.network.encode(image).embedding)


def test_a_local_ratio_of_one_is_the_plain_encoder(family, tmp_path):
    predictor = a_predictor(family, tmp_path / "memory")
    plain = embedding(predictor)
    with_attention(predictor, family, ratio=1.0)
    assert torch.equal(embedding(predictor), plain)


def test_keys_matter(family, tmp_path):
    predictor = a_predictor(family, tmp_path / "memory")
    attention = with_attention(predictor, family)
    before = embedding(predictor)
    layer = LAYERS[family][1]
    keys, values = attention._keys[layer]
    attention._keys[layer] = (keys + torch.randn_like(keys.float()).to(keys.dtype), values)
    predictor.forget_volume()
    assert (embedding(predictor) - before).abs().max() > 1e-4


def test_the_order_of_remembering_does_not_matter_nor_does_remembering_again(tmp_path):
    outputs = []
    for name, places in (("one", PLACES), ("other", [*PLACES[::-1], *PLACES])):
        predictor = a_predictor("native", tmp_path / name, places)
        assert len(predictor.case_retrieval.memory) == len(PLACES)
        with_attention(predictor, "native")
        outputs.append(embedding(predictor))
    assert torch.equal(*outputs)


def test_a_case_that_is_removed_was_never_there(family, tmp_path):
    predictor = a_predictor(family, tmp_path / "memory")
    with_attention(predictor, family)
    whole = embedding(predictor)
    memory = predictor.case_retrieval.memory
    (gone,) = (case.id for case in memory.cases if case.facts.structure == f"ball {len(PLACES) - 1}")
    memory.remove(gone)
    less = embedding(predictor)  # of the same scan: what was encoded with the case is not taken again
    never = a_predictor(family, tmp_path / "never", PLACES[:-1])
    with_attention(never, family)
    assert torch.equal(less, embedding(never))
    assert not torch.equal(less, whole)


def test_more_neighbours_than_cases_are_all_of_them(tmp_path):
    predictor = a_predictor("native", tmp_path / "memory")
    outputs = []
    for neighbours in (len(PLACES), 100):
        with_attention(predictor, "native", neighbours=neighbours)
        outputs.append(embedding(predictor))
    assert torch.equal(*outputs)
    with_attention(predictor, "native", neighbours=1)
    assert not torch.equal(embedding(predictor), outputs[0])


def test_the_nearest_case_is_the_crop_itself(tmp_path):
    predictor = a_predictor("native", tmp_path / "memory")
    attention = with_attention(predictor, "native", neighbours=2)
    memory = predictor.case_retrieval.memory
    for number, place in enumerate(PLACES):
        volume, mask = a_scan(place)
        predictor.set_volume(volume)
        case = next(n for n, case in enumerate(memory.cases) if case.facts.structure == f"ball {number}")
        anchor = memory.stacked("prior.anchors")[case, 0]
        _, centre = StructureShape.of(volume, mask)
        r, a, s = (centre + anchor).tolist()
        predictor.features(first_grid(volume, (r, a, s), predictor.spacing_range, predictor.crop_size))
        rows, weights = attention._found
        assert rows[0] == case and weights[0] > weights[1]


def test_cases_are_found_at_the_memorys_first_block_whichever_block_attends(tmp_path):
    config = SMALL_NATIVE.with_(depth=4)
    torch.manual_seed(1)
    predictor = Predictor(build_network(config), CPU)
    predictor.case_retrieval = open_or_create_case_retrieval(tmp_path / "memory", predictor.network, layers=(1, 3))
    volume, mask = ct_of(ball(7), (32, 32, 32), 1.5)
    predictor.set_volume(volume)
    remember(predictor, mask)
    predictor.case_attention = attention_to(predictor.case_retrieval.memory, predictor.network, (3,))
    plain = predictor.features(first_grid(volume, (4.0, 0.0, 0.0), predictor.spacing_range, 32), plain=True)
    attended = predictor.features(first_grid(volume, (4.0, 0.0, 0.0), predictor.spacing_range, 32))
    assert not torch.equal(plain.embedding, attended.embedding)


def test_what_is_encoded_under_one_setting_is_not_taken_under_another(tmp_path):
    predictor = a_predictor("native", tmp_path / "memory")
    plain = embedding(predictor)
    before = predictor.settings
    attention = with_attention(predictor, "native")
    assert predictor.settings != before
    attended = embedding(predictor)
    attention.neighbours = 1
    fewer = embedding(predictor)
    assert not torch.equal(attended, plain) and not torch.equal(fewer, attended)
    predictor.case_attention = None
    encodes = predictor.encodes
    assert torch.equal(embedding(predictor), plain) and predictor.encodes == encodes + 1  # another scan object


def test_what_is_remembered_and_asked_for_is_described_without_attention(tmp_path):
    plain = a_predictor("native", tmp_path / "plain")
    attending = a_predictor("native", tmp_path / "attending", PLACES[:2])
    with_attention(attending, "native")
    for number, place in enumerate(PLACES[2:], 2):
        volume, mask = a_scan(place)
        attending.set_volume(volume)
        remember(attending, mask, f"ball {number}")
    assert attending.case_retrieval.memory.ids == plain.case_retrieval.memory.ids


def test_keys_and_values_are_those_of_the_block(family):
    network = a_network_that_attends(family)
    layer = LAYERS[family][1]
    recorder = KeyRecorder((layer,))
    image = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(network.encode(image, recorder).embedding, network.encode(image).embedding)
        tokens = torch.from_numpy(recorder.tokens)[None]
        _, key, value = network.image_encoder.blocks[layer].attn.project(tokens)
    np.testing.assert_allclose(recorder.arrays[f"keys.{layer}"], key[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(recorder.arrays[f"values.{layer}"], value[0].numpy(), atol=1e-6)


def test_the_tokens_of_an_empty_crop_are_made_once():
    network = a_network_that_attends("native")
    assert empty_tokens(network, 1) is empty_tokens(network, 1)
    assert empty_tokens(network, 1).shape == (8, 48)


def test_blocks_that_are_not_there_are_told(tmp_path):
    network = a_network_that_attends("student")
    with pytest.raises(CaseMemoryError, match="blocks 1 to 2"):
        open_or_create_case_retrieval(tmp_path / "memory", network, layers=(0,))
    retrieval = open_or_create_case_retrieval(tmp_path / "memory", network)
    assert (tmp_path / "memory").is_dir()
    with pytest.raises(CaseMemoryError, match="keeps no keys and values of block 1"):
        attention_to(retrieval.memory, network, (1,))
    with pytest.raises(CaseMemoryError, match="keeps no keys and values of block 1"):
        open_or_create_case_retrieval(tmp_path / "memory", network, layers=(1,))


def test_another_encoders_memory_is_refused(tmp_path):
    a_predictor("native", tmp_path / "memory", PLACES[:1])
    torch.manual_seed(99)
    other = build_network(SMALL_NATIVE)
    with pytest.raises(CaseMemoryError, match="another image encoder"):
        open_case_retrieval(tmp_path / "memory", other)


def test_a_memory_without_structures_is_refused(tmp_path):
    network = a_network_that_attends("native")
    CaseMemory.create(tmp_path / "memory", CaseLayout({"descriptor": ("float16", (16,))}), encoder_fingerprint(network))
    with pytest.raises(CaseMemoryError, match="where structures were"):
        open_case_retrieval(tmp_path / "memory", network)


def test_an_empty_folder_becomes_a_memory(tmp_path):
    (tmp_path / "memory").mkdir()
    assert len(open_or_create_case_retrieval(tmp_path / "memory", a_network_that_attends("native")).memory) == 0


def test_a_mask_of_another_grid_is_refused(tmp_path):
    predictor = a_predictor("native", tmp_path / "memory", [])
    predictor.set_volume(ct_of(ball(7), (32, 32, 32), 1.5)[0])
    with pytest.raises(VolumeError, match="grid"):
        remember(predictor, np.ones((3, 3, 3), bool))
