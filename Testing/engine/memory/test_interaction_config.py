from __future__ import annotations

import json

import pytest

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.memory.interaction_config import InteractionConfig


@pytest.mark.parametrize(("channels", "hidden"), [(384, 1280), (256, 856), (8, 24)])
def test_the_feed_forward_network_widens_by_ten_thirds_in_whole_eights(channels, hidden):
    assert InteractionConfig(channels, 8).hidden == hidden


def test_it_comes_back_from_json():
    config = InteractionConfig(96, 5, 4, 17, "sparse")
    assert InteractionConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("changes", [{"capacity": 1}, {"capacity": 256}, {"grid": 1}, {"channels": 8}], ids=str)
def test_it_takes_the_ends_of_its_ranges(changes):
    values = InteractionConfig(64, 8).to_dict() | changes
    assert InteractionConfig.from_dict(values).to_dict() == values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 0}, "capacity = 0, not 1 to 256"),
        ({"capacity": 257}, "capacity = 257, not 1 to 256"),
        ({"capacity": True}, "capacity = True"),
        ({"grid": 0}, "grid = 0"),
        ({"channels": 10**9}, "channels = 1000000000"),
        ({"channels": 64.0}, r"channels = 64\.0"),
        ({"heads": None}, "heads = None"),
        ({"heads": 7}, "no multiple of its 7 heads"),
        ({"kinds": "all"}, "kinds = 'all', not one of both, sparse, dense"),
        ({"kinds": ["both"]}, "kinds = "),
        ({"colour": 3}, "other fields: colour"),
    ],
    ids=str,
)
def test_a_configuration_that_cannot_be_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        InteractionConfig.from_dict(InteractionConfig(64, 8).to_dict() | changes)


def test_a_missing_field_is_refused():
    values = InteractionConfig(64, 8).to_dict()
    del values["grid"]
    with pytest.raises(CheckpointError, match="other fields: grid"):
        InteractionConfig.from_dict(values)
