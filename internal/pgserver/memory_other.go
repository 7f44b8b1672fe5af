//go:build !linux

package pgserver

// clusterDirs returns the folders in which the cluster may be made.
func (m *machine) clusterDirs(*Opts) []string { return m.tempDirs }
