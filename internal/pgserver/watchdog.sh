# Runs the server, and ends it when whoever started it is gone.
#
# usage: sh -c "$this" watchdog FOLDER PROGRAM ARGUMENT...
#
# Standard input is a pipe whose other end only the starting process holds. It
# closes with that process, however it dies: then the server is stopped and
# FOLDER removed. The file FOLDER/ended says that the server ended by itself;
# the line "keep" then ends this script and leaves FOLDER.
folder=$1
shift
trap '' HUP INT TERM
exec 3<&0

"$@" 3<&- </dev/null >"$folder/log" 2>&1 &
server=$!

(
	read -r _ <&3
	# SIGQUIT is Postgres' immediate stop. It is repeated, for a server that is
	# only just starting misses it.
	tries=0
	while kill -QUIT "$server" 2>/dev/null && [ "$tries" -lt 50 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
	kill -KILL "$server" 2>/dev/null
) &
guard=$!

wait "$server"
kill -KILL "$guard" 2>/dev/null
: >"$folder/ended"
read -r word <&3
[ "$word" = keep ] && exit
cd /
rm -rf "$folder"
