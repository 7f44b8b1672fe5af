package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/riverhook/riverhook/internal/pgserver"
)

// maxConnections is for all packages that `go test` runs at once.
const maxConnections = 300

func serverOpts() *pgserver.Opts {
	return &pgserver.Opts{Fast: true, MaxConnections: maxConnections}
}

// state is what the processes of a run tell each other about its server.
type state struct {
	Err    string `json:"err"`    // why there is none; all else is empty then
	PID    int    `json:"pid"`    // of the supervisor
	Prefix string `json:"prefix"` // of the names of all databases of the run
	Source string `json:"source"`
	URL    string `json:"url"`
}

// connected is the server of this process. It is found or started once, not in
// the time of a single test.
var connected = sync.OnceValues(func() (*databases, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	server, err := join(ctx, stateFolder())
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, server.Source)
	return &databases{prefix: server.Prefix, url: server.URL}, nil
})

func server(tb testing.TB) *databases {
	tb.Helper()
	databases, err := connected()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	return databases
}

// stateFolder is where the processes of one run meet: those of one user, in one
// module's folder, that would use the same server.
func stateFolder() string {
	hash := sha256.Sum256([]byte(strings.Join([]string{moduleFolder(), os.Getenv("DATABASE_URL"), os.Getenv("DOCKER_HOST")}, "\n")))
	name := "riverhook-pgtest-" + strconv.Itoa(os.Getuid()) + "-" + hex.EncodeToString(hash[:5])
	return filepath.Join(os.TempDir(), name)
}

// moduleFolder is the folder above this one that has a go.mod: `go test` runs
// each package's tests in the package's folder.
func moduleFolder() string {
	start, err := os.Getwd()
	if err != nil {
		return ""
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return start
		}
	}
}
