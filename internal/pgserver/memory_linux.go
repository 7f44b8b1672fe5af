package pgserver

import "syscall"

// memoryNeeded is more than a suite's databases take at any one time.
const memoryNeeded = 2 << 30

// clusterDirs returns the folders in which the cluster may be made, the best
// first. A database is made of hundreds of files: in memory it is copied ten
// times faster than on a disk that is not even asked to sync.
func (m *machine) clusterDirs(opts *Opts) []string {
	var fs syscall.Statfs_t
	if !opts.Fast || m.memoryDir == "" || syscall.Statfs(m.memoryDir, &fs) != nil {
		return m.tempDirs
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < memoryNeeded { //nolint:gosec // a block has a size
		return m.tempDirs
	}
	return append([]string{m.memoryDir}, m.tempDirs...)
}
