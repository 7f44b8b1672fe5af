package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// What /proc of Linux tells of processes. Elsewhere, and of a server on another
// machine or in a container, all of it is 0.

// tick is the unit of processor times in /proc: USER_HZ is 100 on every Linux
// that Go runs on.
const tick = 10 * time.Millisecond

// process is a line of /proc/PID/stat.
type process struct {
	name   string
	parent int
	used   time.Duration // user and system time, with those of children that were waited for
}

func readProcess(pid int) (process, bool) {
	text, err := fs.ReadFile(os.DirFS("/proc"), strconv.Itoa(pid)+"/stat")
	if err != nil {
		return process{}, false
	}
	// The name is in parentheses and may have spaces: proc_pid_stat(5).
	begin, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if begin < 0 || end < begin {
		return process{}, false
	}
	const parent, utime, cstime = 1, 11, 14 // behind the name
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) <= cstime {
		return process{}, false
	}
	p := process{name: string(text[begin+1 : end])}
	p.parent, _ = strconv.Atoi(fields[parent])
	for _, field := range fields[utime : cstime+1] {
		ticks, _ := strconv.Atoi(field)
		p.used += time.Duration(ticks) * tick
	}
	return p, true
}

// postmasterOf is the process that started a backend; 0 where the backend's id
// is not that of a postgres process here.
func postmasterOf(backend int) int {
	p, ok := readProcess(backend)
	if !ok || p.name != "postgres" {
		return 0
	}
	return p.parent
}

// postgresTime is the processor time of a server: of its main process, which
// counts those that have ended, and of those that live.
func postgresTime(postmaster int) time.Duration {
	main, ok := readProcess(postmaster)
	if postmaster == 0 || !ok {
		return 0
	}
	used := main.used
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok && p.parent == postmaster {
			used += p.used
		}
	}
	return used
}

// memory is what a process has in memory now, and at most so far, in bytes.
func memory(pid int) (now, peak int64) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			now = kb << 10
		case "VmHWM:":
			peak = kb << 10
		}
	}
	return now, peak
}
