"""Damaged, foreign and hostile files: a clear error, the other cases stay usable, and no more memory than is due."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.case_memory import array_file
from MemorizingSAM3DLib.engine.case_memory.case import CaseLayout
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.errors import CaseMemoryError, EngineError, UnreadableCaseError
from Testing.engine.case_phantoms import ENCODER, LAYOUT, a_case, facts

_INTERPRETER = 2**20  # bytes that tables, errors and file handles take, whatever the size of the file
_LARGE = CaseLayout(
    {
        "descriptor": ("float16", (256,)),
        "keys.8": ("float16", (4, 512, 64)),
        "values.8": ("float16", (4, 512, 64)),
        "mask": ("uint8", (8, 8, 8)),
    }
)
fuzz = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A folder with a memory of three cases, and its export beside it. Tests copy, and never change it."""
    path = tmp_path_factory.mktemp("sound") / "memory"
    memory = CaseMemory.create(path, LAYOUT, ENCODER)
    for seed in range(3):
        memory.add(a_case(seed), facts())
    memory.export(path.with_name("all.safetensors"))
    return path


def copied(sound: Path, target: Path, change: dict[str, bytes]) -> Path:
    """A copy of the folder with other bytes in some files."""
    target.mkdir(exist_ok=True)
    for path in sound.iterdir():
        (target / path.name).write_bytes(change.get(path.name, path.read_bytes()))
    return target


def use(path: Path) -> CaseMemory:
    """Everything that reads."""
    memory = CaseMemory.open(path)
    memory.verify()
    for name in memory.layout:
        assert np.isfinite(memory.stacked(name)).all()
    for case in memory.ids:
        memory.arrays(case)
    return memory


def peak_of(job: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        job()
    except EngineError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def _length(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little")


def with_header(content: bytes, change: Callable[[dict], None]) -> bytes:
    """A safetensors file with another header, of a right length."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode().ljust(length)
    return _length(text) + text + content[8 + length :]


@st.composite
def damages(draw) -> Callable[[bytes], bytes]:
    """A way to damage a file: bits flipped, cut off, longer, a lying length of the header, noise in the header."""
    kind = draw(st.sampled_from(["flip", "cut", "longer", "length", "noise", "structure"]))
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6))
    bits = draw(st.lists(st.integers(0, 7), min_size=6, max_size=6))
    number = draw(st.one_of(st.integers(0, 2**12), st.integers(0, 2**64 - 1)))
    noise = draw(st.binary(min_size=1, max_size=64))
    part = draw(st.sampled_from([1.0, 0.2, 0.02]))  # of the file, from its start: headers are short

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        where = [int(place * part * len(content)) for place in places]
        if kind == "flip":
            for place, bit in zip(where, bits, strict=False):
                changed[place] ^= 1 << bit
        elif kind == "cut":
            del changed[where[0] :]
        elif kind == "longer":
            changed += noise
        elif kind == "length":
            changed[:8] = number.to_bytes(8, "little")
        elif kind == "noise":
            changed[where[0] : where[0] + len(noise)] = noise
        else:
            changed[where[0] : where[0] + 1] = b'[{}],":'[bits[0] % 7 : bits[0] % 7 + 1]
        return bytes(changed)

    return damage


@fuzz
@given(damage=damages())
def test_a_damaged_case_is_left_out_and_the_others_stay_usable(sound, tmp_path, damage):
    broken = sorted(sound.glob("*.safetensors"))[1]
    folder = copied(sound, tmp_path / "copy", {broken.name: damage(broken.read_bytes())})
    memory = use(folder)
    original = CaseMemory.open(sound)
    assert set(original.ids) - {broken.stem} <= set(memory.ids)
    if broken.stem in memory.ids:  # nothing of what counts was hit: the day, or a space behind the header
        for name, array in original.arrays(broken.stem).items():
            np.testing.assert_array_equal(memory.arrays(broken.stem)[name], array)
    else:
        assert memory.warnings and broken.name in memory.warnings[0]
        memory.remove(broken.stem)
        assert memory.verify() == []


@fuzz
@given(damage=damages())
def test_a_damaged_sheet_gives_a_clear_error(sound, tmp_path, damage):
    content = (sound / "memory.json").read_bytes()
    folder = copied(sound, tmp_path / "copy", {"memory.json": damage(content)})
    try:
        memory = use(folder)
    except CaseMemoryError as error:
        assert error.remedy
    else:
        assert len(memory) in (0, 3)  # another encoder's digit, and no case is of it; or nothing that counts


@fuzz
@given(damage=damages())
def test_a_damaged_single_file_gives_a_clear_error_or_leaves_out_what_is_damaged(sound, tmp_path, damage):
    content = sound.with_name("all.safetensors").read_bytes()
    file = tmp_path / "all.safetensors"
    file.write_bytes(damage(content))
    original = CaseMemory.open(sound)
    try:
        memory = use(file)
    except CaseMemoryError as error:
        assert error.remedy
    else:
        for case in set(memory.ids) & set(original.ids):
            np.testing.assert_array_equal(memory.arrays(case)["keys.8"], original.arrays(case)["keys.8"])


@fuzz
@given(content=st.binary(max_size=400) | st.binary(max_size=200).map(lambda text: _length(text) + text))
def test_any_bytes_are_refused_in_clear_words(tmp_path, content):
    (tmp_path / "any.safetensors").write_bytes(content)
    with pytest.raises(CaseMemoryError):
        CaseMemory.open(tmp_path / "any.safetensors")


def _entry(**other: object) -> Callable[[dict], None]:
    return lambda header: header["keys.8"].update(other)


@pytest.mark.parametrize("which", ["case", "archive"])
@pytest.mark.parametrize(
    "change",
    [
        _entry(shape=[2**62, 4]),
        _entry(shape=[2**64, 2**64]),
        _entry(shape=[-1]),
        _entry(shape=[10**400]),
        _entry(shape="many"),
        _entry(shape=float("nan")),
        _entry(dtype="F64"),
        _entry(dtype="object"),
        _entry(data_offsets=[0, 2**63]),
        _entry(data_offsets=[2**40, 2**40 + 864]),
        _entry(data_offsets=[-864, 0]),
        lambda header: header.pop("mask"),
        lambda header: header.update(extra=header["mask"]),
        lambda header: header.update({"../../etc/passwd": header["mask"]}),
        lambda header: header.update(__metadata__=[1]),
        lambda header: header.update(__metadata__={"format": 7}),
        lambda header: header["__metadata__"].update(version="9"),
        lambda header: header["__metadata__"].update(encoder="x"),
        lambda header: header["__metadata__"].update(digests="zz", layout="zz"),
        lambda header: header["__metadata__"].update(facts="[" * 1000, layout="[" * 3000),
        lambda header: header["__metadata__"].update(facts='{"PatientName": "x"}', layout="{}"),
        lambda header: header["__metadata__"].update(facts='{"structure": NaN}', cases="999999999"),
        lambda header: header.clear(),
    ],
)
def test_lying_headers_are_refused_before_anything_is_allocated(sound, tmp_path, which, change):
    if which == "case":
        name = sorted(sound.glob("*.safetensors"))[0].name
        content = with_header((sound / name).read_bytes(), change)
        folder = copied(sound, tmp_path / "copy", {name: content})
        opened = CaseMemory.open(folder)
        assert len(opened) == 2
        assert name in opened.warnings[0]
        assert peak_of(lambda: CaseMemory.open(folder)) < 2 * len(content) + _INTERPRETER
    else:
        content = with_header(sound.with_name("all.safetensors").read_bytes(), change)
        (tmp_path / "all.safetensors").write_bytes(content)
        with pytest.raises(CaseMemoryError):
            CaseMemory.open(tmp_path / "all.safetensors")
        assert peak_of(lambda: CaseMemory.open(tmp_path / "all.safetensors")) < 2 * len(content) + _INTERPRETER


@pytest.mark.parametrize(
    "text",
    [
        b'{"mask":{},"mask":{}}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"[[],[]," * 9_000,
        b'{"__metadata__":{"format":"MemorizingSAM3D case memory"},"__metadata__":{}}',
        b"\xff\xfe{}",
        b"NaN",
        b"1" * 5000,
        b"",
    ],
)
def test_json_that_is_no_header_is_refused(tmp_path, text):
    file = tmp_path / "all.safetensors"
    file.write_bytes(_length(text) + text + bytes(100))
    with pytest.raises(CaseMemoryError):
        CaseMemory.open(file)
    assert peak_of(lambda: CaseMemory.open(file)) < 2 * len(text) + _INTERPRETER


def test_reading_allocates_less_than_twice_the_size_of_the_files(tmp_path):
    path = tmp_path / "memory"
    memory = CaseMemory.create(path, _LARGE, ENCODER)
    for seed in range(12):
        memory.add(a_case(seed, _LARGE), facts())
    memory.export(tmp_path / "all.safetensors")
    size = memory.size_bytes
    assert size > 5 * _INTERPRETER
    for where in (path, tmp_path / "all.safetensors"):
        assert peak_of(lambda where=where: use(where)) < 2 * size
        assert peak_of(lambda where=where: CaseMemory.open(where)) < _INTERPRETER
        opened = CaseMemory.open(where)
        assert peak_of(opened.verify) < size / 4
        opened.stacked("keys.8", opened.ids[:1])
        assert peak_of(lambda opened=opened: [opened.stacked(name) for name in _LARGE]) < 2 * size


def with_flipped_bit(sound: Path, target: Path, place: int) -> tuple[str, CaseMemory]:
    name = sorted(sound.glob("*.safetensors"))[0].name
    content = bytearray((sound / name).read_bytes())
    content[place] ^= 1
    return name, CaseMemory.open(copied(sound, target, {name: bytes(content)}))


def test_a_flipped_bit_in_an_array_is_found_when_it_is_read(sound, tmp_path):
    name, memory = with_flipped_bit(sound, tmp_path / "copy", -1)
    assert len(memory) == 3 and memory.warnings == ()  # headers alone are read at first
    before = memory.revision
    for array in LAYOUT:
        memory.stacked(array)
    assert len(memory) == 2 and memory.revision != before
    assert name in memory.warnings[0] and "not what was written" in memory.warnings[0]
    assert all(len(memory.stacked(array)) == 2 for array in LAYOUT)
    memory.reload()
    assert len(memory) == 2


def test_a_damaged_case_that_is_asked_for_is_an_error_once(sound, tmp_path):
    _, memory = with_flipped_bit(sound, tmp_path / "copy", -1)
    ids = memory.ids
    with pytest.raises(UnreadableCaseError, match="damaged"):
        for array in LAYOUT:
            memory.stacked(array, ids)
    assert len(memory) == 2
    for array in LAYOUT:
        assert len(memory.stacked(array, memory.ids)) == 2


@pytest.mark.parametrize("place", [-1, 20], ids=["arrays", "header"])
def test_remembering_a_damaged_case_again_mends_it(sound, tmp_path, place):
    name, memory = with_flipped_bit(sound, tmp_path / "copy", place)
    (seed,) = (seed for seed in range(3) if CaseMemory.open(sound).add(a_case(seed), facts()).id == Path(name).stem)
    for array in LAYOUT:
        memory.stacked(array)
    assert len(memory) == 2
    assert memory.add(a_case(seed), facts()).new
    assert len(memory) == 3 and memory.warnings == () and memory.verify() == []


def test_a_damaged_case_stops_an_export_and_is_skipped_by_a_merge(sound, tmp_path):
    name, memory = with_flipped_bit(sound, tmp_path / "copy", -1)
    (tmp_path / "all.safetensors").write_bytes(b"older")
    with pytest.raises(UnreadableCaseError, match=name):
        memory.export(tmp_path / "all.safetensors")
    assert (tmp_path / "all.safetensors").read_bytes() == b"older"
    target = CaseMemory.create(tmp_path / "target", LAYOUT, ENCODER)
    merged = target.merge(memory)
    assert (merged.added, merged.damaged) == (2, 1)


def test_a_case_that_cannot_be_read_for_a_while_is_not_called_damaged(sound, tmp_path, monkeypatch):
    memory = CaseMemory.open(copied(sound, tmp_path / "copy", {}))
    held = memory.ids[1]
    real = open

    def busy(path, *arguments, **more):
        if held in str(path):
            raise PermissionError(13, "another program holds it")
        return real(path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(array_file, "open", busy, raising=False)
        assert len(memory.stacked("mask")) == 2
        assert "another program holds it" in memory.warnings[0]
        (problem,) = memory.verify()
        assert (problem.case, problem.damaged) == (held, False)
        opened = CaseMemory.open(memory.path)
        assert len(opened) == 2
    for again in (memory, opened):
        assert again.reload()
        assert len(again.stacked("mask")) == 3 and again.warnings == ()
