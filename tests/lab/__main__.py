"""`python -m tests.lab` is the command `lab`."""

from tests.lab.cli import lab

if __name__ == "__main__":
    lab(prog_name="lab")
