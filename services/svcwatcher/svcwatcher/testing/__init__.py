"""Builders and fakes of svcwatcher's tests."""
