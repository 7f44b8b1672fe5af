//go:build unix

package dialecttest

import "syscall"

// withoutFiles calls f while this process can open no file and no connection.
func withoutFiles(f func()) error {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		return err
	}
	f()
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)
}
