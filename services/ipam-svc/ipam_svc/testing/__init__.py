"""What the tests of ipam-svc share."""
