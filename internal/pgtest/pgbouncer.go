//go:build interop

package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// bouncerTries is how often a port is looked for that nobody else takes
	// before PgBouncer does.
	bouncerTries = 5

	// bouncerTimeout is for one start.
	bouncerTimeout = 10 * time.Second

	// lifeline ends a program with this process, however that ends: its standard
	// input is closed then. PgBouncer has nothing to save.
	lifeline = `"$@" </dev/null & cat >/dev/null; kill -KILL $!; wait $!`
)

// errBouncerPort is the error of a start that lost the race for its port.
var errBouncerPort = errors.New("another program took its port")

// PgBouncer is one that runs in front of the server of a database.
type PgBouncer struct {
	URL     string // of the database, through it
	Version string // such as "1.18.0"

	console *pgconn.Config
	port    int
	program string
	server  *pgx.ConnConfig
}

// StartPgBouncer starts this machine's PgBouncer in front of a database, in
// transaction mode and without support for prepared statements, as PgBouncer
// was until 1.21. The settings are laid over that. It ends with the test. The
// test fails if the program is not there.
func StartPgBouncer(tb testing.TB, databaseURL string, settings map[string]string) *PgBouncer {
	tb.Helper()
	program, version, err := findPgBouncer(tb.Context())
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	server, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	all := map[string]string{"max_client_conn": "500", "pool_mode": "transaction"}
	if !olderThan121(version) {
		all["max_prepared_statements"] = "0"
	}
	maps.Copy(all, settings)
	for range bouncerTries {
		b := &PgBouncer{
			Version: version,
			program: program,
			server:  server,
		}
		if err = b.start(tb, all); err == nil {
			return b
		}
		if !errors.Is(err, errBouncerPort) {
			break
		}
	}
	tb.Fatalf("pgtest: %s: %v", program, err)
	return nil
}

// findPgBouncer returns path and version. It also looks where Debian puts it,
// which is not in everybody's PATH.
func findPgBouncer(ctx context.Context) (program, version string, err error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		program, err = exec.LookPath(name)
		if err == nil {
			break
		}
	}
	if err != nil {
		return "", "", errors.New("pgbouncer is neither in PATH nor in /usr/sbin: `make interop` installs it")
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", "", fmt.Errorf("%s --version: %w", program, err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	version, found := strings.CutPrefix(line, "PgBouncer ")
	if !found {
		return "", "", fmt.Errorf("%s --version: %q", program, line)
	}
	return program, version, nil
}

// olderThan121 reports whether PgBouncer does not know max_prepared_statements.
func olderThan121(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	minor, err := strconv.Atoi(parts[min(1, len(parts)-1)])
	return parts[0] == "1" && err == nil && minor < 21
}

func (b *PgBouncer) start(tb testing.TB, settings map[string]string) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), bouncerTimeout)
	defer cancel()
	ini, err := b.configure(ctx, tb.TempDir(), settings)
	if err != nil {
		return err
	}
	args := []string{"-c", lifeline, "lifeline", b.program}
	if os.Getuid() == 0 { // it refuses to be root, and gives that up when it has read its files
		name, err := unprivileged()
		if err != nil {
			return err
		}
		args = append(args, "--user="+name)
	}
	process := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", append(args, ini)...)
	log := &bytes.Buffer{}
	process.Stderr = log
	stdin, err := process.StdinPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	stop := func() {
		_ = stdin.Close()
		_ = process.Wait() // it was killed
	}
	if err := b.await(ctx); err != nil {
		stop()
		if strings.Contains(log.String(), "ddress already in use") {
			return errBouncerPort
		}
		return fmt.Errorf("%w\n%s", err, log)
	}
	tb.Cleanup(func() {
		stop()
		if tb.Failed() {
			tb.Logf("PgBouncer %s:\n%s", b.Version, log)
		}
	})
	return nil
}

// configure finds a port, writes PgBouncer's files, and returns the path of the
// one that names the others. Its console has a user whom nobody else knows, so
// that another PgBouncer on that port is not taken for this one.
func (b *PgBouncer) configure(ctx context.Context, dir string, settings map[string]string) (string, error) {
	const mode = 0o600
	var err error
	if b.port, err = freePort(ctx); err != nil {
		return "", err
	}
	through := url.URL{
		Scheme:   "postgres",
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)),
		Path:     "/" + b.server.Database,
		RawQuery: "sslmode=disable",
		User:     url.UserPassword(b.server.User, b.server.Password),
	}
	b.URL = through.String()
	console := through
	console.Path, console.User = "/pgbouncer", url.UserPassword("console_"+rand.Text(), rand.Text())
	if b.console, err = pgconn.ParseConfig(console.String()); err != nil {
		return "", err
	}

	users := filepath.Join(dir, "users.txt")
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	list := quoted(b.server.User) + " " + quoted(b.server.Password) + "\n" + quoted(b.console.User) + " " + quoted(b.console.Password) + "\n"
	if err := os.WriteFile(users, []byte(list), mode); err != nil {
		return "", err
	}
	all := map[string]string{
		"admin_users": b.console.User, "auth_file": users, "auth_type": "scram-sha-256", "listen_addr": "127.0.0.1",
		"listen_port": strconv.Itoa(b.port), "unix_socket_dir": "",
	}
	if b.server.Password == "" {
		all["auth_type"] = "trust"
	}
	maps.Copy(all, settings)
	var ini strings.Builder
	fmt.Fprintf(&ini, "[databases]\n* = host=%s port=%d\n\n[pgbouncer]\n", b.server.Host, b.server.Port)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&ini, "%s = %s\n", name, all[name])
	}
	path := filepath.Join(dir, "pgbouncer.ini")
	return path, os.WriteFile(path, []byte(ini.String()), mode)
}

// await waits until the console answers.
func (b *PgBouncer) await(ctx context.Context) error {
	for {
		_, err := b.Show(ctx, "VERSION")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Show returns what the console shows under a name, such as "SERVERS": rows of
// values by column.
func (b *PgBouncer) Show(ctx context.Context, name string) ([]map[string]string, error) {
	conn, err := pgconn.ConnectConfig(ctx, b.console)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	results, err := conn.Exec(ctx, "SHOW "+name).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows []map[string]string
	for _, result := range results {
		for _, values := range result.Rows {
			row := map[string]string{}
			for i, field := range result.FieldDescriptions {
				row[field.Name] = string(values[i])
			}
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// unprivileged is the name of a user that PgBouncer can run as.
func unprivileged() (string, error) {
	for _, name := range []string{"postgres", "nobody"} {
		if _, err := osuser.Lookup(name); err == nil {
			return name, nil
		}
	}
	return "", errors.New("PgBouncer does not run as root, and there is no user postgres or nobody to run it as")
}

func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}
