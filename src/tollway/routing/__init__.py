"""Which deployment serves a call?"""
