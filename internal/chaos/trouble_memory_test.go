package chaos_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// mostMemory is the resident memory, in bytes, at which an engine is ended. It is that of
// a small container; what the race detector keeps beside it takes several times as much.
const mostMemory = memoryFactor * 256 << 20

// endTheLarge kills each engine that has too much resident memory, as the kernel does in a
// container. Where there is no /proc it ends none.
func (w *world) endTheLarge(context.Context, *rand.Rand) {
	tooLarge := func(e *running) bool { // called with mu held
		size := e.resident()
		w.largestEngine = max(w.largestEngine, size)
		return size > mostMemory
	}
	for _, e := range w.takeWhere(tooLarge) {
		require.NoError(w.t, e.cmd.Process.Kill())
		e.end(w)
		w.noteCut(w.number(), e.id)
		w.done("memory")
		w.startEngine(w.fresh())
	}
}

// resident is the resident memory of an engine's process in bytes; 0 if that is not known.
func (e *running) resident() int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(e.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text)) // its size, then what is resident of it: proc_pid_statm(5)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}
