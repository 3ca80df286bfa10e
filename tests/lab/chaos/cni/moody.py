"""A CNI plugin that does another's work and, where it is told to, misbehaves."""

import sys
from pathlib import Path
from typing import Final

from tests.lab.chaos.cni.cases import Mood

_HANG_S: Final = 600

_SCRIPT: Final = """#!{python} -IS
import json, os, signal, subprocess, sys, time
verb, container = os.environ["CNI_COMMAND"], os.environ["CNI_CONTAINERID"]
told = os.path.join({moods!r}, verb + "-" + container)
try:
    with open(told) as file:
        mood = file.read()
    os.rename(told, told + ".met")
except FileNotFoundError:
    mood = ""
def end():
    os.kill(os.getpid(), signal.SIGKILL)
def work(config):
    done = subprocess.run([{real!r}], input=config, stdout=subprocess.PIPE)
    return done.returncode, done.stdout
config = sys.stdin.buffer.read()
if mood == {die_first!r}:
    end()
if mood == {hang_first!r}:
    time.sleep({hang_s})
if mood == {forget!r}:
    bare = json.loads(config)
    del bare["ipam"]
    config = json.dumps(bare).encode()
status, output = work(config)
if mood == {die_last!r}:
    end()
if mood == {hang_last!r}:
    time.sleep({hang_s})
if mood == {rubbish!r}:
    output = b"rubbish"
sys.stdout.buffer.write(output)
sys.stdout.flush()
os._exit(status)
"""


def write_moody(path: Path, *, moods: Path, real: Path) -> None:
    """Have the plugin.

    Args:
        path: The executable.
        moods: A directory: the file ``VERB-CONTAINER`` says once what it is to do.
        real: The plugin that does the work.
    """
    path.write_text(
        _SCRIPT.format(
            python=sys.executable,
            moods=str(moods),
            real=str(real),
            hang_s=_HANG_S,
            **{mood.name.lower(): str(mood) for mood in Mood},
        )
    )
    path.chmod(0o755)
