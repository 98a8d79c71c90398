from __future__ import annotations

import pytest
import typer

from MemorizingSAM3DLib.cli.options import parse_point


def test_three_numbers_are_a_positive_point():
    assert parse_point("12.5,-8,30") == ((12.5, -8.0, 30.0), True)
    assert parse_point(" 1 , 2 , 3 , + ") == ((1.0, 2.0, 3.0), True)


def test_a_minus_behind_them_makes_it_negative():
    assert parse_point("-12,8,-30,-") == ((-12.0, 8.0, -30.0), False)


@pytest.mark.parametrize("text", ["", "1,2", "1,2,3,4", "a,b,c", "1,2,3,-,5", "1;2;3", "1,2,3,"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(typer.BadParameter, match="12.5,-8,30"):
        parse_point(text)
