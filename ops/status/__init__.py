"""`make status`: one screen that says whether all is well with a deployed stack.

`screen` asks for all lines and prints them, `line` is one of them, `snapshot` what they are made
of: one look at stack and swarm. Each other module makes the lines of one subject, and changes
nothing.
"""
