//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pgtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The processes of a run share a server by way of a folder with these files.
// Locks are flocks, which the kernel frees however their holder ends.
const (
	// usersFile is locked, shared, by each process that uses the server, and
	// exclusively by the supervisor that ends it.
	usersFile = "users"
	// startFile is locked by the process that looks for a server and starts one.
	startFile = "start"
	// serverFile holds the state. Its supervisor has it locked while it lives.
	serverFile = "server"
	// suitePrefix and a number name the file of a `go` process that runs tests.
	suitePrefix = "suite-"
)

// memberships keeps the lock on usersFile until this process ends.
var memberships []*os.File

// join returns the server of the run that meets in the folder, and starts it if
// there is none. This process is then one of its users for as long as it runs.
func join(ctx context.Context, folder string) (*state, error) {
	users, err := lockUsers(ctx, folder)
	if err != nil {
		return nil, err
	}
	memberships = append(memberships, users)
	registerSuite(folder)

	start, err := openLocked(ctx, filepath.Join(folder, startFile), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer start.Close()
	if server, err := readState(folder); server != nil || err != nil {
		return server, err
	}
	return launch(ctx, folder)
}

// lockUsers makes the folder if need be and becomes one of its users. A folder
// that a supervisor was about to remove does not count.
func lockUsers(ctx context.Context, folder string) (*os.File, error) {
	path := filepath.Join(folder, usersFile)
	for {
		if err := makeStateFolder(folder); err != nil {
			return nil, err
		}
		users, err := openLocked(ctx, path, syscall.LOCK_SH)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case isStill(users, path):
			return users, nil
		}
		if err := users.Close(); err != nil {
			return nil, err
		}
	}
}

// makeStateFolder refuses a folder that somebody else has put there, for the
// server's password is in it.
func makeStateFolder(folder string) error {
	err := os.Mkdir(folder, 0o700)
	if err == nil || !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil // just removed: the caller tries again
	}
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm() != 0o700 || !ok || int(owner.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a folder that only this user can read: remove it", folder)
	}
	return nil
}

// readState returns nil if no server is running.
func readState(folder string) (*state, error) {
	path := filepath.Join(folder, serverFile)
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // nil is the answer
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if tryLock(file, syscall.LOCK_SH) {
		return nil, nil //nolint:nilnil // the supervisor was killed: its server has ended
	}
	var server state
	if err := json.NewDecoder(file).Decode(&server); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &server, nil
}

// launch starts a supervisor, which is this same program again, and waits for
// its server. Of what this process has open it gets nothing but the pipe for its
// answer: `go test` waits until all have closed its standard output.
func launch(ctx context.Context, folder string) (*state, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	answer, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	cmd := exec.Command(program)
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), supervisorEnv+"="+folder)
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	if err := errors.Join(err, tell.Close()); err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}

	deadline, _ := ctx.Deadline()
	if err := answer.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	var server state
	if err := json.NewDecoder(answer).Decode(&server); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for supervisor: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	if server.Err != "" {
		return nil, errors.Join(errors.New(server.Err), cmd.Wait())
	}
	return &server, cmd.Process.Release()
}

// registerSuite tells the supervisor which `go` process runs this one: as long
// as that lives, more packages may follow.
func registerSuite(folder string) {
	parent := strconv.Itoa(os.Getppid())
	name, err := os.ReadFile(filepath.Join("/proc", parent, "comm"))
	if err != nil {
		name, _ = exec.Command("ps", "-o", "comm=", "-p", parent).Output()
	}
	if filepath.Base(strings.TrimSpace(string(name))) == "go" {
		// Without it the server may have to be started again: no harm.
		_ = os.WriteFile(filepath.Join(folder, suitePrefix+parent), nil, 0o600)
	}
}

// openLocked opens the file, which it makes if need be, and waits for the lock.
func openLocked(ctx context.Context, path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for !tryLock(file, how) {
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for the lock on %s: %w", path, ctx.Err()), file.Close())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return file, nil
}

func tryLock(file *os.File, how int) bool {
	return syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB) == nil
}

// isStill reports whether the path leads to the file that is open.
func isStill(file *os.File, path string) bool {
	open, openErr := file.Stat()
	there, thereErr := os.Stat(path)
	return openErr == nil && thereErr == nil && os.SameFile(open, there)
}
