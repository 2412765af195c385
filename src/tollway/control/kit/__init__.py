"""What every resource shares: errors on the wire, who may call what, bodies, pages."""
