"""Ports kept in the memory of one process: complete, and the measure for every other implementation."""
