# What `make` says where something could not be installed.
#
# sh shared_tests/environments.sh LOG WHAT [REQUIREMENTS]
#
# Shows the last lines of the log, then what failed and the one advice that
# fits. The sentence goes into the log as well: `make parity` and `make
# test-all` quote its last line as the reason why a framework is missing.
# A shell script, since this is said where Python itself may be missing.

log=$1 what=$2 requirements=$3
here=$(uname -sm)

said() { grep -qiE "$1" "$log"; }

if said 'no space left|disk quota'; then
    why="the disk is full"
    advice="make room"
elif said 'permission denied|read-only file'; then
    why="a file could not be written"
    advice="work in a copy of your own, and let UV_CACHE_DIR name a folder of yours"
elif said 'no module named .?pip'; then
    why="this Python has no pip"
    advice="install pip, or uv itself"
elif said 'no interpreter found|download .*cpython'; then
    why="Python 3.11 is not here, and could not be downloaded"
    advice="install python3.11"
elif said 'interpreter (from|at)|querying python'; then
    why="the first Python 3.11 on PATH does not start"
    advice="put one that does in front of it"
elif said 'failed to (fetch|download)|error sending request|network was disabled|connection|timed out|retrying'; then
    why="the package index was not reached"
    advice="look at the network, or at the settings of uv and pip that name the index"
elif [ "$here" != "Linux x86_64" ]; then
    why="this is $here, and the four frameworks need Linux x86-64 (MXNet 1.9.1 has no other wheel)"
    advice="use a Linux x86-64 container"
elif said 'no solution found|no matching distribution'; then
    why="the package index has no such version for Python 3.11"
    advice="correct the pin${requirements:+ in $requirements}, or name an index that has it"
else
    why="the lines above say why"
    advice="mend that"
fi

tail -n 12 "$log"
echo "$why; $advice, and run make again." >> "$log"
echo "$what: $(tail -n 1 "$log")"
