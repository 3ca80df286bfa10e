"""What the shared layer of the images lacks is found before an image starts."""

from checks.runtime_packages import lacking


def test_a_package_that_is_not_held_is_found() -> None:
    """Only third parties with code are looked at."""
    needed = [
        "libs/danm-api/danm_api/names.py",
        "3rdparty/python#types-PyYAML",
        "3rdparty/python#msgspec",
        "3rdparty/python#aiohttp",
    ]

    assert lacking(needed, ["3rdparty/python#aiohttp"]) == ["3rdparty/python#msgspec"]
