"""The part of a bench that runs on the board, copied there as one archive. It needs numpy, a runtime, and Python 3.9.

One process watches (``watch``) and lends the board to one bench at a time; each job (``jobs``) runs in a process of its own,
which may crash. Both speak JSON, one object a line: requests on standard input, events on standard output. Standard input is
the lease: when it ends, or nothing was said on it for a minute, the job is ended and the governor put back.

Modules here import nothing of this toolkit but each other, by relative names.
"""
