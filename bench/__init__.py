"""The benchmarks of ``./lab bench``: what podlab takes, beside what its peers take for the same.

Times move from machine to machine, and on one machine from hour to hour. So peers are measured in the same run,
and what is held against a limit is a ratio wherever there is a peer. One file is one benchmark: ``WHAT`` says in a
sentence what it measures, and ``rows`` measures it. ``inside/`` has the programs that run on an embedded host.
"""
