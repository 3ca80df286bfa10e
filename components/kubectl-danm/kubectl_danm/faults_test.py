"""What is said where the program itself is at fault."""

from kubectl_danm.faults import describe_fault


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_fault_names_its_place_on_one_line() -> None:
    """Whoever mends it finds it, and a terminal is not filled with a traceback."""
    # DESIGN P7
    sentence = describe_fault(_raised(KeyError("spec")))
    assert sentence.startswith("KeyError: 'spec' (faults_test.py:")
    assert "please report it" in sentence
    assert "\n" not in sentence


def test_each_of_several_is_named() -> None:
    """What went wrong side by side comes as a group."""
    group = ExceptionGroup("both", [_raised(KeyError("a")), _raised(ValueError("b"))])
    sentence = describe_fault(group)
    assert "KeyError: 'a' (faults_test.py:" in sentence
    assert "And: ValueError: b (faults_test.py:" in sentence
