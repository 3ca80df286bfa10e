"""What Debian's files say."""

from sbom.debian import UNNAMED, Package, installed, licence_names

_STATUS = """\
Package: zlib1g
Status: install ok installed
Section: libs
Architecture: amd64
Version: 1:1.2.13.dfsg-1
Description: library
 Version: 9

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: Zlib

Files: debian/*
License: GPL-2+

License: Zlib
 The text.
"""


def test_installed_packages_are_told() -> None:
    """One that was removed is not, and a description is no field."""
    assert list(installed(_STATUS)) == [
        Package(name="zlib1g", version="1:1.2.13.dfsg-1", architecture="amd64", section="libs")
    ]


def test_licences_have_debians_names() -> None:
    """Each once; a file without fields is named as one to read."""
    assert licence_names(_COPYRIGHT) == "GPL-2+, Zlib"
    assert licence_names("This package was debianized by ...\nLicense: hidden\n") == UNNAMED
