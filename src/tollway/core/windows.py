"""Budget windows, computed from time alone, so that no reset depends on a job having run."""
