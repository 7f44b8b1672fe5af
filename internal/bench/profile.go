package main

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
)

// startProfile writes a CPU profile of a variant, where one was asked for, until
// stop is called.
func (b *bench) startProfile(variant string, wanted bool) (stop func(), err error) {
	if b.profile == "" || !wanted {
		return func() {}, nil
	}
	suffix := filepath.Ext(b.profile)
	name := strings.TrimSuffix(b.profile, suffix) + "." + variant + suffix
	file, err := os.Create(name) //nolint:gosec // whoever runs the benchmark names it
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			printf(b.out, "bench: profile: %v\n", err)
		}
	}, nil
}
