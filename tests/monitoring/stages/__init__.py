"""Parts of DANM in memory, as processes that show their metrics and have faults on request."""
