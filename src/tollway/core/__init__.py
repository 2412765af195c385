"""What everything else is made of: values without I/O. Imports nothing of ours."""
