#!/bin/bash
# Starts a guest's kernel. One that restarts runs this again in its own place (its argv[0]), with all
# that it had open; the next kernel does not get a network interface that is still open.
directory=${0%/*}
. "$directory/guest.env"
for descriptor in /proc/$$/fd/*; do
  descriptor=${descriptor##*/}
  # Bash reads this file by 255, and closes it by itself.
  if ((descriptor > 2 && descriptor != 255)); then
    exec {descriptor}>&-
  fi
done
exec -a "$0" "$LAB_KERNEL" "$@"
