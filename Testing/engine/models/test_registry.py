from __future__ import annotations

import hashlib
import json

import jsonschema
import pytest

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.engine.models.registry import Registry, describe_file, known_models, record_facts


@pytest.fixture
def a_document():
    return json.loads(resource_path("Models", "registry.json").read_text(encoding="utf-8"))


@pytest.fixture
def a_registry_file(tmp_path, a_document):
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(a_document))
    return path


def test_the_schema_is_itself_valid():
    jsonschema.Draft202012Validator.check_schema(
        json.loads(resource_path("Models", "registry.schema.json").read_text())
    )


def test_every_shipped_file_is_there_exactly_when_its_hash_is_and_they_agree():
    for entry in known_models():
        if entry.shipped:
            folder = resource_path("Models")
            assert (folder / entry.file).exists() == (entry.sha256 is not None), entry.name
            if entry.sha256 is not None:
                assert describe_file(folder / entry.file) == (entry.size, entry.sha256), entry.name


def test_published_models_carry_the_hashes_that_their_authors_publish():
    turbo = known_models().find("sam-med3d-turbo")
    assert turbo.family == "sam_med3d"
    assert turbo.sha256 == "899a46d04d3b70f723282ceb489149373558bf0aaba389a346f5ab57da5cdd3c"
    assert known_models().with_hash(turbo.sha256) == turbo
    assert known_models().find("fastsam3d").sha256 is None


def test_a_hash_that_nobody_published_belongs_to_no_model():
    assert known_models().with_hash("0" * 64) is None


def test_an_unknown_name_suggests_the_nearest_one():
    with pytest.raises(CheckpointError, match="Did you mean fastsam3d"):
        known_models().find("fastsam-3d")
    with pytest.raises(CheckpointError, match=r"Known models: native-v4, sam-med3d-turbo"):
        known_models().find("zzz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"family": "unet"}, "unet"),
        ({"sha256": "ABC"}, "ABC"),
        ({"url": "http://example.org/model.pth"}, "http://example.org"),
        ({"file": "../model.pth"}, r"\.\./model\.pth"),
        ({"file": "model.exe"}, "model.exe"),
        ({"size": 0}, "0 is less"),
        ({"name": "Has Spaces"}, "Has Spaces"),
    ],
)
def test_an_entry_that_breaks_the_schema_is_refused_with_its_place(a_document, tmp_path, change, message):
    a_document["models"][1].update(change)
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(a_document))
    with pytest.raises(CheckpointError, match=rf"models\[1\].*{message}"):
        Registry.from_file(path)


def test_an_entry_without_a_field_is_refused(a_document, tmp_path):
    del a_document["models"][0]["licence"]
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(a_document))
    with pytest.raises(CheckpointError, match="'licence' is a required property"):
        Registry.from_file(path)


def test_a_name_may_not_stand_twice(a_document, tmp_path):
    a_document["models"].append(a_document["models"][0])
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(a_document))
    with pytest.raises(CheckpointError, match="twice: native-v4"):
        Registry.from_file(path)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_registry_file_is_a_clear_error(tmp_path, text):
    path = tmp_path / "registry.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="The registry of models"):
        Registry.from_file(path)


def test_recording_a_file_changes_its_size_and_hash_and_nothing_else(a_registry_file, a_document, tmp_path):
    weights = tmp_path / "memorizing_sam3d_v4.safetensors"
    weights.write_bytes(b"weights")
    facts = record_facts(a_registry_file, "native-v4", weights)
    assert facts == (7, hashlib.sha256(b"weights").hexdigest())
    a_document["models"][0].update(size=facts.size, sha256=facts.sha256)
    assert json.loads(a_registry_file.read_text()) == a_document


def test_recording_a_file_under_another_models_name_is_refused(a_registry_file, tmp_path):
    weights = tmp_path / "other.safetensors"
    weights.write_bytes(b"weights")
    before = a_registry_file.read_text()
    with pytest.raises(CheckpointError, match=r"is for memorizing_sam3d_v4\.safetensors, not for other\.safetensors"):
        record_facts(a_registry_file, "native-v4", weights)
    assert a_registry_file.read_text() == before
