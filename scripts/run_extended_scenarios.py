#!/usr/bin/env python3
"""Runs the scenario matrix against real peers in containers; see --help, and --list for what is claimed."""

import sys

from scenarios.runner import main

if __name__ == "__main__":
    sys.exit(main())
