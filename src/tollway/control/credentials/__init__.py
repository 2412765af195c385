"""Named credentials that models refer to: `/credentials`."""
