"""What bench_room.py measures: many receivers of one game, each in a container with a link of its own.

samples.py   what was measured: plain values, and the JSON file that holds them
figures.py   medians, ratios within a round, and the bars
text.py      tables for a terminal and for a page
picture.py   the ratios as a plot
machines.py  a source and receivers in containers, on the harness of the scenarios
measure.py   the modes, the game, the rounds
loopback.py  one receiver on this machine, without containers and without limits
"""
