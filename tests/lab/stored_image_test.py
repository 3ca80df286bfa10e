"""What images consist of."""

from tests.lab.stored_image import Layer, chain_layers


def test_layers_are_chained_as_the_image_specification_says() -> None:
    """The lowest layer is its own chain; each other one is the digest of chain and content."""
    # From the specification's formula: ChainID(L0|L1) = SHA256("ChainID(L0) DiffID(L1)").
    lower = "sha256:" + "a" * 64
    upper = "sha256:" + "b" * 64

    layers = chain_layers([lower, upper])

    assert layers == (
        Layer(chain=lower, parent=""),
        Layer(
            chain="sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c",
            parent=lower,
        ),
    )


def test_an_image_without_layers_has_no_chain() -> None:
    """An empty image is no error."""
    assert chain_layers([]) == ()
