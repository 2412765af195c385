"""May this call happen? Who calls, what they may reach, and whether their limits have room."""
