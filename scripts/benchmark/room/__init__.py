"""What bench_room.py measures: many receivers of one game, each in a container with a link of its own.

samples.py   what was measured: plain values, and the JSON file that holds them
figures.py   medians, and ratios within a round
bars.py      which rooms each bar needs, and whether it is met
text.py      tables for a terminal and for a page
picture.py   the ratios as a plot
plan.py      which rooms a run has, and about how long they take
modes.py     kinds of rooms: links, what receivers are told, what happens to one of them
machines.py  a source and receivers in containers, on the harness of the scenarios
folders.py   what the folders of receivers take of the disk
game.py      the game and its catalog
measure.py   the rounds, and one room from its first machine to its sample
loopback.py  one receiver on this machine, without containers and without limits
simulation.py  the largest rooms, in one process
"""
