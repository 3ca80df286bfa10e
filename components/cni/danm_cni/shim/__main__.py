"""Entry point of the `danm` executable."""

import posix

from danm_cni.shim.main import main

# Nothing is buffered and nothing needs the interpreter's shutdown, which would cost a millisecond.
posix._exit(main())  # noqa: SLF001  (the documented way to leave at once)
