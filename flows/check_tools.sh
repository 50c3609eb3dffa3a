#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Names every missing system tool with the command that installs it. Usage: check_tools.sh PYTHON
missing=""
need() { command -v "$1" >/dev/null 2>&1 || { missing="$missing $2"; echo "missing: $1 ($3)" >&2; }; }
need "${1:-python3.11}" "python3.11 python3.11-venv" "the flow runs on Python 3.11; or set PYTHON=/path/to/python3.11"
! command -v "${1:-python3.11}" >/dev/null 2>&1 || "${1:-python3.11}" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
  { echo "$1 is not Python 3.11, which the versions in requirements.lock are for; set PYTHON=/path/to/python3.11" >&2; exit 1; }
need g++ g++ "compiles the simulations"
need make make "builds"
need perl perl "Verilator's front end is a Perl script"
[ -z "$missing" ] || { echo "install with: sudo apt-get install$missing" >&2; exit 1; }
