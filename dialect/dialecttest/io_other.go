//go:build !unix

package dialecttest

// withoutFiles calls f: only Unix can keep a process from opening files.
func withoutFiles(f func()) error {
	f()
	return nil
}
