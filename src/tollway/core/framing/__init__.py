"""Byte framing without I/O."""
