"""The parts' versions: each stands in one module, and is brought from there to where it is used."""
