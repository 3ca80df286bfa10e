#!/bin/bash
# Starts a guest's kernel. One that restarts runs this again in its own place (its argv[0]), with all
# that it had open and all its processes, which have the same open. The next kernel does not get a
# network interface that is still open anywhere.
directory=${0%/*}
. "$directory/guest.env"

end_children() { # Says whether there were any that live.
  local file line found=1
  for file in /proc/[0-9]*/stat; do
    { read -r line < "$file"; } 2> /dev/null || continue
    # State and parent follow the name, which may hold anything.
    set -- ${line##*) }
    if [[ $1 != Z && $2 == "$$" ]]; then
      kill -KILL "${file//[!0-9]/}" 2> /dev/null
      found=0
    fi
  done
  return "$found"
}

while ((SECONDS < 30)) && end_children; do :; done
for descriptor in /proc/$$/fd/*; do
  descriptor=${descriptor##*/}
  # Bash reads this file by 255, and closes it by itself.
  if ((descriptor > 2 && descriptor != 255)); then
    exec {descriptor}>&-
  fi
done
exec -a "$0" "$LAB_KERNEL" "$@"
