"""What the garbage collector leaves alone."""

import gc

from danm_api.garbage import spare_what_is_read


def test_what_is_read_is_left_alone_by_the_garbage_collector() -> None:
    """It has nothing to look through after the record was read, until much else has come."""
    usual = gc.get_threshold()
    try:
        spare_what_is_read()
        assert gc.get_freeze_count() > 0
        assert len(gc.get_objects(generation=2)) == 0
        assert gc.get_threshold()[0] > usual[0]
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)
