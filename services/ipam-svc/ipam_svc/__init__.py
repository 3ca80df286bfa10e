"""ipam-svc: hands out addresses so that none is ever held by two owners."""
