//go:build unix

package pgserver

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed watchdog.sh
var watchdog string

// errPortTaken is the race for a port that another program won.
var errPortTaken = errors.New("the port was taken")

// portTries is how often another port is tried: two in a row that are taken
// between two system calls are unlikely already.
const portTries = 5

// startCluster makes a cluster in a temporary folder with the programs in
// binDir and starts it.
func (m *machine) startCluster(ctx context.Context, opts *Opts, binDir, what string) (*Server, error) {
	account, err := m.serverAccount()
	if err != nil {
		return nil, err
	}
	folder, err := m.makeFolder(account, m.clusterDirs(opts))
	if err != nil {
		return nil, err
	}
	return m.startClusterIn(ctx, opts, folder, binDir, what)
}

// startClusterIn is startCluster in a folder that exists, and which is removed
// with the server or when that does not start.
func (m *machine) startClusterIn(ctx context.Context, opts *Opts, folder, binDir, what string) (*Server, error) {
	account, err := m.serverAccount()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	c := &cluster{
		account:  account,
		binDir:   binDir,
		folder:   folder,
		freePort: m.freePort,
		password: rand.Text(),
	}
	if err := c.init(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	for range portTries {
		if err = c.start(ctx, opts); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &Server{
		owned:  true,
		source: fmt.Sprintf("Postgres: %s on 127.0.0.1:%d", what, c.port),
		stop:   c.stop,
		url:    c.url(),
	}, nil
}

// lifelines keeps what holds a server up from being collected as garbage in a
// program that keeps the URL and forgets the Server.
var lifelines sync.Map

// cluster is a private cluster in a folder of its own.
type cluster struct {
	account  *account
	binDir   string
	folder   string
	freePort func() (uint16, error)
	lifeline io.WriteCloser // the watchdog stops the server when this is closed
	password string
	port     uint16
	watchdog *exec.Cmd
}

func (c *cluster) url() string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword("postgres", c.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(int(c.port))),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// command runs as the account, in the cluster's folder, out of reach of the
// terminal's Ctrl-C.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // programs of the Postgres that was found
	cmd.Dir = c.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account.credential(), Setsid: true}
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=" + c.folder}
	return cmd
}

func (c *cluster) init(ctx context.Context) error {
	passwordFile := filepath.Join(c.folder, "password")
	if err := os.WriteFile(passwordFile, []byte(c.password), 0o600); err != nil {
		return err
	}
	if err := c.account.own(passwordFile); err != nil {
		return err
	}
	initdb := c.command(ctx, filepath.Join(c.binDir, "initdb"),
		"--pgdata", filepath.Join(c.folder, "data"), "--username", "postgres", "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", initdb.Path, err, lastLines(string(out)))
	}
	return os.Remove(passwordFile)
}

// start starts the server on a free port and waits until it answers.
func (c *cluster) start(ctx context.Context, opts *Opts) error {
	var err error
	if c.port, err = c.freePort(); err != nil {
		return err
	}
	for _, stale := range []string{"ended", "log"} { // of an earlier try
		if err := os.RemoveAll(filepath.Join(c.folder, stale)); err != nil {
			return err
		}
	}
	args := append([]string{
		"-c", watchdog, "watchdog", c.folder,
		filepath.Join(c.binDir, "postgres"), "-D", filepath.Join(c.folder, "data"), "-p", strconv.Itoa(int(c.port)),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
	}, opts.settings()...)
	// The server outlives ctx, which is of its start alone.
	c.watchdog = c.command(context.WithoutCancel(ctx), "/bin/sh", args...)
	if c.lifeline, err = c.watchdog.StdinPipe(); err != nil {
		return err
	}
	if err := c.watchdog.Start(); err != nil {
		return errors.Join(err, c.lifeline.Close())
	}
	lifelines.Store(c, c.lifeline)
	err = c.waitReady(ctx)
	if err == nil {
		return nil
	}
	log, _ := os.ReadFile(filepath.Join(c.folder, "log"))
	if strings.Contains(string(log), "could not bind") {
		return errors.Join(errPortTaken, c.abandon())
	}
	return errors.Join(fmt.Errorf("%s/postgres: %w\n%s", c.binDir, err, lastLines(string(log))), c.stop())
}

// waitReady asks by the password, which only our server knows, so that another
// server on this port is not taken for it.
func (c *cluster) waitReady(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(c.url())
	if err != nil {
		return err
	}
	cfg.ConnectTimeout = time.Second
	for {
		conn, err := pgx.ConnectConfig(ctx, cfg)
		if err == nil {
			return conn.Close(ctx)
		}
		if _, err := os.Stat(filepath.Join(c.folder, "ended")); err == nil {
			return errors.New("ended at once")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// abandon ends the watchdog of a server that has ended, and leaves the folder
// for the next try.
func (c *cluster) abandon() error {
	lifelines.Delete(c)
	_, writeErr := io.WriteString(c.lifeline, "keep\n")
	return errors.Join(writeErr, c.lifeline.Close(), c.watchdog.Wait())
}

// stop lets the watchdog stop the server and remove the folder.
func (c *cluster) stop() error {
	lifelines.Delete(c)
	closeErr := c.lifeline.Close()
	waitErr := c.watchdog.Wait()
	if _, err := os.Lstat(c.folder); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(closeErr, waitErr, os.RemoveAll(c.folder))
}

// lastLines is the end of a log, where the reason is.
func lastLines(log string) string {
	const most = 12
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
