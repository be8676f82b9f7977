"""Garbage collection that is put off."""

import gc

import pytest

from kit_common.garbage import uncollected


def test_nothing_is_collected_in_the_block_and_usually_after_it() -> None:
    with uncollected():
        assert not gc.isenabled()
        kept: list[object] = [[]]
    assert gc.isenabled()
    assert any(each is kept for each in gc.get_objects(generation=2))


def test_it_is_collected_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="wrong"), uncollected():
        raise ValueError("wrong")
    assert gc.isenabled()


def test_a_process_that_collects_nothing_goes_on_so() -> None:
    gc.disable()
    try:
        with uncollected(), uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
