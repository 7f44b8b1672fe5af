package pgserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
)

// machine is what the sources may look at, so that a test can show them another
// machine than the one it runs on.
type machine struct {
	binGlobs    []string // where packages put the server programs
	dockerPaths []string // where a Docker daemon listens when DOCKER_HOST is not set
	download    bool     // whether server programs may be downloaded
	freePort    func() (uint16, error)
	getenv      func(string) string
	memoryDir   string   // where files live in memory, "" for nowhere
	repository  string   // where to download from, "" for the usual place
	tempDirs    []string // where the private cluster may live, the best first
	uid         int      // the user that this program runs as, -1 where there is none
}

func thisMachine() *machine {
	m := &machine{
		binGlobs: []string{
			"/usr/lib/postgresql/*/bin",
			"/usr/pgsql-*/bin",
			"/usr/lib/postgresql*/bin",
			"/usr/libexec/postgresql*",
			"/opt/homebrew/opt/postgresql*/bin",
			"/usr/local/opt/postgresql*/bin",
			"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
			"/Applications/Postgres.app/Contents/Versions/*/bin",
			"/usr/local/pgsql/bin",
		},
		dockerPaths: []string{"/var/run/docker.sock"},
		download:    true,
		freePort:    freePort,
		getenv:      os.Getenv,
		memoryDir:   "/dev/shm",
		tempDirs:    []string{os.TempDir()},
		uid:         os.Getuid(),
	}
	if home, err := os.UserHomeDir(); err == nil {
		m.dockerPaths = append(m.dockerPaths,
			filepath.Join(home, ".docker/run/docker.sock"), filepath.Join(home, ".docker/desktop/docker.sock"))
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		m.dockerPaths = append(m.dockerPaths, filepath.Join(dir, "docker.sock"))
	}
	if runtime.GOOS != "windows" {
		m.tempDirs = append(m.tempDirs, "/tmp", "/var/tmp")
	}
	return m
}

// withoutURL is the machine with DATABASE_URL unset.
func (m *machine) withoutURL() *machine {
	other := *m
	other.getenv = func(name string) string {
		if name == "DATABASE_URL" {
			return ""
		}
		return m.getenv(name)
	}
	return &other
}

func freePort() (uint16, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port() //nolint:forcetypeassert // a TCP listener's address
	return port, listener.Close()
}
