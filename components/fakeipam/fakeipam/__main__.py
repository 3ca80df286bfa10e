"""Entry point of the `fakeipam` executable."""

import posix

from fakeipam.main import main

# Nothing is buffered and nothing needs the interpreter's shutdown.
posix._exit(main())  # noqa: SLF001  (the documented way to leave at once)
